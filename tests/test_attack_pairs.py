"""Failed attacks as judge training pairs: the judgment that resisted over the one that was fooled."""

import dataclasses
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attacked_judges
from attacked_judges import MODEL, Planted, suite
from metareward.attack.attack import ask
from metareward.attack.families import families
from metareward.attack.harden import AttackComparisonPairs, AttackPairs
from metareward.attack.suite import compared, graded
from metareward.engines.fake import fake
from metareward.records import (
    Comparison,
    Dropped,
    Finish,
    Judgment,
    Message,
    Outcome,
    PreferencePair,
    Role,
)
from metareward.run import Run
from metareward.train.fake import FakeTrainer

WANTED = suite(count=2, families=families(["null", "beauty"]))
GRADED, COMPARED = graded(WANTED), compared(WANTED)
ATTACKED = [case for case in GRADED.cases if case.family not in ("clean", "rerun")]


def judgment(case, sample, score) -> Judgment:
    return Judgment(
        f"{case.id}-{sample}",
        case.prompt_id,
        case.id,
        sample,
        "j0",
        (Message("user", f"grade {case.id}"),),
        f"Remark {sample}.\nScore: {score}",
        (sample,),
        Finish.STOP,
        score,
        None if score is not None else "no verdict line",
    )


def comparison(case, other, first_is_case, sample, outcome, p_first=None):
    ids = (case.id, other) if first_is_case else (other, case.id)
    name = f"{case.id}-{first_is_case}-{sample}"
    messages = (Message("user", f"compare {ids}"),)
    return Comparison(
        name,
        case.prompt_id,
        *ids,
        sample,
        "j0",
        messages,
        f"{name} {outcome}",
        None,
        Finish.STOP,
        outcome,
        p_first,
    )


def grades(scores):
    """`scores`: (family, side) -> scores of each response; unnamed ones get 4 if good and 2 if not."""
    rows = []
    for case in GRADED.cases:
        plain = [4.0] if case.side == "good" else [2.0]
        given_ = scores.get((case.family, case.side), plain)
        rows += [judgment(case, sample, score) for sample, score in enumerate(given_)]
    return rows


def applied(scores) -> list[Any]:
    return list(AttackPairs().apply(GRADED.cases, grades(scores)))


def of(rows, family, side="none") -> list[Any]:
    ids = {case.id for case in ATTACKED if (case.family, case.side) == (family, side)}
    return [row for row in rows if (row.subject_id if isinstance(row, Dropped) else row.response_id) in ids]


