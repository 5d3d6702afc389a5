"""[eft] in a config: what it may be, where its file lies, and what every report then says."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

import ranked_worlds
from metareward import config, session
from metareward.eft.ranks import divided
from metareward.errors import ConfigError, DataError
from metareward.events import ignore
from metareward.models.base import Model
from metareward.recipes.eft import EFT
from metareward.supervision import Supervision, SupervisionLevel
from metareward.train.fake import FakeTrainer

EXAMPLES = Path(__file__).parent.parent / "examples"
TINY = """
recipe = "self_rewarding"
directory = "run"
[prompts]
per_iteration = 2
held_out = 2
[watch]
bank_prompts = 0
[judge]
samples = 2
template = "judge_brief"
[machine]
engine = "fake"
[[iterations]]
roles = ["actor"]
"""


def load(folder: Path, text: str = "", rows: Any = None) -> config.Config:
    ranked_worlds.write(folder / "ranked.jsonl", ranked_worlds.usual(20) if rows is None else rows)
    (folder / "tiny.toml").write_text(TINY + text)
    return config.load(folder / "tiny.toml", folder / "run")


ON = '[eft]\nenabled = true\nsource = "ranked.jsonl"\nheld_out = 5\n'
NEUTRAL = ON + 'verdict = "human"\njustification = "neutral"\n'


def test_it_is_off_by_default_and_the_defaults_are_the_papers(tmp_path):
    eft = load(tmp_path).method.eft
    assert eft == dataclasses.replace(EFT(), sft=eft.sft)
    assert not eft.enabled
    assert (eft.verdict, eft.sft.epochs, eft.sft.epochs_to_train, eft.sft.batch_size) == (
        "sampled",
        10,
        5,
        32,
    )
    assert (eft.sft.scheduler, eft.sft.lora_rank) == ("cosine", 0)
    assert eft.replay == 1.0, "not of Meta-Rewarding: the actor must stay able to answer"


def test_the_judge_of_the_step_is_the_recipes_but_for_what_is_said(tmp_path):
    found = load(tmp_path, ON + "[eft.judge]\nsamples = 7\n")
    assert found.method.eft.judge == dataclasses.replace(found.method.judge, samples=7)
    assert load(tmp_path, ON).method.eft.judge is None
    other = load(tmp_path, ON + '[eft.judge]\ntemplate = "judge"\n').method.eft.judge
    assert other.template != found.method.judge.template


def test_the_seed_of_the_run_is_the_steps(tmp_path):
    (tmp_path / "seeded.toml").write_text("seed = 5\n")
    eft = config.load(tmp_path / "seeded.toml").method.eft
    assert (eft.seed, eft.sft.seed) == (5, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[eft]\nenabled = true\n", r"eft\.source must be"),
        ("[eft]\nenabled = true\nsauce = 1\n", r"unknown setting 'sauce' in \[eft\].*source"),
        ('[eft]\nverdict = "mine"\n', r"eft\.verdict must be"),
        ("[eft]\nteacher = 1\n", "unknown setting 'teacher'"),
        ("[eft]\nheld_out = 1\n", r"eft\.held_out must be at least 2"),
        ("[eft]\nlonger_share = 0\n", r"eft\.longer_share must be"),
        ("[eft]\nother_share = 0.5\n", r"eft\.other_template must be"),
        ('[eft]\nother_share = 0.5\nother_template = "none"\n', "no template named 'none'"),
        ("[eft]\nreplay = -1\n", r"eft\.replay must be in 0 \.\. 10"),
        ("[eft.sft]\nepochs = 0\n", r"eft\.sft\.epochs must be at least 1"),
        ("[eft.sft]\nlora_rnak = 0\n", r"unknown setting 'lora_rnak' in \[eft\.sft\].*lora_rank"),
        ("[eft.judge]\nsamples = 0\n", r"eft\.judge\.samples must be"),
        (ON + "[machine.training]\npairs_per_device = 8\n[eft.sft]\nbatch_size = 20\n", r"sft\.batch_size"),
        (NEUTRAL + 'judge_model = "other"\n', r"eft\.judge_model must be left out"),
    ],
)
def test_a_setting_that_cannot_be_is_named_with_its_table(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, text)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"prompt": "A?", "response": "b"}], "of another form"),
        (ranked_worlds.usual(4), r"4 prompts have responses.*eft\.held_out \(5\)"),
        ([{**row, "quality": "good"} for row in ranked_worlds.usual(9)], "quality that is no number"),
    ],
)
def test_a_file_that_teaches_nothing_says_so(tmp_path, rows, message):
    eft = load(tmp_path, ON, rows).method.eft
    with pytest.raises(DataError, match=message):
        eft.read()


def test_three_forms_of_a_file_say_the_same(tmp_path):
    plain = ranked_worlds.usual(9)
    asked = [
        {"question": row["prompt"], "answer": row["response"], "rank": round(5 - 5 * row["quality"])}
        for row in plain
    ]
    grouped: dict[str, list[Any]] = {}
    for row in plain:
        grouped.setdefault(row["prompt"], []).append({"response": row["response"], "quality": row["quality"]})
    listed = [{"prompt": prompt, "responses": responses} for prompt, responses in grouped.items()]
    found = [
        divided(Path(ranked_worlds.write(tmp_path / f"{n}.jsonl", rows)), 3)
        for n, rows in enumerate((plain, asked, listed))
    ]
    for other in found[1:]:
        assert [r.text for r in other.train.responses] == [r.text for r in found[0].train.responses]
        assert _order(other.train.ranked) == _order(found[0].train.ranked)


def _order(ranked: Any) -> list[str]:
    return [row.id for row in sorted(ranked, key=lambda row: (row.cluster, row.quality))]


def test_responses_that_are_left_out_are_counted_and_the_split_does_not_move_with_the_number(tmp_path):
    rows = [*ranked_worlds.usual(12), ranked_worlds.row(3, 5, 90), ranked_worlds.row(4, 1, 1)]
    rows += [{"prompt": "Alone?", "response": "Yes.", "quality": 1}, {**rows[0], "response": " "}]
    rows += [{**rows[0], "quality": None}]
    file = Path(ranked_worlds.write(tmp_path / "r.jsonl", rows))
    found = divided(file, 4, prompts=5, max_response_characters=500)
    used = len(found.train.ranked) + len(found.held_out.ranked)
    assert used + sum(found.left_out.values()) == len(rows)
    assert found.left_out == {
        "empty response": 1,
        "response too long": 1,
        "given twice": 1,
        "no order within the prompt": 1,
        "nobody rated it": 1,
        "prompt not drawn": 9,
    }
    more = divided(file, 4, prompts=7, max_response_characters=500)
    assert more.held_out == found.held_out
    assert found.train.ranked == more.train.ranked[: len(found.train.ranked)]
    assert divided(file, 4, seed=1).held_out != found.held_out
    assert not {row.cluster for row in more.train.ranked} & {row.cluster for row in more.held_out.ranked}


def test_a_run_says_in_every_report_what_it_learnt_from(tmp_path):
    loaded = load(tmp_path, NEUTRAL)
    result = session.execute(loaded, ignore)
    words = "EFT from human ranks (ranked.jsonl, verdicts of people after a neutral justification)"
    assert str(loaded.supervision) == result["supervision"] == words
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["eft"]["taken"] > 0


def test_the_plan_of_it_names_every_step_and_does_none(tmp_path):
    paper = session.sketch(load(tmp_path, ON))
    steps = [(step.section, step.step) for step in paper.steps]
    assert [step for section, step in steps if section == "evaluation fine-tuning"] == [
        "judge",
        "judge",
        "generate",
        "train",
        "judge",
    ]
    assert not (tmp_path / "run" / "artifacts").exists()


def test_judgments_of_another_model_are_a_stronger_models_supervision():
    eft = EFT(enabled=True, source="a/ranked.jsonl", judge_model="big-judge")
    said = eft.supervision
    assert said.level is SupervisionLevel.STRONGER_MODEL
    assert "EFT from human ranks" in str(said)
    assert "big-judge" in str(said)
    found = dataclasses.replace(eft, judge_model="", teacher=Model("t", "", "f"))
    assert found.supervision.level is said.level
    assert EFT().supervision == Supervision()


def test_the_other_judge_writes_the_judgments_and_the_model_is_trained(tmp_path, monkeypatch):
    from loops import Asked
    from planted import World

    asked = Asked(World())
    monkeypatch.setattr(session, "machinery", lambda machine: (asked, FakeTrainer()))
    monkeypatch.setattr(session, "model_of", lambda name, *_: Model(name, "", f"print of {name}"))
    session.execute(load(tmp_path, ON + 'judge_model = "big"\n'), ignore)
    judged = [rows for rows in asked.opened if rows == "print of big"]
    assert judged
    (tuned, *_) = json.loads((tmp_path / "run" / "summary.json").read_text())["models"]
    assert tuned["model"] == "M0"
    assert "by big" in json.loads((tmp_path / "run" / "summary.json").read_text())["supervision"]


def test_the_example_is_one(tmp_path):
    (tmp_path / "eft.toml").write_text((EXAMPLES / "eft.toml").read_text())
    for go in (session.sketch, lambda loaded: session.execute(loaded, ignore)):
        with pytest.raises(DataError, match=r"ranked\.jsonl: there is no such file"):
            go(config.load(tmp_path / "eft.toml", tmp_path / "run"))
    ranked_worlds.write(tmp_path / "ranked.jsonl", ranked_worlds.usual(60))
    loaded = config.load(tmp_path / "eft.toml")
    assert loaded.method.eft.sft.lora_rank == 16
    assert loaded.supervision.level is SupervisionLevel.EFT_HUMAN_RANKS
