"""What a session runs on, without saying whose machine it is: no host, no user, no address."""

import os
import platform
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metareward.provenance import packages, revision
from metareward.secrets import looks_secret, scrub

# Variables that may change numbers, or how fast they come. Only these are ever recorded.
_NAMED = ("CUDA_VISIBLE_DEVICES", "CUDA_LAUNCH_BLOCKING", "NVIDIA_TF32_OVERRIDE", "PYTHONHASHSEED")
_BEGIN = ("OMP_", "MKL_", "OPENBLAS_", "KMP_", "TORCH_", "PYTORCH_", "CUBLAS_", "CUDNN_")
_PLACES = re.compile(r"_(HOME|DIR|PATH|FILE|CACHE)$|_(HOME|DIR|PATH)_")  # where things lie, not what they are
_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve")
_GIB = 2**30


def environment() -> dict[str, Any]:
    """Python, platform, packages, code, hardware and the variables that matter."""
    system = [platform.system(), platform.machine(), *filter(None, platform.libc_ver())]
    return {
        "python": sys.version.split()[0],
        "platform": " ".join(system),
        "versions": packages.versions(),
        "code": revision.code(),
        "hardware": hardware(),
        "variables": variables(os.environ),
    }


def variables(given: Mapping[str, str]) -> dict[str, str]:
    """Those variables of an environment that may change numbers; never one that looks like a secret."""
    return {
        name: scrub(value)
        for name, value in sorted(given.items())
        if (name in _NAMED or name.startswith(_BEGIN)) and not looks_secret(name) and not _PLACES.search(name)
    }


def hardware() -> dict[str, Any]:
    """Cores this process may use, memory in GiB, and the CPU. GPUs are asked for apart: see `gpus`."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    model, flags = _cpu(Path("/proc/cpuinfo"))
    return {"cores": usable, "memory_gib": _memory(), "cpu": model, "cpu_flags": flags}


def gpus() -> list[dict[str, Any]] | None:
    """Name, memory in GiB and compute capability of each GPU that PyTorch sees, and the driver.

    None where PyTorch was not loaded: it is not loaded just to ask.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return None
    if not torch.cuda.is_available():
        return []
    driver = _driver(Path("/proc/driver/nvidia/version"))
    found = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    return [
        {
            "name": gpu.name,
            "memory_gib": round(gpu.total_memory / _GIB, 1),
            "capability": f"{gpu.major}.{gpu.minor}",
            "cuda": torch.version.cuda,
            "driver": driver,
        }
        for gpu in found
    ]


def _cpu(file: Path) -> tuple[str | None, list[str]]:
    """The CPU's name and those of its abilities on which the choice of kernels depends."""
    if not file.is_file():
        return platform.processor() or None, []
    lines = [line.partition(":") for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
    said = {name.strip().lower(): value.strip() for name, _, value in reversed(lines)}
    flags = (said.get("flags") or said.get("features") or "").split()
    return said.get("model name") or platform.processor() or None, [flag for flag in _FLAGS if flag in flags]


def _memory() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB, 1)
    except (ValueError, OSError):  # a system that does not say
        return None


def _driver(file: Path) -> str | None:
    """The number of the NVIDIA driver: "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15 ..."."""
    if not file.is_file():
        return None
    found = re.search(r"(?:Kernel Module|for \S+)\s+(\d+(?:\.\d+)+)", file.read_text(errors="replace"))
    return found[1] if found else None
