"""Peak memory of a whole run at the paper's proportions on the fake engine, beside that of another version.

    python benchmarks/peak_memory.py [--against OTHER/src] [--prompts 1000]

A process each, so that one does not see what the other left; the figure is the largest resident size that
the kernel saw (`getrusage`).
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src"
HELD_OUT = 16
CONFIG = """
model = "fake"
directory = "run"
[prompts]
source = "prompts.jsonl"
per_iteration = {prompts}
held_out = {held_out}
[machine]
engine = "fake"
[[iterations]]
rho = 0.3
"""


def write_inputs(folder: Path, prompts: int) -> None:
    """A config of one iteration with K = 7, N = 11 and 110 battles a prompt, and its prompts."""
    (folder / "c.toml").write_text(CONFIG.format(prompts=prompts, held_out=HELD_OUT))
    rows = (json.dumps({"prompt": f"Question {n}: what is {n} + 1?"}) for n in range(prompts + HELD_OUT))
    (folder / "prompts.jsonl").write_text("".join(f"{row}\n" for row in rows))


def peak_megabytes(source: Path, prompts: int) -> float:
    """The largest resident size, in 10^6 bytes, of `metareward run` of the version in `source`."""
    with tempfile.TemporaryDirectory() as name:
        write_inputs(Path(name), prompts)
        measured = subprocess.run(
            [sys.executable, str(Path(__file__).resolve()), "--child"],
            cwd=name,
            env={**os.environ, "PYTHONPATH": str(source.resolve()), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return float(measured.stdout.split()[-1])


def child() -> None:
    """Carry the config of this directory out in a process of its own and say what it took at most."""
    subprocess.run(
        [sys.executable, "-m", "metareward", "run", "c.toml", "--json"],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6)


def main() -> None:
    """Measure this version, and the other one if it is given, and print both with their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--against", type=Path, help="src of the version to compare with")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child()
        return
    ours = peak_megabytes(SOURCE, given.prompts)
    print(f"this version: {ours:.0f} MB at {given.prompts:,} prompts", flush=True)
    if given.against:
        other = peak_megabytes(given.against, given.prompts)
        print(f"the other:    {other:.0f} MB; this is {ours / other:.0%} of it", flush=True)


if __name__ == "__main__":
    main()
