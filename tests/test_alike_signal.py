"""How much two judgments in battle have in common: each two that met count once, however often they met."""

from collections.abc import Sequence

import pytest

from metareward.recipes.judge_signals import of_likeness
from pairing_worlds import T, a_battle, a_judgment, a_prompt, a_response

RESPONSE = a_response("p")
SAME, TWIN, OTHER = (
    a_judgment(RESPONSE, sample, 3.0, text) for sample, text in enumerate(("a b", "a b", "z"))
)


def alike(met: Sequence[tuple[int, int]]) -> float:
    judgments = [SAME, TWIN, OTHER]
    battles = [a_battle(judgments[first], judgments[second], T) for first, second in met]
    return dict(of_likeness([a_prompt("p")], judgments, battles))["alike"].value


def test_two_that_met_in_both_orders_count_no_more_than_two_that_met_in_one():
    """Two that say the same, and two that have nothing in common."""
    assert alike([(0, 1), (0, 2)]) == pytest.approx(1 / 2)
    assert alike([(0, 1), (1, 0), (0, 2)]) == pytest.approx(1 / 2)
    assert alike([(0, 1), (0, 2), (2, 0)]) == pytest.approx(1 / 2)
