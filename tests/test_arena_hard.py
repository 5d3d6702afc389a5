"""Arena-Hard: scores and intervals of both scripts, against a fit and a bootstrap written as theirs are."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from metareward.cli.app import app
from metareward.errors import ConfigError, DataError
from metareward.evaluate.arena_files import read_battles
from metareward.evaluate.arena_hard import Fought, Games, battles_of, score

DATA = Path(os.environ.get("METAREWARD_DATA", Path(__file__).parents[2] / "shared" / "data"))
BASE = "claude-3-haiku-20240307"


def many(seed=0, count=400, models=("x", "y"), cross=False):
    generator = np.random.default_rng(seed)
    battles = []
    for _ in range(count):
        first, second = ("base", models[generator.integers(len(models))])
        if cross and generator.random() < 0.3:
            first, second = models[0], models[1]
        battles.append(Fought(first, second, float(generator.choice([0, 0.5, 1], p=[0.5, 0.1, 0.4]))))
    return battles


def fitted(battles, baseline, rows=None):
    """The published fit: each battle twice, a tie once for each side, logistic regression, base-10 Elo."""
    linear = pytest.importorskip("sklearn.linear_model")
    names = sorted({name for battle in battles for name in (battle.first, battle.second)})
    place = {name: number for number, name in enumerate(names)}
    chosen = battles if rows is None else [battles[row] for row in rows]
    features, target = np.zeros((2 * len(chosen), len(names))), np.zeros(2 * len(chosen))
    for half in (0, 1):
        for number, battle in enumerate(chosen):
            row = number + half * len(chosen)
            features[row, place[battle.first]] = math.log(10)
            features[row, place[battle.second]] = -math.log(10)
            target[row] = battle.won if battle.won != 0.5 else float(half == 0)
    model = linear.LogisticRegression(fit_intercept=False, C=np.inf, tol=1e-8, max_iter=1000)
    elo = 400 * model.fit(features, target).coef_[0]
    return {name: 100 / (1 + 10 ** ((elo[place[baseline]] - elo[place[name]]) / 400)) for name in names}


@pytest.mark.parametrize("cross", [False, True])
def test_the_score_is_that_of_the_published_fit(cross):
    battles = many(cross=cross)
    ours, theirs = score(battles, "base", rounds=2), fitted(battles, "base")
    for name in ("x", "y"):
        assert ours[name]["score"] == pytest.approx(theirs[name], abs=0.01)


def test_intervals_come_from_the_same_resamples_as_the_published_ones():
    battles = many(count=120)
    ours = score(battles, "base", rounds=12)
    generator = np.random.RandomState(42)
    fits = [
        fitted(battles, "base", generator.choice(len(battles), size=len(battles), replace=True))
        for _ in range(12)
    ]
    for name in ("x", "y"):
        rates = [fit[name] for fit in fits]
        assert ours[name]["lower"] == pytest.approx(np.percentile(rates, 2.5), abs=0.02)
        assert ours[name]["upper"] == pytest.approx(np.percentile(rates, 97.5), abs=0.02)


def test_against_the_baseline_alone_the_score_is_the_share_of_wins():
    battles = [Fought("base", "x", won) for won in (0, 0, 0, 1, 0.5)]
    assert score(battles, "base")["x"]["score"] == pytest.approx(70)
    turned = [Fought("x", "base", 1 - battle.won) for battle in battles]
    assert score(turned, "base")["x"] == score(battles, "base")["x"]


def test_swapping_who_won_mirrors_the_score():
    battles = many(seed=3, cross=True)
    mirrored = [Fought(b.first, b.second, 1 - b.won) for b in battles]
    straight, mirror = score(battles, "base", rounds=2), score(mirrored, "base", rounds=2)
    for name in ("x", "y"):
        assert straight[name]["score"] + mirror[name]["score"] == pytest.approx(100, abs=1e-6)


def test_a_model_that_wins_everything_has_a_score_and_no_nan():
    battles = [Fought("base", "x", 0.0)] * 20 + [Fought("x", "y", 1.0)] * 5
    for method in ("bradley-terry", "mean"):
        if method == "mean":
            with pytest.raises(DataError, match="'y' fought no battle"):
                score(battles, "base", "mean")
            continue
        found = score(battles, "base", method, rounds=5)
        assert found["x"]["score"] > 99
        assert all(math.isfinite(value) for one in found.values() for value in one.values())


def test_the_newer_script_takes_the_mean_of_resamples_and_ninety_percent():
    battles = many(count=300)
    found = score(battles, "base", "mean")
    for name in ("x", "y"):
        won = [1 - battle.won for battle in battles if battle.second == name]
        spread = float(100 * np.std(won) / math.sqrt(len(won)))
        assert found[name]["score"] == pytest.approx(100 * np.mean(won), abs=spread)
        assert found[name]["upper"] - found[name]["lower"] == pytest.approx(2 * 1.645 * spread, rel=0.4)


VERDICTS = {"A>>B": (1, 3), "A>B": (1, 1), "A=B": (0.5, 1), "B>A": (0, 1), "B>>A": (0, 3), None: None}


@given(st.lists(st.tuples(*[st.sampled_from(list(VERDICTS))] * 2), min_size=1, max_size=6))
def test_both_games_count_from_the_baselines_side_and_heavy_verdicts_three_times(labels):
    games = [Games(str(n), "x", first, second) for n, (first, second) in enumerate(labels)]
    fought, unread = battles_of(games, "base")
    expected = []
    for first, second in labels:
        if VERDICTS[first]:
            expected += [VERDICTS[first][0]] * VERDICTS[first][1]
        if VERDICTS[second]:
            expected += [1 - VERDICTS[second][0]] * VERDICTS[second][1]
    assert [battle.won for battle in fought] == expected
    assert unread == sum(label is None for pair in labels for label in pair)
    newer, _ = battles_of(games, "base", "mean")
    whole = [pair for pair in labels if None not in pair]
    assert len(newer) == sum(VERDICTS[a][1] + VERDICTS[b][1] for a, b in whole)


def test_an_unknown_verdict_is_an_error():
    with pytest.raises(DataError, match="no verdict of Arena-Hard"):
        battles_of([Games("1", "x", "A>>>B", None)], "base")


def battle_file():
    path = DATA / "arena_hard" / "battles_claude-3-haiku-baseline_20240908.jsonl"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return path


def test_the_published_battles_give_what_the_published_fit_gives():
    battles, unread = read_battles(battle_file(), BASE, "bradley-terry")
    assert (len(battles), unread) == (1348, 0)
    ours, theirs = score(battles, BASE), fitted(battles, BASE)
    assert set(ours) == {"gpt-4o", "claude-3-5-sonnet-20240620", "claude-3-opus-20240229"}
    for name, one in ours.items():
        assert one["score"] == pytest.approx(theirs[name], abs=0.1)
        assert one["lower"] < one["score"] < one["upper"]


def run(*arguments):
    return CliRunner().invoke(app, ["eval", "arena-hard", *map(str, arguments)])


def test_the_command_scores_a_file():
    result = run("--battles", battle_file(), "--baseline", BASE, "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.output)
    assert {"score", "lower", "upper"} <= set(said["models"]["gpt-4o"])
    assert "gpt-4o" in run("--battles", battle_file(), "--baseline", BASE).output


def judgments(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def test_a_judges_games_are_read_in_the_old_and_the_new_form(tmp_path):
    old = {"question_id": "1", "model": "x", "judge": "j", "games": [{"score": "B>>A"}, {"score": "A>B"}]}
    new = {"uid": "2", "model": "x", "category": "hard", "games": [{"score": None}, None]}
    battles, unread = read_battles(judgments(tmp_path / "j.jsonl", [old, new]), "base", "bradley-terry")
    assert [battle.won for battle in battles] == [0, 0, 0, 0]
    assert unread == 2
    assert score(battles, "base")["x"]["score"] == 100


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"i": 0, "preference": 1.5}], "1 of 1 rows are of another form"),
        ([{"model_a": "a", "model_b": "b", "winner": "c"}], "have no winner among"),
        ([{"model_a": "a", "model_b": "a", "winner": "tie"}], "let a model fight itself"),
        ([{"model_a": 1, "model_b": "b", "winner": "tie"}], "name no two models"),
        ([{"model": "x", "games": [{"score": "A>B"}]}], "have not two games"),
        ([{"model": "x", "games": [None, None]}] * 3, "none of 6 games has a verdict"),
        ([{"model_a": "a", "model_b": "b", "winner": "tie"}], "no battle of 'base'"),
    ],
)
def test_files_that_do_not_fit_are_one_error_with_counts(tmp_path, rows, said):
    with pytest.raises(DataError, match=said):
        battles, _ = read_battles(judgments(tmp_path / "x.jsonl", rows), "base", "bradley-terry")
        score(battles, "base")


def test_settings_are_checked():
    with pytest.raises(ConfigError, match="rounds"):
        score(many(), "base", rounds=1)
    with pytest.raises(ConfigError, match="weight"):
        battles_of([], "base", weight=0)
