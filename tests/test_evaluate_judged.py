"""[evaluate.arena_hard], [evaluate.mt_bench] and [evaluate.judge_pairs]: built from files, in a whole run."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from metareward import session
from metareward.cli.eval import eval_app
from metareward.errors import ConfigError, DataError
from metareward.evaluate.arena_ask import ArenaHard
from metareward.evaluate.chosen import KINDS
from metareward.evaluate.judge_ask import JudgePairs
from metareward.evaluate.mt_ask import MTBench
from metareward.events import ignore
from mt_worlds import QUESTIONS, REFERENCES, baseline
from test_evaluate_config import load


def write(tmp_path):
    turns = [{"question_id": q.id, "category": q.category, "turns": q.turns} for q in QUESTIONS]
    tables = {"mt": turns, "arena": [{"uid": str(n), "prompt": f"Do thing {n}."} for n in range(4)]}
    tables["arena_base"] = [{"uid": str(n), "answer": f"Done {n}."} for n in range(4)]
    for name, answers in (("mt_base", baseline()), ("mt_refs", REFERENCES)):
        tables[name] = [{"question_id": q, "choices": [{"turns": a}]} for q, a in answers.items()]
    tables["pairs"] = [{"prompt": f"Ask {n}?", "chosen": "Yes.", "rejected": "No."} for n in range(5)]
    for name, rows in tables.items():
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))


MT = "[evaluate.mt_bench]\nquestions = 'mt.jsonl'\nreading = 'forced'\n"
ARENA = (
    "[evaluate.arena_hard]\nquestions = 'arena.jsonl'\nbaseline = 'arena_base.jsonl'\nreading = 'forced'\n"
)
PAIRS = "[evaluate.judge_pairs]\npairs = 'pairs.jsonl'\nreading = 'forced'\n"


def test_every_model_is_evaluated_by_all_of_them(tmp_path):
    write(tmp_path)
    loaded = load(tmp_path, MT + "references = 'mt_refs.jsonl'\nlimit = 3\n" + ARENA + "limit = 2\n" + PAIRS)
    before = session.sketch(loaded)
    done = session.execute(loaded, ignore)
    for entry in done["models"]:
        told = entry["evaluations"]
        assert told["mt_bench"]["n"] == 3
        assert 1 <= told["mt_bench"]["score"]["value"] <= 10
        assert told["arena_hard"]["games"] == 4
        assert told["judge"]["n"] == 5
    assert {step.state for step in session.sketch(loaded).steps} == {"done"}
    planned = {step.step: step.calls for step in before.steps if step.section == "held-out M0"}
    assert planned["compare"] == 2 * 5
    assert planned["five_way"] == 2 * 2


def test_the_judge_that_is_measured_is_each_iterations_model(tmp_path):
    write(tmp_path)
    loaded = load(tmp_path, PAIRS + "limit = 3")
    session.execute(loaded, ignore)
    store = session.open_store(tmp_path / "run")
    models = [m.model for _, m in store.manifests(whole_only=True) if m.name == "compare"]
    assert len(models) == len(set(models)) == 2


def test_a_judge_without_verdicts_says_so_and_the_run_goes_on(tmp_path):
    """The fake engine writes no rating where none is forced."""
    write(tmp_path)
    done = session.execute(load(tmp_path, MT.replace("forced", "free")), ignore)
    for entry in done["models"]:
        assert "none of 12 judgments has a rating" in entry["evaluations"]["mt_bench"]["error"]


def test_settings_reach_the_evaluations(tmp_path):
    write(tmp_path)
    more = MT + "baseline = 'mt_base.jsonl'\nmax_tokens = 7\njudge_tokens = 8\nseed = 3\nlimit = 2\n"
    more += ARENA + "max_tokens = 9\njudge_tokens = 10\nmethod = 'mean'\n"
    more += PAIRS + "form = 'pointwise'\nbrief = true\nlimit = 2\njudge_tokens = 11\n"
    arena, mt, pairs = load(tmp_path, more).evaluate.build(tmp_path)
    assert isinstance(arena, ArenaHard)
    assert (arena.generate.max_tokens, arena.judge.max_tokens, arena.method) == (9, 10, "mean")
    assert (arena.judge.reading, len(arena.questions)) == ("forced", 4)
    assert isinstance(mt, MTBench)
    assert (mt.generate.max_tokens, mt.generate.seed, len(mt.questions)) == (7, 3, 2)
    assert mt.rate.max_tokens == mt.compare.max_tokens == 8
    assert mt.rate.reading == mt.compare.reading == "forced"
    assert mt.baseline is not None
    assert mt.references is None
    assert isinstance(pairs, JudgePairs)
    assert (pairs.form, len(pairs.pairs), pairs.judge.reading) == ("pointwise", 2, "forced")
    assert pairs.judge.max_tokens == pairs.compare.max_tokens == 11
    assert len(pairs.judge.template) < len(JudgePairs(()).judge.template)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[evaluate.mt_bench]", r"evaluate\.mt_bench\.questions"),
        (MT + "limits = 3", r"unknown setting 'limits' in \[evaluate.mt_bench\]; did you mean 'limit'"),
        (MT + "limit = 0", r"evaluate\.mt_bench\.limit must be at least 1"),
        (MT + "judge_tokens = 0", r"evaluate\.mt_bench\.judge_tokens must be at least 1"),
        (MT.replace("forced", "loud"), r"evaluate\.mt_bench\.reading"),
        ("[evaluate.arena_hard]\nquestions = 'x'", r"evaluate\.arena_hard\.baseline"),
        (ARENA + "method = 'elo'", r"evaluate\.arena_hard\.method"),
        ("[evaluate.judge_pairs]", r"evaluate\.judge_pairs\.pairs"),
        (PAIRS + "form = 'both'", r"evaluate\.judge_pairs\.form"),
        ("[evaluate.judge]\npairs = 'x'", r"evaluate\.judge must be a text"),
        ("[evaluate.judge_pair]\npairs = 'x'", r"unknown setting 'judge_pair' .* did you mean 'judge_pairs'"),
    ],
)
def test_mistakes_in_them_are_named(tmp_path, more, said):
    write(tmp_path)
    with pytest.raises(ConfigError, match=said):
        load(tmp_path, more)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (MT.replace("mt.jsonl", "none.jsonl"), r"none\.jsonl: there is no such file"),
        (MT.replace("mt.jsonl", "pairs.jsonl"), "5 of 5 rows are of another form"),
        (MT + "references = 'mt.jsonl'", "6 of 6 rows are of another form"),
        (ARENA.replace("arena_base", "pairs"), "5 of 5 rows are of another form"),
        (PAIRS.replace("pairs.jsonl", "mt.jsonl"), "6 of 6 rows are of another form"),
    ],
)
def test_files_that_cannot_be_used_stop_the_run_before_anything_is_spent(tmp_path, more, said):
    write(tmp_path)
    with pytest.raises(DataError, match=said):
        session.execute(load(tmp_path, more), ignore)
    assert not (tmp_path / "run/artifacts").exists()


def test_questions_that_are_trained_on_are_found_in_both_turns(tmp_path):
    write(tmp_path)
    loaded = load(tmp_path, MT + "limit = 6", extra=["Second question 3?"])
    (overlap,) = session.execute(loaded, ignore)["contaminated"]
    assert (overlap["evaluation"], overlap["item"]) == ("mt_bench", "Second question 3?")


DOCS = (Path(__file__).parent.parent / "docs" / "evaluate.md").read_text(encoding="utf-8")


def test_the_config_that_the_docs_show_loads(tmp_path):
    (shown,) = re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL)
    evaluate = load(tmp_path, shown).evaluate
    assert evaluate.mt_bench is not None
    assert evaluate.judge_pairs is not None
    assert evaluate.judge_pairs.brief


def test_the_docs_name_every_setting_and_every_evaluation():
    rows = [line for line in DOCS.splitlines() if line.startswith("| `[evaluate.")]
    told = {
        name: set(re.findall(r"`(\w+)`", row.split("|")[2]))
        for row in rows
        for name in re.findall(r"\[evaluate\.(\w+)\]", row)
    }
    assert told == {name: {field.name for field in fields(kind)} for name, kind in KINDS.items()}
    commands = re.findall(r"^\| `([\w-]+)` \| .* \| (?:yes|no|is measured) \|", DOCS, re.MULTILINE)
    assert set(commands) == {command.name for command in eval_app.registered_commands}
