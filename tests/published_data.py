"""Where the benchmarks' own files lie that are not shipped: ../shared/data, or METAREWARD_DATA."""

import os
from pathlib import Path

import pytest

_DATA = Path(os.environ.get("METAREWARD_DATA") or Path(__file__).parent.parent.parent / "shared" / "data")


def published(*parts: str) -> Path:
    """A published file; the test is skipped where it is not at hand."""
    path = _DATA.joinpath(*parts)
    if not path.is_file():
        pytest.skip(f"{path} is not here; METAREWARD_DATA may name the directory of the published files")
    return path
