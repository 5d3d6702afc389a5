"""A least margin: pairs whose two sides are nearly equal are left out, counted, and change no key unset."""

from typing import Any

import pytest

from metareward.errors import ConfigError
from metareward.ids import fingerprint, told
from metareward.recipes.pairing import length_controlled
from metareward.recipes.settings import Iteration
from metareward.records import Dropped, Outcome, PreferencePair
from metareward.stages.anchors import AnchoredPairs
from metareward.stages.auto_rho import AutoRho
from metareward.stages.pair import ActorPairs
from metareward.stages.pair_judge import JudgePairs
from pairing_worlds import a_battle, a_judgment, a_prompt, a_response

PROMPT = a_prompt("p")
REASON = "margin below minimum"


def pair(rule, *scores) -> Any:
    """What a rule makes of one prompt whose responses have these scores."""
    responses = [a_response("p", n) for n in range(len(scores))]
    judgments = [a_judgment(r, 0, score) for r, score in zip(responses, scores, strict=True)]
    rows = ([PROMPT], responses, judgments)
    (found,) = rule.apply(*rows) if isinstance(rule, ActorPairs) else rule.apply(*rows, responses, judgments)
    return found


@pytest.mark.parametrize("kind", [ActorPairs, AnchoredPairs])
class TestActorPairs:
    def test_scores_that_hardly_differ_are_no_pair(self, kind):
        rule = kind(min_margin=0.5)
        assert pair(rule, 3.0, 3.499) == Dropped("p", REASON)
        assert pair(rule, 3.0, 3.5).chosen_score == 3.5
        assert pair(kind(), 3.0, 3.004).chosen_score == 3.004, "as the papers do"

    def test_thirds_do_not_fall_to_rounding(self, kind):
        assert not isinstance(pair(kind(min_margin=1 / 3), 1 / 3, 2 / 3), Dropped)
        assert not isinstance(pair(kind(min_margin=0.1), 0.3, 0.2), Dropped)

    def test_equal_scores_stay_what_they_are(self, kind):
        assert pair(kind(min_margin=0.5), 3.0, 3.0) == Dropped("p", "equal scores")

    def test_the_margin_is_that_of_the_pair(self, kind):
        """With rho the sides may be nearer to each other than the best is to the worst: 4, 3.1, 1.9, 1."""
        scores = (4.0, 3.1, 1.9, 1.0)
        assert pair(kind(0.0, min_margin=2.5), *scores).chosen_score == 4.0
        responses = [a_response("p", n, "x" * length) for n, length in enumerate((9, 1, 9, 1))]
        judgments = [a_judgment(r, 0, score) for r, score in zip(responses, scores, strict=True)]
        rows: Any = ([PROMPT], responses, judgments)
        rows = rows if kind is ActorPairs else (*rows, responses, judgments)
        (near,) = kind(0.32).apply(*rows)
        assert isinstance(near, PreferencePair)
        assert (near.chosen_score, near.rejected_score) == (3.1, 1.9)
        assert list(kind(0.32, min_margin=2.5).apply(*rows)) == [Dropped("p", REASON)]


class TestJudgePairs:
    def found(self, margin) -> Any:
        """Two judgments that met twice in each order, of which one won three times."""
        response = a_response("p")
        one, other = (a_judgment(response, n, score) for n, score in enumerate((1.0, 4.0)))
        battles = [a_battle(one, other, outcome) for outcome in (Outcome.FIRST, Outcome.FIRST)]
        battles += [a_battle(other, one, outcome) for outcome in (Outcome.FIRST, Outcome.SECOND)]
        rule = JudgePairs(1e-6, min_margin=margin)
        (found,) = rule.apply([PROMPT], [response], [one, other], battles)
        return found

    def test_judgments_that_are_nearly_as_strong_are_no_pair(self):
        plain = self.found(0.0)
        apart = plain.chosen_score - plain.rejected_score
        assert apart > 0.5
        assert not isinstance(self.found(apart - 1e-6), Dropped)
        assert self.found(apart + 1e-6) == Dropped("p", REASON)


class TestSettings:
    def test_unset_they_change_no_key(self):
        for rule in (ActorPairs(0.3, 10), AnchoredPairs(0.3, 10), JudgePairs(0.01, 10, 3)):
            assert "min_margin" not in told(rule)
            assert "min_margin" in told(type(rule)(min_margin=0.1))
        assert fingerprint(ActorPairs()) == fingerprint(ActorPairs(min_margin=0.0))
        assert fingerprint(ActorPairs()) != fingerprint(ActorPairs(min_margin=0.1))
        assert not {"min_score_margin", "min_elo_margin"} & told(Iteration()).keys()

    def test_an_iteration_hands_them_on(self):
        found = length_controlled(Iteration(min_score_margin=0.25, max_response_characters=7), AnchoredPairs)
        assert found == AnchoredPairs(0.0, 7, 0.25)
        auto = length_controlled(Iteration(min_score_margin=0.25, rho="auto"), ActorPairs)
        assert isinstance(auto, AutoRho)
        assert auto.rule == ActorPairs(0.0, None, 0.25)

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            (
                {"min_score_margin": -0.1},
                "iterations.min_score_margin must be 0 or more and at most 100, not -0.1",
            ),
            (
                {"min_score_margin": 100.1},
                "iterations.min_score_margin must be 0 or more and at most 100, not 100.1",
            ),
            (
                {"min_elo_margin": float("nan")},
                "iterations.min_elo_margin must be a number of 0 or more, not nan",
            ),
        ],
    )
    def test_what_no_pair_can_have_is_refused(self, changes, says):
        with pytest.raises(ConfigError) as refused:
            Iteration(**changes)
        assert str(refused.value) == says
