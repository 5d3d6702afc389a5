"""Settings built from Python: each value is of its annotation's type, or one sentence names the setting."""

import dataclasses
import re
import subprocess
import sys
from typing import Any

import pytest

import metareward as mr
from metareward.errors import ConfigError, DataError
from metareward.settings import check_types, checked

LOOSE: Any = mr  # so that what is wrong on purpose passes the type checker
WRONG = [
    (lambda: LOOSE.Generate(samples="3"), "generate.samples must be a whole number, not '3'"),
    (lambda: LOOSE.Generate(samples=2.5), "generate.samples must be a whole number, not 2.5"),
    (lambda: LOOSE.Generate(samples=True), "generate.samples must be a whole number, not true"),
    (lambda: LOOSE.Judge(template=None), "judge.template must be a text, not unset"),
    (lambda: LOOSE.Judge(reading="guess"), "judge.reading must be 'free' or 'forced', not 'guess'"),
    (lambda: LOOSE.MetaJudge(show_scores=1), "meta_judge.show_scores must be true or false, not 1"),
    (
        lambda: LOOSE.MetaJudge(max_length_ratio="2"),
        "meta_judge.max_length_ratio must be a number or not",
    ),
    (lambda: LOOSE.DPO(learning_rate="5e-6"), "dpo.learning_rate must be a number, not '5e-6'"),
    (
        lambda: LOOSE.SFT(lora_targets="q_proj"),
        "sft.lora_targets must be a list of which each is a text",
    ),
    (
        lambda: LOOSE.Iteration(roles=("critic",)),
        "iterations.roles must be a list of which each is 'actor'",
    ),
    (
        lambda: LOOSE.Iteration(rho_bounds=(0.1,)),
        "iterations.rho_bounds must be a list of 2: a number, a number",
    ),
    (lambda: LOOSE.Gate(limit=None), "attack.limit must be a whole number, not unset"),
    (lambda: LOOSE.JudgeGate(fewest="10"), "judge_gate.fewest must be a whole number, not '10'"),
    (lambda: LOOSE.TrainMachine(processes=1.0), "machine.training.processes must be a whole number, not 1.0"),
    (lambda: LOOSE.MetaRewarding(LOOSE.Judge(), LOOSE.Generate()), "generate must be a Generate, not Judge("),
    (lambda: LOOSE.Combined(dpo=LOOSE.SFT()), "dpo must be a DPO, not SFT("),
    (
        lambda: LOOSE.SelfRewarding(iterations=LOOSE.Iteration()),
        "iterations must be a list of which each is an Iter",
    ),
    (lambda: LOOSE.Suite(judge="smollm2"), "attack.judge must be a Judge or not set, not 'smollm2'"),
]


@pytest.mark.parametrize(("make", "says"), WRONG, ids=[says.split(" must")[0] for _, says in WRONG])
def test_a_value_of_another_kind_is_refused_by_name(make, says):
    with pytest.raises(ConfigError, match="^" + re.escape(says)):
        make()


def test_what_means_the_same_is_taken():
    assert mr.DPO(learning_rate=1).learning_rate == 1, "a whole number is a number"
    assert mr.MetaRewarding(iterations=[mr.Iteration(roles=["actor"])]).iterations  # type: ignore[arg-type]
    assert mr.Iteration(roles=("actor",)).trains_actor  # type: ignore[arg-type]
    assert mr.Iteration(rho="auto").rho == "auto"


def by_default(kind):
    """Whether a class is one of settings that all have a default."""
    unset = (dataclasses.MISSING, dataclasses.MISSING)
    fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
    return bool(fields) and all((field.default, field.default_factory) != unset for field in fields)


@pytest.mark.parametrize("name", [name for name in mr.__all__ if by_default(getattr(mr, name))])
def test_every_public_settings_class_stands_by_its_defaults(name):
    """The check reads the annotations of each, whatever they name."""
    check_types(getattr(mr, name)(), "")


def test_its_own_checks_come_after():
    @dataclasses.dataclass(frozen=True)
    @checked("it")
    class It:
        count: int = 1

        def __post_init__(self):
            if self.count > 3:
                raise ValueError("too many")

    assert It(2).count == 2
    with pytest.raises(ConfigError, match=r"it\.count must be a whole number"):
        It("9")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="too many"):
        It(9)


