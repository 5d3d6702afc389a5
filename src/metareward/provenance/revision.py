"""Which code ran: the commit of the checkout this package lies in, and what was changed since."""

import hashlib
import os
import subprocess
from functools import cache
from pathlib import Path

_SECONDS = 10


@cache
def code() -> dict[str, str | None] | None:
    """`revision`: the commit; `changes`: None where nothing is uncommitted, else a hash of it.

    None where the package does not lie in a checkout of its own (installed from a wheel, no git): a
    repository that merely holds the environment does not count.
    """
    return code_of(Path(__file__).parents[1])


def code_of(package: Path) -> dict[str, str | None] | None:
    """The same of a package in any directory. New files count where they lie inside the package."""
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    revision = _git(package, "rev-parse", "HEAD")
    changed = _git(package, "diff", "--binary", "--no-ext-diff", "--no-textconv", "HEAD")
    added = _git(package, "ls-files", "--others", "--exclude-standard", "-z", ".")
    if revision is None or changed is None or added is None:
        return None
    digest = hashlib.sha256(changed)
    new = sorted(name for name in added.decode("utf-8", "surrogateescape").split("\0") if name)
    for name in new:
        digest.update(name.encode("utf-8", "surrogateescape") + b"\0")
        digest.update((package / name).read_bytes() if (package / name).is_file() else b"")
    return {
        "revision": revision.decode().strip(),
        "changes": digest.hexdigest()[:20] if changed or new else None,
    }


def _git(place: Path, *arguments: str) -> bytes | None:
    """What git says, or None where it fails or is not there. Its variables may point elsewhere: left out."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        asked = subprocess.run(
            ["git", "-C", str(place), *arguments],
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return asked.stdout if asked.returncode == 0 else None
