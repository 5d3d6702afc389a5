"""Settings laid over defaults: whatever is written is taken as it is or refused by one message."""

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward.errors import ConfigError
from metareward.overlay import overlay, text, typed
from metareward.settings import one_of, positive, shown


@dataclass(frozen=True)
class Settings:
    count: int = 1
    share: float = 0.5
    name: str = "x"
    flag: bool = False
    names: tuple[str, ...] = ()
    limit: int | None = None


ANYTHING = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.floats(), st.text(), st.dates(), st.datetimes()),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(), inner, max_size=2)),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(["count", "share", "name", "flag", "names", "limit"]), ANYTHING))
def test_anything_is_taken_as_it_is_or_refused_by_name(given_):
    try:
        got = overlay(Settings(), given_, "part")
    except ConfigError as error:
        message = str(error)
        assert message.startswith(("part.", "part: "))
        assert "\n" not in message
        assert len(message) < 300
        assert "pydantic" not in message
        return
    for name, value in given_.items():
        found = getattr(got, name)
        same = found == (tuple(value) if isinstance(value, list) else value)
        assert same or (isinstance(value, float) and math.isnan(value) and math.isnan(found))
        assert isinstance(found, bool) == isinstance(value, bool)


@given(ANYTHING)
def test_a_value_is_shown_on_one_short_line(value):
    assert "\n" not in shown(value)
    assert len(shown(value)) <= 80


def test_values_are_shown_as_a_config_has_them():
    assert [shown(v) for v in (True, None, math.nan, -math.inf, "a", [1])] == [
        "true",
        "unset",
        "nan",
        "-inf",
        "'a'",
        "[1]",
    ]


def test_choices_read_like_a_sentence():
    assert one_of(("a",)) == "'a'"
    assert one_of(("a", "b", "c")) == "'a', 'b' or 'c'"


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, -math.inf])
def test_what_is_no_number_above_0(value):
    assert not positive(value)
    assert positive(1e-9)


def test_a_name_is_a_text_with_something_in_it():
    assert text("a b", "model") == "a b"
    for bad in ("", "  ", "a\0b"):
        with pytest.raises(ConfigError, match="model must be a name"):
            text(bad, "model")
    assert typed(int, 3, "seed") == 3
