"""[evaluate] in a config: chosen evaluations for every model, and training prompts kept apart from them."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from metareward import config, session
from metareward.errors import ConfigError, DataError
from metareward.evaluate.cleaning import copied_templates
from metareward.evaluate.ifeval import shipped_tasks
from metareward.events import Noticed, ignore
from metareward.stages.prefer import Prefer
from metareward.templates import shipped

FAKE = """
recipe = "meta_rewarding"
[prompts]
source = "mine.jsonl"
held_out = 4
[generate]
samples = 3
max_tokens = 20
[judge]
samples = 2
[dpo]
batch_size = 2
epochs = 1
[watch]
judgments = 1
bank_prompts = 2
[[iterations]]
[machine]
engine = "fake"
"""


class Heard(list):
    def __call__(self, event):
        self.append(event)


def load(tmp_path, more="", prompts=12, extra=()):
    texts = [f"Say something about subject number {n}." for n in range(prompts)] + list(extra)
    lines = [json.dumps({"prompt": text}) for text in texts]
    (tmp_path / "mine.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "run.toml").write_text(FAKE + more, encoding="utf-8")
    return config.load(tmp_path / "run.toml", tmp_path / "run")


def test_every_model_is_evaluated_and_it_stands_in_the_summary(tmp_path):
    loaded = load(tmp_path, "[evaluate.ifeval]\nlimit = 5\nmax_tokens = 30\n[evaluate.gsm8k]\nlimit = 4")
    done = session.execute(loaded, ignore)
    assert [entry["model"] for entry in done["models"]] == ["M0", "M1"]
    for entry in done["models"]:
        assert entry["evaluations"]["ifeval"]["n"] == 5
        assert entry["evaluations"]["gsm8k"]["n"] == 4
        assert entry["bank"]["overall"]["n"] <= 2
    assert [entry["model"] for entry in done["ladders"]["newest"]] == ["M0", "M1"]
    assert json.loads((tmp_path / "run/summary.json").read_text())["models"] == done["models"]


def test_a_plan_counts_what_evaluations_ask_and_the_run_then_does_just_that(tmp_path):
    loaded = load(tmp_path, "[evaluate.ifeval]\nlimit = 5\nmax_tokens = 30")
    before = session.sketch(loaded)
    asked = [step for step in before.steps if step.section == "held-out M0" and step.step == "generate"]
    assert {step.calls for step in asked} == {4, 5}
    session.execute(loaded, ignore)
    assert {step.state for step in session.sketch(loaded).steps} == {"done"}


def test_settings_of_evaluations_are_part_of_what_a_run_means(tmp_path):
    plain, chosen = load(tmp_path), load(tmp_path, "[evaluate.ifeval]\nlimit = 5")
    assert plain.meaning()["evaluate"]["ifeval"] is None
    assert chosen.meaning()["evaluate"]["ifeval"]["limit"] == 5
    assert len(json.dumps(chosen.resolved())) < 20_000, "a benchmark's texts are not copied into the config"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[evaluate.ifevl]", r"unknown setting 'ifevl' in \[evaluate\]; did you mean 'ifeval'"),
        (
            "[evaluate.ifeval]\nlimits = 3",
            r"unknown setting 'limits' in \[evaluate.ifeval\]; did you mean 'limit'",
        ),
        ("[evaluate.ifeval]\nlimit = 0", r"evaluate\.ifeval\.limit must be at least 1"),
        ("[evaluate.ifeval]\nlimit = 'ten'", r"evaluate\.ifeval\.limit"),
        ("[evaluate]\nifeval = 3", r"evaluate\.ifeval must be a table"),
        ("[evaluate]\ncontaminated = 'keep'", r"evaluate\.contaminated"),
        ("[evaluate]\nthreshold = 0.0", r"evaluate\.threshold must be above 0"),
        ("[evaluate.alpaca_eval]\nbaseline = 'x'", r"evaluate\.alpaca_eval\.instructions"),
    ],
)
def test_mistakes_in_it_are_named(tmp_path, more, said):
    with pytest.raises(ConfigError, match=said):
        load(tmp_path, more)


def test_a_file_that_is_not_there_is_named_before_anything_is_spent(tmp_path):
    loaded = load(tmp_path, "[evaluate.ifeval]\ndata = 'none.jsonl'")
    with pytest.raises(DataError, match=r"none\.jsonl"):
        session.execute(loaded, ignore)
    assert not (tmp_path / "run/artifacts").exists()


ITEM = max((task.prompt for task in shipped_tasks()), key=len)


@pytest.mark.parametrize("how", ["drop", "report"])
def test_prompts_that_an_evaluation_asks_are_left_out_or_reported(tmp_path, how):
    more = f"[evaluate]\ncontaminated = '{how}'\n[evaluate.ifeval]\nlimit = 2\nmax_tokens = 9"
    loaded = load(tmp_path, more, prompts=13, extra=[ITEM.upper()])
    heard = Heard()
    done = session.execute(loaded, heard)
    (overlap,) = done["contaminated"]
    assert (overlap["evaluation"], overlap["similarity"]) == ("ifeval", 1.0)
    assert overlap["source"] == "mine.jsonl:14"
    (said,) = [event.message for event in heard if isinstance(event, Noticed) and event.section == "start"]
    assert "1 prompts equal or nearly equal evaluation items (1 of ifeval)" in said
    assert ("left out" if how == "drop" else "kept") in said
    used = sum(entry["prompts"] for entry in done["iterations"])
    assert used == (9 if how == "drop" else 10)


def test_files_named_in_against_count_too(tmp_path):
    (tmp_path / "secret.jsonl").write_text(json.dumps({"prompt": "say SOMETHING about subject number 3"}))
    done = session.execute(load(tmp_path, "[evaluate]\nagainst = ['secret.jsonl']"), ignore)
    assert [overlap["evaluation"] for overlap in done["contaminated"]] == ["secret.jsonl"]


def test_without_evaluations_nothing_is_compared(tmp_path):
    assert session.execute(load(tmp_path), ignore)["contaminated"] == []


@dataclass(frozen=True)
class Stage:
    template: str


@dataclass(frozen=True)
class Method:
    judge: Stage
    seed: int = 0


@dataclass(frozen=True)
class Holder:
    name = "alpaca_eval"
    prefer: Prefer = Prefer()


def test_a_judge_template_that_is_nearly_an_evaluators_is_flagged():
    theirs = Prefer().template
    evaluations: Any = [Holder()]
    (said,) = copied_templates(Method(Stage(theirs.replace("\n", " ").upper())), evaluations)
    assert "template of judge is nearly that of alpaca_eval" in said
    for name in ("judge", "judge_brief", "meta_judge", "meta_judge_brief"):
        assert not copied_templates(Method(Stage(shipped(name))), evaluations), name


def test_alpaca_eval_is_built_from_files_beside_the_config(tmp_path):
    (tmp_path / "set.jsonl").write_text(json.dumps({"instruction": "Sing.", "dataset": "x"}))
    (tmp_path / "base.jsonl").write_text(json.dumps({"instruction": "Sing.", "output": "La."}))
    template = Prefer().template + "\n{{ response }}"
    more = "[evaluate.alpaca_eval]\ninstructions = 'set.jsonl'\nbaseline = 'base.jsonl'"
    loaded = load(tmp_path, more)
    evaluations = loaded.evaluate.build(tmp_path)
    assert [evaluation.name for evaluation in evaluations] == ["alpaca_eval"]
    assert copied_templates(Method(Stage(template)), evaluations)
