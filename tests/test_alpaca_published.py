"""The published leaderboard, from the published annotations: all models whose files are at hand."""

import csv
import json
import math
import statistics

import pytest

from alpaca_worlds import PUBLISHED, needs_published
from metareward.evaluate import alpaca_eval
from metareward.evaluate.alpaca_eval import LengthControl, score
from metareward.evaluate.annotations import Annotations, read_annotations, read_instructions
from metareward.evaluate.tables import read_baseline_rows, read_difficulty, read_weights
from metareward.stages.prefer import is_switched, preference, probability_of_first

pytestmark = needs_published
WEIGHTS = PUBLISHED / "glm_weights_lc_v1_shared.csv"
MODELS = sorted(path.stem for path in (PUBLISHED / "annotations").glob("*.jsonl"))


@pytest.fixture(scope="module")
def leaderboard():
    with (PUBLISHED / "leaderboard_weighted_alpaca_eval_gpt4_turbo_shared.csv").open() as file:
        return {row[""]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def difficulty():
    return read_difficulty(PUBLISHED / "instruction_difficulty_recovered.csv")


@pytest.fixture(scope="module")
def gamed():
    return read_baseline_rows(PUBLISHED / "df_gamed_surrogate.csv")


def annotations(model):
    return read_annotations(PUBLISHED / "annotations" / f"{model}.jsonl")


@pytest.mark.parametrize("model", MODELS)
def test_win_rate_error_and_counts(leaderboard, model):
    found, expected = score(annotations(model)), leaderboard[model]
    assert found["win_rate"] == pytest.approx(float(expected["win_rate"]), abs=1e-6)
    assert found["standard_error"] == pytest.approx(float(expected["standard_error"]), abs=1e-6)
    assert found["discrete_win_rate"] == pytest.approx(float(expected["discrete_win_rate"]), abs=1e-9)
    counts = [found[name] for name in ("n", "n_wins", "n_wins_baseline", "n_ties", "avg_length")]
    names = ("n_total", "n_wins", "n_wins_base", "n_draws", "avg_length")
    assert counts == [int(expected[name]) for name in names]


@pytest.mark.parametrize("model", MODELS)
def test_length_controlled_rate_from_the_published_weights(leaderboard, difficulty, model):
    control = LengthControl(difficulty, weights=read_weights(WEIGHTS, model))
    found, expected = score(annotations(model), control), leaderboard[model]
    assert found["lc_win_rate"] == pytest.approx(float(expected["length_controlled_winrate"]), abs=1e-4)
    if expected["lc_standard_error"]:
        assert found["lc_standard_error"] == pytest.approx(float(expected["lc_standard_error"]), abs=1e-4)


def test_length_controlled_rates_from_our_own_fits(monkeypatch, leaderboard, difficulty, gamed):
    monkeypatch.setattr(alpaca_eval, "_RESAMPLES", 2)  # the intervals are not looked at here
    away = []
    for model in MODELS:
        found = score(annotations(model), LengthControl(difficulty, gamed))
        away.append(abs(found["lc_win_rate"] - float(leaderboard[model]["length_controlled_winrate"])))
        published = leaderboard[model]["lc_standard_error"]
        if published:
            assert found["lc_standard_error"] == pytest.approx(float(published), abs=2e-3)
    assert len(away) == 15
    assert max(away) < 0.1
    assert statistics.median(away) < 0.01


@pytest.mark.parametrize("model", ["Meta-Llama-3-8B-Instruct", "Mistral-7B-Instruct-v0.2"])
def test_models_without_annotations_from_their_weights_alone(leaderboard, difficulty, model):
    chances = read_weights(WEIGHTS, model).win_probabilities(difficulty)
    expected = float(leaderboard[model]["length_controlled_winrate"])
    assert 100 * chances.mean() == pytest.approx(expected, abs=1e-4)


def test_a_row_that_is_missing_shifts_the_difficulties_as_in_the_published_code(difficulty):
    """Leaderboard models with 801 to 804 rows were scored so; joined by instruction they would differ."""
    rows = annotations("claude-2").rows
    short = Annotations(rows[:100] + rows[101:])
    weights = read_weights(WEIGHTS, "claude-2")
    found = score(short, LengthControl(difficulty, weights=weights))
    expected = 100 * weights.win_probabilities(difficulty[:804]).mean()
    assert (found["missing"], found["n"]) == (1, 804)
    assert found["lc_win_rate"] == pytest.approx(expected, abs=1e-10)
    right = score(short, LengthControl(difficulty, weights=weights, by_number=True))
    assert right["lc_win_rate"] != pytest.approx(expected, abs=1e-4)


def published_logs():
    with (PUBLISHED / "logprobs" / "gemma-2b-it.jsonl").open() as file:
        return [json.loads(line) for line in file]


def test_the_order_on_display_is_the_published_one():
    instructions = read_instructions(PUBLISHED / "instructions.jsonl")
    shown = [is_switched(instructions[row["i"]].text) for row in published_logs()]
    assert shown == [row["switched"] for row in published_logs()]
    assert 350 < sum(shown) < 450


def test_preferences_come_from_the_published_log_probabilities_exactly():
    rows = {row.number: row for row in annotations("gemma-2b-it").rows}
    for row in published_logs():
        logs = [row["top_logprobs"].get(token, -math.inf) for token in ("m", "M")]
        first = probability_of_first(*logs)
        assert first is not None
        assert preference(first, row["switched"]) == pytest.approx(row["preference"], abs=1e-10)
        assert row["preference"] - 1 == rows[row["i"]].preference
