"""Names by content: equal for equal content, different for different, the same on any machine."""

import dataclasses
import enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward.ids import LENGTH, added, file_digest, fingerprint, identity, seed_of, told


@dataclasses.dataclass(frozen=True)
class One:
    n: int = 1


@dataclasses.dataclass(frozen=True)
class Two:
    n: int = 1


@dataclasses.dataclass(frozen=True)
class Grown:
    n: int = 1
    later: int = added(0)


class Colour(enum.Enum):
    RED = "red"


def test_pinned_so_that_ids_of_old_runs_stay_valid():
    assert fingerprint("prompt", 1, None, [1.5, "é"]) == "900c5be8d4bf03081145"
    assert fingerprint() == "4f53cda18c2baa0c0354"  # the SHA-256 of `[]`
    assert fingerprint("a") == "0eb5b8d6f81bc677da8a"  # and of `["a"]`
    assert len(fingerprint("a")) == LENGTH


@given(st.lists(st.text()), st.lists(st.text()))
def test_equal_exactly_for_equal_content(one, other):
    assert (fingerprint(*one) == fingerprint(*other)) == (one == other)


def test_types_count_where_they_mean_something():
    assert fingerprint(One()) != fingerprint(Two())
    assert fingerprint(One(1)) != fingerprint(One(2))
    assert fingerprint("1") != fingerprint(1)
    assert fingerprint(None) != fingerprint("None")
    assert fingerprint([1, 2]) == fingerprint((1, 2))
    assert fingerprint(Colour.RED) == fingerprint("red")
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint("ab", "c") != fingerprint("a", "bc"), "parts do not run together"


def test_a_setting_that_came_later_changes_no_name_while_it_is_not_used():
    assert identity(Grown()) == {"n": 1}
    assert identity(Grown(later=2)) == {"n": 1, "later": 2}
    assert fingerprint(Grown()) == fingerprint(dataclasses.make_dataclass("Grown", [("n", int)])(1))
    assert fingerprint(Grown(later=2)) != fingerprint(Grown(later=3)) != fingerprint(Grown())


def test_what_has_no_content_is_refused():
    with pytest.raises(TypeError, match="cannot fingerprint a object"):
        fingerprint(object())


@given(st.text())
def test_seeds_fit_where_seeds_go(text):
    assert 0 <= seed_of(text) < 2**63
    assert seed_of(text) == seed_of(text)


def test_seeds_spread():
    seeds = [seed_of(n) for n in range(2000)]
    assert len(set(seeds)) == 2000
    assert 0.45 < sum(seed < 2**62 for seed in seeds) / 2000 < 0.55


def test_file_digest_is_sha256(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert file_digest(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@dataclasses.dataclass(frozen=True)
class Holder:
    parts: tuple[Grown, ...]
    inner: Grown = added(Grown())


def test_settings_told_without_those_that_came_later_and_are_not_used():
    assert told(Holder((Grown(), Grown(later=2)))) == {"parts": [{"n": 1}, {"n": 1, "later": 2}]}
    assert told(Holder((), Grown(3))) == {"parts": [], "inner": {"n": 3}}
