"""What the judge gate measures of scores and of the bank, each number worked out by hand on a few rows."""

import pytest

from metareward.evaluate.bank import CONSTANT, GENUINE, KINDS
from metareward.recipes.judge_signals import of_bank, of_same_responses, of_scores
from metareward.records import Finish, Response
from pairing_worlds import a_judgment, a_prompt, a_response


class TestScores:
    def scores(self, *prompts):
        rows = [a_prompt(f"p{number}") for number in range(len(prompts))]
        judgments = [
            a_judgment(a_response(f"p{number}", response), sample, score)
            for number, responses in enumerate(prompts)
            for response, scores in enumerate(responses)
            for sample, score in enumerate(scores)
        ]
        return of_scores(rows, judgments)

    def test_by_hand(self):
        """Scores 5 5 4 2 and one that is unreadable: half at the top, entropy of 1/2 1/4 1/4."""
        found = dict(self.scores([[5, 5]], [[4, None, 2]]).signals())
        assert found["unreadable"].value == pytest.approx(1 / 5)
        assert found["top_share"].value == pytest.approx(1 / 2)
        assert found["entropy"].value == pytest.approx(1.5)
        assert found["unreadable"].n == 2
        assert "reliability" not in found, "one response a prompt says nothing of it"

    def test_reliability_is_within_prompts(self):
        found = dict(self.scores([[1, 1], [4, 4]], [[2, 3], [3, 2]]).signals())
        assert 0 < found["reliability"].value < 1

    def test_changes_are_now_less_before(self):
        now, before = self.scores([[5, 5]], [[5, None]], [[4, 5]]), self.scores([[3, 4]], [[5, 4]], [[3, 3]])
        found = dict(now.changes(before))
        assert found["mean_change"].value == pytest.approx(24 / 5 - 22 / 6)
        assert found["top_share_change"].value == pytest.approx(4 / 5 - 1 / 6)
        assert found["unreadable_change"].value == pytest.approx(1 / 6)
        assert found["entropy_change"].value < 0
        assert all(estimate.n == 3 for estimate in found.values())

    @pytest.mark.parametrize("empty", [[], [[[None, None]]]])
    def test_nothing_readable_changes_nothing(self, empty):
        some = self.scores([[3, 4]])
        assert dict(self.scores(*empty).changes(some)) == {}
        assert dict(some.changes(self.scores(*empty))) == {}
        assert "entropy" not in dict(self.scores(*empty).signals())

    def test_all_unreadable_is_counted_with_a_width(self):
        found = dict(self.scores([[None, None]]).signals())
        assert found["unreadable"].value == 1
        assert found["unreadable"].lower < 1

    def test_scores_of_a_forced_reading_are_rounded_half_up(self):
        assert self.scores([[4.5, 4.4, 0.5]]).counts == [[0, 1, 0, 0, 1, 1]]


class TestBank:
    def rows(self, kind="constant answer", genuine=4.0, worse=1.0, count=3):
        bank, banked = [], []
        for number in range(count):
            for place, name in enumerate((GENUINE, kind)):
                row = Response(
                    f"b{number}{place}", f"p{number}", place, f"bank: {name}", CONSTANT, None, Finish.STOP
                )
                bank.append(row)
                banked.append(a_judgment(row, 0, genuine if place == 0 else worse))
        return bank, banked

    def test_each_kind_and_all(self):
        found = dict(of_bank(*self.rows()))
        assert set(found) == {"bank", "bank: constant answer"}
        assert found["bank"].value == found["bank: constant answer"].value == 1
        assert found["bank"].n == 3

    def test_the_sign(self):
        assert dict(of_bank(*self.rows(genuine=1.0, worse=4.0)))["bank"].value == 0
        assert dict(of_bank(*self.rows(genuine=2.0, worse=2.0)))["bank"].value == 0.5

    def test_the_kinds_are_the_banks(self):
        found = {name for kind in KINDS for name in dict(of_bank(*self.rows(kind)))}
        assert found == {"bank", *(f"bank: {kind}" for kind in KINDS)}

    def test_the_same_responses_rise_or_fall(self):
        _, before = self.rows(genuine=3.0, worse=1.0)
        _, now = self.rows(genuine=4.0, worse=1.5)
        found = of_same_responses(now, before)
        assert found is not None
        assert found.value == pytest.approx(0.75)
        assert found.n == 3
        assert of_same_responses(before, now).value == pytest.approx(-0.75)  # type: ignore[union-attr]
        assert of_same_responses(now, []) is None

    def test_the_same_responses_of_other_prompts_do_not_count(self):
        _, now = self.rows(count=3)
        _, before = self.rows(count=2)
        found = of_same_responses(now, before)
        assert found is not None
        assert found.n == 2
