"""Configs: the defaults are the papers', the examples load, and every mistake gets one clear message."""

import dataclasses
from pathlib import Path

import pytest

from metareward.config import load
from metareward.errors import ConfigError
from metareward.recipes.meta_rewarding import MetaRewarding
from metareward.recipes.self_rewarding import SelfRewarding
from metareward.records import Role

EXAMPLES = sorted(Path(__file__).parent.parent.joinpath("examples").glob("*.toml"))

# Transcribed from the paper's section A of our notes: K, N, temperature, top-p, learning rate, beta, batch.
META_REWARDING = {
    "generate": {"samples": 7, "temperature": 0.8, "top_p": 0.95},
    "judge": {"samples": 11, "temperature": 0.8, "top_p": 0.95, "reading": "free"},
    "meta_judge": {"temperature": 0.8, "top_p": 0.95, "reading": "free"},
    "dpo": {"learning_rate": 5e-6, "beta": 0.1, "batch_size": 32, "epochs": 10, "scheduler": "cosine"},
}
META_REWARDING_ITERATIONS = [
    # roles, rho, chosen response characters, judgment characters, epoch taken
    (("actor", "judge"), 0.0, 2500, 1100, 6),
    (("actor", "judge"), 0.32, None, 1000, 4),
    (("actor",), 0.32, None, None, 2),
    (("actor",), 0.4, None, None, 2),
]
SELF_REWARDING = {
    "generate": {"samples": 4, "temperature": 0.7, "top_p": 0.9},
    "judge": {"samples": 3, "temperature": 0.7, "top_p": 0.9},
    "dpo": {"beta": 0.1},
}


def example(name: str) -> Path:
    return next(path for path in EXAMPLES if path.stem == name)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return path


def assert_constants(method, table):
    for section, constants in table.items():
        given = dataclasses.asdict(getattr(method, section))
        assert {name: given[name] for name in constants} == constants


@pytest.mark.parametrize("method", [MetaRewarding(), load(example("meta-rewarding-llama3-8b")).method])
def test_meta_rewarding_has_the_papers_constants(method):
    assert_constants(method, META_REWARDING)
    found = [
        (tuple(role.value for role in i.roles), i.rho, i.max_response_characters, i.max_judgment_characters,
         i.stop_after_epoch)
        for i in method.iterations
    ]  # fmt: skip
    assert found == META_REWARDING_ITERATIONS


@pytest.mark.parametrize("method", [SelfRewarding(), load(example("self-rewarding-llama3-8b")).method])
def test_self_rewarding_has_the_papers_constants(method):
    assert_constants(method, SELF_REWARDING)
    assert all(i.roles == (Role.ACTOR,) and i.rho == 0 for i in method.iterations)


def test_the_paper_config_names_the_papers_prompts_and_model():
    config = load(example("meta-rewarding-llama3-8b"))
    assert config.prompts.per_iteration == 5000
    assert config.model == "meta-llama/Meta-Llama-3-8B-Instruct"


def test_the_loops_that_were_measured_still_load():
    loops = sorted(Path(__file__).parent.parent.joinpath("benchmarks/loops").glob("*.toml"))
    settings = {path.stem: load(path) for path in loops}
    assert {name: config.recipe for name, config in settings.items()} == {n: n for n in settings}
    same = ("model", "seed", "prompts", "evaluate")
    assert len({tuple(str(getattr(c, name)) for name in same) for c in settings.values()}) == 1


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_loads(path):
    config = load(path)
    assert config.directory == Path("runs") / path.stem


def test_an_empty_config_is_the_paper_on_the_default_model(tmp_path):
    config = load(write(tmp_path, ""))
    assert config.method == MetaRewarding()
    assert config.model == "smollm2-135m-instruct"
    assert config.directory == Path("runs/config")


def test_one_seed_seeds_every_stage_and_a_stage_may_have_its_own(tmp_path):
    method = load(write(tmp_path, "seed = 7\n[judge]\nseed = 3")).method
    assert (method.generate.seed, method.judge.seed, method.meta_judge.seed, method.dpo.seed) == (7, 3, 7, 7)


def test_an_iterations_own_training_settings(tmp_path):
    text = "[dpo]\nbatch_size = 4\n[[iterations]]\nlearning_rate = 1e-6\nepochs = 3\nstop_after_epoch = 2"
    method = load(write(tmp_path, text)).method
    (training,) = [i.training(method.dpo) for i in method.iterations]
    assert (training.learning_rate, training.epochs, training.stop_after_epoch, training.batch_size) == (
        1e-6,
        3,
        2,
        4,
    )