def test_the_package_lists_what_it_has():
    said = subprocess.run(
        [sys.executable, "-c", "import metareward; print(*dir(metareward))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert {*mr.__all__, "__version__"} <= set(said)


class TestPrompts:
    def test_messages_may_be_plain(self):
        plain = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
        assert mr.prompt_of(plain) == mr.prompt_of(
            [mr.Message("system", "Be brief."), mr.Message("user", "Why?")]
        )

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            (5, "prompt: must be a text or a list of messages, not a number"),
            ({"role": "user", "content": "a"}, "prompt: must be a text or a list of messages, not an object"),
            ([5], 'prompt: message 1: must be {"role": ..., "content": ...}, not a number'),
            ([{"role": "user"}], "prompt: message 1: 'content' must be a text, not nothing"),
            ([{"role": "human", "content": "a"}], "prompt: message 1: unknown role 'human'"),
        ],
    )
    def test_what_is_none_is_said(self, given, says):
        with pytest.raises(DataError, match="^" + re.escape(says)):
            mr.prompt_of(given)

    def test_a_run_takes_a_text_for_its_directory_and_prompts_alone(self, tmp_path):
        with mr.Run(str(tmp_path / "run"), mr.fake(), mr.FakeTrainer()) as run:
            assert len(run.prompts([mr.prompt_of("Why?")])) == 1
            with pytest.raises(DataError, match=r"at place 1 there is 'Why not\?': give \[prompt_of"):
                run.prompts([mr.prompt_of("Why?"), "Why not?"])  # type: ignore[list-item]
            with pytest.raises(DataError, match="not a single one"):
                run.prompts("Why?")  # type: ignore[arg-type]
        assert (tmp_path / "run" / "artifacts").is_dir()
        with pytest.raises(ConfigError, match="a run's directory must be a path, not 5"):
            mr.Run(5, mr.fake(), mr.FakeTrainer())  # type: ignore[arg-type]


class TestWhatAProgramHandsToARun:
    """One sentence each, before anything is asked, instead of what Python says deep inside."""

    @pytest.mark.parametrize(
        ("deed", "says"),
        [
            (
                lambda run, rows: run.ask(mr.Generate, rows, of=mr.Model("m", "", "m")),
                "a step must be one .*, not Generate",
            ),
            (lambda run, rows: run.ask(mr.Generate(), rows, of="m"), "generate: of must be a Model"),
            (
                lambda run, rows: run.ask(mr.Generate(), [], of=mr.Model("m", "", "m")),
                "generate: input 1 must be what run",
            ),
            (
                lambda run, rows: run.ask(mr.Judge(), rows, of=mr.Model("m", "", "m")),
                "judge takes prompts, responses, in this",
            ),
            (
                lambda run, rows: run.derive(mr.ActorPairs(), rows),
                "actor_pairs takes prompts, responses, judg",
            ),
            (lambda run, rows: run.derive(5, rows), "a step must be one that can be carried out, .* not 5"),
        ],
    )
    def test_what_is_no_step_no_model_or_no_input(self, tmp_path, deed, says):
        with mr.Run(tmp_path, mr.fake(), mr.FakeTrainer()) as run:
            with pytest.raises(ConfigError, match="^" + says):
                deed(run, run.prompts([mr.prompt_of("Why?")]))

    def test_records_that_are_none_and_prompts_that_come_twice(self, tmp_path):
        with mr.Run(tmp_path, mr.fake(), mr.FakeTrainer()) as run:
            with pytest.raises(DataError, match="must be records, such as Response, and there is a int"):
                run.given([1])
            with pytest.raises(DataError, match=r"given prompt \w+ 2 times; give each once"):
                run.prompts([mr.prompt_of("Why?"), mr.prompt_of("Why?")])

    def test_a_recipe_begins_with_a_model(self, tmp_path):
        with mr.Run(tmp_path, mr.fake(), mr.FakeTrainer()) as run:
            rows = [run.prompts([mr.prompt_of("Why?")])]
            with pytest.raises(ConfigError, match="the model that a recipe begins with must be a Model"):
                mr.meta_rewarding(run, "m", rows)  # type: ignore[arg-type]

    def test_a_list_of_turns_is_stored_as_a_prompt(self, tmp_path):
        given = mr.Prompt("p", [mr.Message("user", "Why?")])  # type: ignore[arg-type]
        with mr.Run(tmp_path, mr.fake(), mr.FakeTrainer()) as run:
            (stored,) = run.prompts([given])
        assert stored.messages == (mr.Message("user", "Why?"),)


def test_progress_can_be_printed(tmp_path, capsys):
    with mr.Run(tmp_path, mr.fake(), mr.FakeTrainer(), listen=mr.print_progress) as run:
        with run.within("here"):
            run.ask(mr.Generate(samples=2), run.prompts([mr.prompt_of("Why?")]), of=mr.Model("m", "", "m"))
            run.warn("look out")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "here: generate, 0 of at most 2 done"
    assert lines[1].startswith("here: generate: 2 rows, ")
    assert lines[2] == "here: look out"