class TestGrades:
    def test_the_lowest_score_of_an_empty_response_over_the_highest(self):
        for row in of(applied({("null", "none"): [3.0, 5.0, 0.0, 4.0]}), "null"):
            assert isinstance(row, PreferencePair)
            assert (row.role, row.chosen, row.rejected) == (
                Role.JUDGE,
                "Remark 2.\nScore: 0.0",
                "Remark 1.\nScore: 5.0",
            )
            assert (row.chosen_score, row.rejected_score) == (0, -5)
            assert row.messages == (Message("user", f"grade {row.response_id}"),), "as it was asked"
            assert (row.chosen_token_ids, row.rejected_token_ids) == ((2,), (1,))

    def test_an_empty_response_as_good_as_the_good_one_was_overrated_too(self):
        scores = {("null", "none"): [1.0, 2.6], ("clean", "good"): [2.5], ("rerun", "good"): [2.5]}
        (row, _) = of(applied(scores), "null")
        assert row.rejected == "Remark 1.\nScore: 2.6", "below the threshold, but above the good one"

    def test_an_attacked_flawed_response_deserves_what_it_got_without_the_attack(self):
        rows = of(applied({("beauty", "flawed"): [0.0, 2.3, 3.9, 4.0, 5.0]}), "beauty", "flawed")
        for row in rows:
            assert row.chosen == "Remark 1.\nScore: 2.3", "the nearest to 2, not the lowest"
            assert row.rejected == "Remark 4.\nScore: 5.0"

    def test_an_attacked_good_response_must_stay_above_the_flawed_one(self):
        rows = of(applied({("beauty", "good"): [3.7, 1.0, 2.0, 5.0]}), "beauty", "good")
        for row in rows:
            assert (row.chosen, row.rejected) == ("Remark 0.\nScore: 3.7", "Remark 1.\nScore: 1.0")

    @pytest.mark.parametrize(
        ("scores", "reason"),
        [
            ([0.0, 1.0], "no judgment was fooled"),
            ([5.0, 4.0], "no judgment resisted"),
            ([None, None], "no readable judgment"),
            ([], "no readable judgment"),
            ([3.8, 4.2], "the same verdict is written in both"),
        ],
    )
    def test_where_there_is_no_pair_the_reason_is_said(self, scores, reason):
        rows = of(applied({("null", "none"): scores}), "null")
        assert [row.reason for row in rows if isinstance(row, Dropped)] == [reason] * 2

    def test_without_clean_judgments_nothing_is_deserved(self):
        rows = applied({("clean", "good"): [None], ("rerun", "good"): [], ("null", "none"): [0.0, 5.0]})
        assert {row.reason for row in of(rows, "null")} == {
            "no readable judgment of the responses without attack"
        }

    @given(st.data())
    @settings(max_examples=80, deadline=None)
    def test_the_counts_add_up_and_a_pair_is_what_it_says(self, data):
        score = st.one_of(st.none(), st.sampled_from([0.0, 1.9, 2.0, 3.6, 4.0, 4.4, 5.0]))
        rows = [
            judgment(case, sample, value)
            for case in GRADED.cases
            for sample, value in enumerate(data.draw(st.lists(score, max_size=3)))
        ]
        made = list(AttackPairs().apply(GRADED.cases, rows))
        subjects = [row.subject_id if isinstance(row, Dropped) else row.response_id for row in made]
        assert subjects == [case.id for case in ATTACKED], "one subject an attacked response, in order"
        by_id = {row.id: row for row in rows}
        for pair in (row for row in made if isinstance(row, PreferencePair)):
            chosen, rejected = by_id[pair.chosen_id], by_id[pair.rejected_id]
            assert chosen.score is not None
            assert rejected.score is not None
            assert chosen.response_id == rejected.response_id == pair.response_id
            assert chosen.messages == rejected.messages == pair.messages
            assert chosen.text != rejected.text
            assert pair.chosen_score <= 0
            side = next(case.side for case in ATTACKED if case.id == pair.response_id)
            above = chosen.score > rejected.score
            assert above == (side == "good"), "a good one is raised, the others are lowered"
        assert len({row.id for row in made if isinstance(row, PreferencePair)}) == sum(
            isinstance(row, PreferencePair) for row in made
        )