def test_the_machine_is_no_part_of_the_meaning(tmp_path):
    plain = load(write(tmp_path, ""))
    text = "[machine]\ndevice = 'cpu'\nbatch_tokens = 9\n[machine.training]\nprocesses = 2\n"
    text += "[plan]\nprompt_tokens = 5"
    other = load(write(tmp_path, text))
    assert plain.meaning() == other.meaning()
    assert other.machine.training.processes == 2
    assert other.plan.guess.prompt_tokens == 5


def test_templates_by_name_and_by_path(tmp_path):
    (tmp_path / "mine.txt").write_text("{{ conversation }} {{ response }} mine")
    method = load(
        write(tmp_path, "[judge]\ntemplate = 'mine.txt'\n[meta_judge]\ntemplate = 'meta_judge_brief'")
    ).method
    assert method.judge.template.endswith("mine")
    assert "one sentence" in method.meta_judge.template


MISTAKES = [
    ("recpie = 'meta_rewarding'", "unknown setting 'recpie' at the top level; did you mean 'recipe'?"),
    ("recipe = 'meta_rewardin'", "recipe must be .* did you mean 'meta_rewarding'?"),
    ("[judge]\nsample = 3", r"unknown setting 'sample' in \[judge\]; did you mean 'samples'"),
    ("[judge]\nsamples = 'three'", "judge.samples must be a whole number, not 'three'"),
    ("[judge]\nsamples = 2.5", "judge.samples must be a whole number, not 2.5"),
    ("[judge]\nsamples = true", "judge.samples must be a whole number, not true"),
    ("[judge]\nsamples = 0", "judge.samples must be at least 1 and at most 10,000, not 0"),
    ("[judge]\nreading = 'guess'", "judge.reading must be 'free' or 'forced', not 'guess'"),
    ("[judge]\ntemplate = 'nothing'", "no template named 'nothing'"),
    ("[judge]\ntemplate = 'nothing.txt'", r"judge.template: cannot read .*nothing.txt"),
    ("[generate]\ntemperature = -1", "generate.temperature must be 0 .greedy. or 0.001 to 100, not -1"),
    ("[generate]\ntop_p = 0", "generate.top_p must be above 0 and at most 1, not 0"),
    ("[generate]\nmax_tokens = 0", "generate.max_tokens must be at least 1 and at most 10,000,000, not 0"),
    ("[dpo]\nlearning_rate = 0", "dpo.learning_rate must be a number above 0, not 0"),
    ("[dpo]\nlearning_rate = 'high'", "dpo.learning_rate must be a number, not 'high'"),
    ("[dpo]\nbeta = -1", "dpo.beta"),
    ("[dpo]\nstop_after_epoch = 11", "dpo.stop_after_epoch"),
    ("[dpo]\nscheduler = 'cosin'", "dpo.scheduler"),
    ("[[iterations]]\nrho = 0.5", "rho must be at least 0 and below 0.5, or 'auto', not 0.5"),
    ("[[iterations]]\nroles = []", r"iterations\[0\].roles must be at least one"),
    ("[[iterations]]\nroles = ['actor', 'actor']", "free of repeats"),
    (
        "[[iterations]]\nroles = ['critic']",
        r"iterations\[0\].roles.0 must be 'actor' or 'judge', not 'critic'",
    ),
    ("[[iterations]]\nrhoo = 1", r"unknown setting 'rhoo' in \[iterations\[0\]\]; did you mean 'rho'"),
    ("iterations = 3", r"iterations must be given as \[\[iterations\]\] tables"),
    ("[prompts]\nheld_out = -1", "prompts.held_out must be 0 or more, not -1"),
    ("[prompts]\nper_iteration = 0", "prompts.per_iteration must be at least 1, not 0"),
    ("[machine]\nengine = 'vllm'", "machine.engine must be 'transformers' or 'fake', not 'vllm'"),
    ("[machine]\nbatch_tokens = 0", "machine.batch_tokens must be at least 1"),
    ("[machine.training]\nprocesses = 0", "machine.training.processes must be at least 1"),
    ("[plan]\nspeed = 1", r"unknown setting 'speed' in \[plan\]"),
    ("judge = 3", r"judge must be a table of settings, \[judge\], not 3"),
    ("seed = 'x'", "seed must be a whole number, not 'x'"),
    ("recipe = 'self_rewarding'\n[meta_judge]\nseed = 1", "unknown setting 'meta_judge' at the top level"),
    ("a = = 1", "not TOML: .*line 1"),
]


@pytest.mark.parametrize(("text", "said"), MISTAKES, ids=[text.splitlines()[-1] for text, _ in MISTAKES])
def test_mistakes_get_one_clear_message_that_names_the_file(tmp_path, text, said):
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=said) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))
    assert "pydantic" not in str(caught.value)


def test_a_missing_config_is_said_so(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no such file; examples/ has some"):
        load(tmp_path / "none.toml")
