"""Sets of row numbers and of ids, in a few bytes each: a run has a million of them."""

import hashlib
from array import array
from collections.abc import Iterable, Iterator, MutableSet

import numpy as np
from numpy.typing import NDArray

_BITS = 15
_CHUNK = 1 << _BITS


class Positions(MutableSet[int]):
    """Row numbers, a byte each where they lie close together, as those of an artifact do."""

    def __init__(self, positions: Iterable[int] = ()) -> None:
        self._chunks: dict[int, bytearray] = {}
        self._count = 0
        for position in positions:
            self.add(position)

    def __contains__(self, position: object) -> bool:
        if not isinstance(position, int):
            return False
        chunk = self._chunks.get(position >> _BITS)
        return chunk is not None and chunk[position % _CHUNK] == 1

    def __iter__(self) -> Iterator[int]:
        for number in sorted(self._chunks):
            chunk = self._chunks[number]
            yield from (number * _CHUNK + place for place in range(_CHUNK) if chunk[place])

    def __len__(self) -> int:
        return self._count

    def add(self, value: int) -> None:
        """Take one in."""
        if value not in self:
            self._chunks.setdefault(value >> _BITS, bytearray(_CHUNK))[value % _CHUNK] = 1
            self._count += 1

    def discard(self, value: int) -> None:
        """Take one out, if it is in."""
        if value in self:
            self._chunks[value >> _BITS][value % _CHUNK] = 0
            self._count -= 1

    def put(self, positions_N: NDArray[np.int64]) -> int:
        """Take many in; how many of them were in already or are there twice."""
        before = self._count
        for number in np.unique(positions_N >> _BITS).tolist():
            chunk = self._chunks.setdefault(number, bytearray(_CHUNK))
            held = chunk.count(1)
            np.frombuffer(chunk, np.uint8)[positions_N[positions_N >> _BITS == number] % _CHUNK] = 1
            self._count += chunk.count(1) - held
        return len(positions_N) - (self._count - before)


class Ids:
    """Where each id stands in a long sequence of them, in 12 bytes an id.

    Known by 64 bits of a hash: among a million ids one that is not there is taken for one that is about once
    in 10^13 questions.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        hashes_N = np.frombuffer(array("Q", (_short(one) for one in ids)), dtype=np.uint64)
        self._order_N = np.argsort(hashes_N, kind="stable").astype(np.uint32)
        self._hashes_N = hashes_N[self._order_N]

    def find(self, one: str) -> int | None:
        """The place of an id, None if it is not there."""
        wanted = np.uint64(_short(one))
        at = int(np.searchsorted(self._hashes_N, wanted))
        there = at < len(self._hashes_N) and self._hashes_N[at] == wanted
        return int(self._order_N[at]) if there else None

    def __contains__(self, one: str) -> bool:
        return self.find(one) is not None

    def __len__(self) -> int:
        return len(self._hashes_N)


def _short(one: str) -> int:
    return int.from_bytes(hashlib.blake2b(one.encode(), digest_size=8).digest())
