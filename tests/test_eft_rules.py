"""From ranks to demonstrations: what agrees, what a score is, and a set that length does not give away."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward import templates
from metareward.eft.balance import COMMON_SCORE, IN_NO_PAIR, LONGER_PREVAILS, Balanced
from metareward.eft.demonstrate import (
    DISAGREES,
    NEUTRAL,
    NO_JUSTIFICATION,
    NOTHING_BESIDE,
    Agreeing,
    Asking,
    FromRanks,
    Scale,
    justification_of,
)
from metareward.errors import ConfigError
from metareward.readers import read_score
from metareward.records import (
    Demonstration,
    Dropped,
    Finish,
    Judgment,
    Message,
    Prompt,
    Rating,
    Response,
)
from ranked_worlds import demonstration

ASKING = Asking(templates.shipped("judge_brief"))


def world(
    qualities: list[list[float]], scores: list[list[list[float | None]]] | None = None
) -> tuple[Any, ...]:
    """Prompts, responses, ratings and judgments; scores[prompt][response][draw]."""
    prompts, responses, ratings, judgments = [], [], [], []
    for p, row in enumerate(qualities):
        prompts.append(Prompt(f"p{p}", (Message("user", f"Question {p}?"),)))
        for r, quality in enumerate(row):
            name = f"p{p}r{r}"
            responses.append(Response(name, f"p{p}", 0, "given", f"Answer {r}.", None, Finish.STOP))
            ratings.append(Rating(f"q{name}", f"p{p}", name, quality))
            for draw, score in enumerate(scores[p][r] if scores else ()):
                judgments.append(judgment(name, draw, score))
    return prompts, responses, ratings, judgments


def judgment(response: str, draw: int, score: float | None) -> Judgment:
    text = f"A remark. Another one.\nScore: {score:g}" if score is not None else "A remark."
    unread = "no verdict line" if score is None else None
    asked = (Message("user", "?"),)
    name = f"{response}j{draw}"
    return Judgment(name, response[:2], response, draw, "m", asked, text, (1, 2), Finish.STOP, score, unread)


def kept(rows: list[Any]) -> list[str | None]:
    return [row.judgment_id for row in rows if isinstance(row, Demonstration)]


def reasons(rows: list[Any]) -> Counter[str]:
    return Counter(row.reason for row in rows if isinstance(row, Dropped))


# Agreement


def test_the_draws_that_order_responses_as_people_do_are_kept_whole():
    given_ = world([[0.9, 0.1, 0.5]], [[[5, 1, 4], [1, 5, 0], [3, 3, 4]]])
    rows = list(Agreeing(ASKING).apply(*given_))
    assert kept(rows) == ["p0r0j0", "p0r1j0", "p0r2j0"]
    assert reasons(rows) == {DISAGREES: 6}
    (first, *_) = [row for row in rows if isinstance(row, Demonstration)]
    assert (first.text, first.token_ids, first.score, first.quality) == (
        "A remark. Another one.\nScore: 5",
        (1, 2),
        5,
        0.9,
    )


def test_a_tie_is_no_agreement_and_equal_ranks_ask_for_none():
    for people in ([0.9, 0.1], [0.1, 0.9]):
        assert not kept(list(Agreeing(ASKING).apply(*world([people], [[[3], [3]]]))))
    assert kept(list(Agreeing(ASKING).apply(*world([[0.9, 0.9, 0.1]], [[[5], [3], [1]]])))) != []
    rows = list(Agreeing(ASKING, margin=0.9).apply(*world([[0.9, 0.1]], [[[5], [1]]])))
    assert reasons(rows) == {NOTHING_BESIDE: 2}


def test_what_cannot_be_read_is_left_out_and_the_others_are_compared():
    rows = list(Agreeing(ASKING).apply(*world([[0.9, 0.5, 0.1]], [[[5], [None], [1]]])))
    assert kept(rows) == ["p0r0j0", "p0r2j0"]
    assert reasons(rows) == {"no verdict line": 1}
    rows = list(Agreeing(ASKING).apply(*world([[0.9, 0.1]], [[[5], [None]]])))
    assert reasons(rows) == {NOTHING_BESIDE: 1, "no verdict line": 1}


grades = st.none() | st.sampled_from([0.0, 1.0, 2.5, 5.0])
graded = st.tuples(st.sampled_from([0.0, 0.3, 1.0]), st.tuples(grades, grades))


@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from([0.0, 0.3, 1.0]), st.tuples(grades, grades)), min_size=1, max_size=3
        ),
        max_size=4,
    )
)
def test_every_judgment_is_kept_or_left_out_for_a_reason(drawn: list[Any]):
    given_ = world([[q for q, _ in row] for row in drawn], [[list(s) for _, s in row] for row in drawn])
    for rule in (Agreeing(ASKING), FromRanks(ASKING, "own")):
        rows = list(rule.apply(*given_))
        assert len(rows) == len(given_[3])
        assert len(kept(rows)) + reasons(rows).total() == len(given_[3])
    rows = list(FromRanks(ASKING, "neutral").apply(*given_[:3]))
    assert len(rows) == len(given_[1])


# Verdicts of people


def test_a_quality_becomes_the_sixth_of_the_set_that_it_lies_in():
    scale = Scale(tuple(n / 12 for n in range(12)))
    assert [scale.score(n / 12) for n in range(12)] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    many = Scale((0.0,) * 6 + (1.0,) * 6)
    assert (many.score(0.0), many.score(1.0)) == (1, 4), "equal qualities take the middle of their places"


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30))
def test_the_better_never_scores_lower(qualities: list[float]):
    scale = Scale(tuple(sorted(qualities)))
    scores = [scale.score(quality) for quality in sorted(qualities)]
    assert scores == sorted(scores)
    assert all(0 <= score <= 5 for score in scores)


def test_the_verdict_is_readable_and_its_order_is_that_of_people_whatever_the_judge_said():
    given_ = world([[0.1, 0.9], [0.2, 0.8]], [[[5], [0]], [[4], [1]]])
    for rule, rows in (("own", given_), ("neutral", given_[:3])):
        own = FromRanks(ASKING, rule)  # type: ignore[arg-type]
        made = [row for row in own.apply(*rows) if isinstance(row, Demonstration)]
        scores: list[Any] = [read_score(row.text, Finish.STOP).score for row in made]
        assert scores == [row.score for row in made]
        assert scores[0] < scores[1]
        assert scores[2] < scores[3]
        assert all(row.token_ids is None for row in made), "the sampled tokens say another verdict"
        assert all(
            row.text.startswith("A remark. Another one.\n" if rule == "own" else NEUTRAL) for row in made
        )


def test_a_judgment_without_a_whole_sentence_justifies_nothing():
    assert justification_of("One. Two and\nScore: 3") == "One."
    assert justification_of("**Score: 3**\nBut then.") == ""
    assert justification_of("Fine!\n\nYes, 3.5 of it. Sc") == "Fine! Yes, 3.5 of it."
    made = world([[0.1, 0.9]], [[[None], [3]]])
    made[3][0] = judgment("p0r0", 0, 2)
    object.__setattr__(made[3][0], "text", "Score: 2")
    assert reasons(list(FromRanks(ASKING).apply(*made))) == {NO_JUSTIFICATION: 1}


def test_a_share_answers_another_template_and_it_is_the_same_share_each_time():
    asking = Asking("{{ conversation }} {{ response }} one", "{{ conversation }} {{ response }} two", 0.3)
    prompts, responses, *_ = world([[0.0] * 400])
    asked = [asking.messages(prompts[0], response)[0].content for response in responses]
    share = sum(text.endswith("two") for text in asked) / len(asked)
    assert 0.2 < share < 0.4
    assert asked == [asking.messages(prompts[0], response)[0].content for response in responses]
    with pytest.raises(ConfigError, match="other_template"):
        Asking("x", other_share=0.1)


# Balance


def rows_of(*prompts: list[tuple[float, int, float]]) -> list[Demonstration]:
    """(quality, length, score) of each response of each prompt."""
    flat = [(p, *one) for p, row in enumerate(prompts) for one in row]
    return [demonstration(n, p, q, length, score) for n, (p, q, length, score) in enumerate(flat)]


def taken(rule: Balanced, rows: list[Demonstration]) -> Counter[str]:
    return Counter(row.response_id for row in rule.apply(rows) if isinstance(row, Demonstration))


LONGER = [(0.0, 100, 0.0), (1.0, 300, 5.0)]
SHORTER = [(0.0, 300, 0.0), (1.0, 100, 5.0)]
ALIKE = [(0.0, 100, 0.0), (1.0, 110, 5.0)]


def test_strata_are_told_apart_and_no_sign_is_swapped():
    rule = Balanced()
    shorter, matched, longer = rule.strata(rows_of(LONGER, SHORTER, ALIKE))
    ((better, worse),) = shorter
    assert (better.length, worse.length) == (100, 300)
    assert better.quality is not None
    assert worse.quality is not None
    assert better.quality > worse.quality
    ((better, worse),) = longer
    assert (better.length, worse.length) == (300, 100)
    assert len(matched) == 1


def test_pairs_whose_longer_side_is_better_are_taken_only_as_often_as_the_others():
    rows = rows_of(*[LONGER] * 8, SHORTER, ALIKE)
    rule = Balanced(scores=False)
    made = list(rule.apply(rows))
    used = taken(rule, rows)
    assert used["r16"] == used["r17"] == used["r18"] == used["r19"] == 1, "shorter better, and matched: all"
    assert sum(used[f"r{n}"] for n in range(16)) == 2, "one pair of the eight"
    assert reasons(made) == {LONGER_PREVAILS: 14}
    assert sum(taken(Balanced(longer_share=3.0, scores=False), rows)[f"r{n}"] for n in range(16)) == 6
    assert sum(taken(Balanced(longer_share=None, scores=False), rows).values()) == len(rows)


def test_one_that_is_shorter_and_better_than_several_comes_several_times():
    rows = rows_of([(1.0, 50, 5.0), (0.0, 200, 0.0), (0.1, 300, 1.0), (0.2, 400, 1.0)])
    rule = Balanced(scores=False, longer_share=0.01)
    assert taken(rule, rows) == {"r0": 3, "r1": 1, "r2": 1, "r3": 1}
    assert taken(Balanced(scores=False, longer_share=0.01, most_copies=2), rows)["r0"] == 2
    ids = [row.id for row in rule.apply(rows) if isinstance(row, Demonstration)]
    assert len(set(ids)) == len(ids)


def test_the_most_common_score_is_as_common_as_the_next():
    rows = rows_of(*[[(0.0, 100, 0.0), (1.0, 105, 4.0)]] * 5, *[[(0.0, 100, 0.0), (1.0, 105, 5.0)]] * 3)
    made = list(Balanced().apply(rows))
    scores = Counter(row.score for row in made if isinstance(row, Demonstration))
    assert scores == {0: 5, 4: 5, 5: 3}
    assert reasons(made) == {COMMON_SCORE: 3}


def test_ranks_that_do_not_differ_enough_make_no_pair():
    rows = rows_of([(0.5, 100, 3.0), (0.6, 300, 3.0)])
    assert reasons(list(Balanced(margin=0.15).apply(rows))) == {IN_NO_PAIR: 2}


responses_ = st.tuples(
    st.sampled_from([0.0, 0.4, 1.0]), st.integers(1, 400), st.sampled_from([0.0, 2.0, 5.0])
)


@given(
    st.lists(st.lists(responses_, max_size=4), max_size=6),
    st.sampled_from([None, 0.5, 1.0, 3.0]),
    st.booleans(),
    st.integers(1, 3),
)
def test_every_demonstration_is_taken_or_left_out_and_equal_seeds_take_the_same(
    drawn: Any, share: float | None, scores: bool, most: int
):
    rows = rows_of(*drawn)
    rule = Balanced(longer_share=share, scores=scores, most_copies=most)
    made = list(rule.apply(rows))
    used, left = taken(rule, rows), [row.subject_id for row in made if isinstance(row, Dropped)]
    assert len(used) + len(left) == len(rows)
    assert not {row.id for row in rows if row.response_id in used} & set(left)
    assert all(count <= most for count in used.values())
    assert made == list(rule.apply(rows))


def test_length_tells_less_of_the_verdict_than_before():
    generator = np.random.default_rng(0)
    prompts = []
    for _ in range(200):
        lengths = generator.integers(50, 1000, 3)
        worth = np.log(lengths) + generator.normal(0, 0.5, 3)
        each = zip(worth, lengths, strict=True)
        prompts.append([(float(w), int(n), float(np.clip(w - 3, 0, 5))) for w, n in each])
    rows = rows_of(*prompts)
    even = [row for row in Balanced(longer_share=0.5).apply(rows) if isinstance(row, Demonstration)]
    assert correlation(rows) > 0.7
    assert correlation(even) < correlation(rows) - 0.1


def correlation(rows: list[Demonstration]) -> float:
    scores = np.array([row.score for row in rows], dtype=float)
    return float(np.corrcoef(scores, [math.log(row.length) for row in rows])[0, 1])


@pytest.mark.parametrize(
    "changes", [{"longer_share": 0.0}, {"matched": 0.9}, {"margin": -1.0}, {"most_copies": 0}, {"seed": -1}]
)
def test_settings_out_of_their_range_are_named(changes: dict[str, Any]):
    with pytest.raises(ConfigError, match=f"eft.{next(iter(changes))}"):
        Balanced(**changes)