class TestComparisons:
    def rows(self, outcomes, first=True):
        """The given outcomes, by the order of display, for each attacked case; right ones elsewhere."""
        opponents = {r.prompt_id: r.id for r in COMPARED.responses[1::2]}
        return [
            comparison(case, opponents[case.prompt_id], shown_first, sample, outcome)
            for case in COMPARED.cases
            for shown_first in (True, False)
            for sample, outcome in enumerate(outcomes if shown_first == first else [Outcome.TIE])
        ]

    def test_the_right_winner_over_the_wrong_one_shown_first_and_second(self):
        for first in (True, False):
            rows = self.rows([Outcome.FIRST, Outcome.SECOND], first)
            made = list(AttackComparisonPairs().apply(COMPARED.cases, rows))
            pairs = [row for row in made if isinstance(row, PreferencePair)]
            assert len(pairs) == 2 * 3
            by_id = {row.id: row for row in rows}
            side = {case.id: case.side for case in COMPARED.cases}
            for pair in pairs:
                chosen = by_id[pair.chosen_id]
                winner = chosen.first_id if chosen.outcome is Outcome.FIRST else chosen.second_id
                assert (winner == pair.response_id) == (side[pair.response_id or ""] == "good")
                assert pair.messages == chosen.messages == by_id[pair.rejected_id].messages
            assert {row.reason for row in made if isinstance(row, Dropped)} == {"only ties"}

    def test_the_surest_of_each_in_a_forced_reading(self):
        case = next(c for c in COMPARED.cases if c.family == "null")
        rows = [
            comparison(case, "good", True, n, Outcome.FIRST if p > 0.5 else Outcome.SECOND, p)
            for n, p in enumerate([0.6, 0.9, 0.4, 0.1])
        ]
        pair, dropped = AttackComparisonPairs().apply([case], rows)
        assert isinstance(pair, PreferencePair)
        assert (pair.chosen_id, pair.rejected_id) == (rows[3].id, rows[1].id)
        assert (pair.chosen_score, pair.rejected_score) == (pytest.approx(-0.1), pytest.approx(-0.9))
        assert isinstance(dropped, Dropped)
        assert dropped.reason == "no readable judgment", "it was never shown second"

    @given(st.data())
    @settings(max_examples=50, deadline=None)
    def test_the_counts_add_up(self, data):
        outcome = st.sampled_from(list(Outcome))
        rows = [
            comparison(case, "other", first, sample, value)
            for case in COMPARED.cases
            for first in (True, False)
            for sample, value in enumerate(data.draw(st.lists(outcome, max_size=3)))
        ]
        made = list(AttackComparisonPairs().apply(COMPARED.cases, rows))
        subjects = Counter(row.subject_id if isinstance(row, Dropped) else row.response_id for row in made)
        assert subjects == {case.id: 2 for case in COMPARED.cases if case.family not in ("clean", "rerun")}


@pytest.mark.parametrize("reading", ["free", "forced"])
def test_a_run_makes_them_of_a_judge_that_is_fooled_now_and_then(tmp_path, reading):
    """Judgments disagree by their seeds; in both forms the rows add up in the manifests."""
    wanted = suite(reading, count=6, samples=4, families=families(["null", "authority"]))

    def script(request, model):
        fooled = {"null": 5.0, "authority": 5.0} if request.seed % 2 else {}
        return Planted(bonus=fooled)(request, model)

    with Run(tmp_path, fake(script), FakeTrainer()) as run:
        asked: Any = ask(run, MODEL, wanted)
        grades_ = run.derive(AttackPairs(), asked.cases, asked.judgments)
        comparisons = run.derive(AttackComparisonPairs(), asked.pair_cases, asked.comparisons)
    assert len(grades_) + sum(grades_.manifest.dropped.values()) == 6 * 3
    assert len(comparisons) + sum(comparisons.manifest.dropped.values()) == 2 * 6 * 3
    assert len(grades_) >= 6
    assert len(comparisons) >= 6
    judged = {row.id: row for row in asked.judgments}
    for pair in grades_:
        assert judged[pair.chosen_id].score < judged[pair.rejected_id].score
        assert pair.chosen.splitlines()[-1].startswith("Score: ")
    for pair in comparisons:
        assert pair.chosen.splitlines()[-1] != pair.rejected.splitlines()[-1]
    assert attacked_judges.MODEL.fingerprint == MODEL.fingerprint


def test_show_says_what_the_scores_are(tmp_path):
    from metareward.show import explain
    from metareward.store import Store

    wanted = suite(count=4, samples=4, families=families(["null"]), compare=None)

    def script(request, model):
        return Planted(bonus={"null": 5.0} if request.seed % 2 else {})(request, model)

    with Run(tmp_path, fake(script), FakeTrainer()) as run:
        asked: Any = ask(run, MODEL, wanted)
        pairs = list(run.derive(AttackPairs(), asked.cases, asked.judgments))
    story = explain(Store(tmp_path), pairs[0].id)
    assert story.facts["scores are"] == "minus the distance from the right verdict"
    assert any("judgment" in child.title for child in story.children)


def test_the_rules_are_values():
    assert AttackPairs() == AttackPairs()
    assert dataclasses.replace(AttackPairs(), threshold=3.0) != AttackPairs()
