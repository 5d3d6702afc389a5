"""Rank agreement with people: signs, ties, unread scores, the length rule beside it; real ratings."""

import os
from itertools import combinations
from pathlib import Path

import pytest

from metareward.errors import DataError
from metareward.evaluate.judge_data import read_ranked
from metareward.evaluate.judge_ranks import Scored, score

DATA = Path(os.environ.get("METAREWARD_DATA", Path(__file__).parents[2] / "shared" / "data"))


def rows(judge, prompts=6):
    """Three responses a prompt, better ones longer; `judge` scores a quality."""
    return [
        Scored(f"p{p}", float(quality), judge(quality), 10 + quality)
        for p in range(prompts)
        for quality in range(3)
    ]


@pytest.mark.parametrize(("judge", "sign"), [(float, 1), (lambda quality: 5.0 - quality, -1)])
def test_a_judge_that_ranks_as_people_do_and_one_that_ranks_the_other_way(judge, sign):
    said = score(rows(judge))
    assert said["spearman"]["value"] == said["kendall"]["value"] == sign
    assert said["pooled_spearman"] == pytest.approx(sign)
    assert said["pairwise"]["value"] == (1.0 if sign > 0 else 0.0)
    assert said["best_of"]["value"] == (1.0 if sign > 0 else 0.0)
    assert said["chance_best_of"] == pytest.approx(1 / 3)
    assert said["length_baseline"]["value"] == 1.0
    assert said["pairwise_shorter_is_better"] is None


def test_a_judge_that_says_the_same_of_all():
    said = score(rows(lambda _: 4.0))
    assert said["pairwise"]["value"] == 0.5
    assert said["pairwise_without_ties"] is None
    assert said["spearman"] is None
    assert said["pooled_spearman"] is None
    assert said["best_of"]["value"] == pytest.approx(1 / 3)
    assert said["calibration"] == [{"score": 4, "quality": 1.0, "n": 18}]


def test_unread_scores_are_counted_and_left_out():
    some = rows(float)
    some[0] = Scored("p0", 0.0, None, 10)
    said = score(some)
    assert (said["unread_scores"], said["n"]) == (1, 18)
    assert said["pairwise"]["value"] == 1.0


def test_longer_and_shorter_are_apart():
    good_is_short = [Scored("p", 1.0, 1.0, 5), Scored("p", 0.0, 2.0, 50)]
    good_is_long = [Scored("q", 1.0, 3.0, 50), Scored("q", 0.0, 2.0, 5)]
    said = score(good_is_short + good_is_long)
    assert said["pairwise_longer_is_better"]["value"] == 1.0
    assert said["pairwise_shorter_is_better"]["value"] == 0.0
    assert said["length_baseline"]["value"] == 0.5


@pytest.mark.parametrize("some", [[], [Scored("p", 1.0, 2.0, 3)], [Scored("p", 1.0, 2.0, 3)] * 2])
def test_nothing_to_rank_is_an_error_with_counts(some):
    with pytest.raises(DataError, match=f"{len(some)} responses"):
        score(some)


def test_people_prefer_the_longer_in_the_real_ratings():
    """82 % of the 3,119 pairs that differ by more than .15: the rule a judge has to beat."""
    path = DATA / "oasst" / "oasst2_eft_quality.jsonl"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    rated, unrated = read_ranked(path)
    assert (len(rated) + unrated, unrated) == (2844, 56)
    groups: dict[str, list] = {}
    for row in rated:
        groups.setdefault(row.cluster, []).append(row)
    clear = [
        (len(a.response) - len(b.response)) * (a.quality - b.quality)
        for group in groups.values()
        for a, b in combinations(group, 2)
        if abs(a.quality - b.quality) > 0.15
    ]
    assert len(clear) == 3119
    assert sum(product > 0 for product in clear) / len(clear) == pytest.approx(0.823, abs=0.002)
    said = score(
        [Scored(row.cluster, row.quality, float(len(row.response)), len(row.response)) for row in rated]
    )
    assert said["pairwise"]["value"] == said["length_baseline"]["value"] > 0.75
