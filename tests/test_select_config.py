"""Dev prompts in a config: what is refused, and that every recipe runs, is planned and recorded."""

from dataclasses import replace
from pathlib import Path

import pytest

import loops
import planted
from epoch_worlds import SELECT
from metareward.config import RECIPES as CONFIG_RECIPES
from metareward.config import load
from metareward.errors import ConfigError
from metareward.recipes.settings import Iteration
from metareward.run import Run
from metareward.session import execute, sketch
from metareward.train.fake import FakeTrainer

CONFIG = """
recipe = "{recipe}"
[machine]
engine = "fake"
[prompts]
per_iteration = 4
held_out = 2
dev = {dev}
[generate]
samples = 3
[judge]
samples = 2
[dpo]
batch_size = 2
epochs = 2
[watch]
bank_prompts = 2
[[iterations]]
roles = ["actor"]
select = "dev"
"""


def test_dev_prompts_are_needed_and_are_apart(tmp_path: Path):
    file = tmp_path / "config.toml"
    file.write_text(CONFIG.format(recipe="self_rewarding", dev=0))
    with pytest.raises(ConfigError, match=r"iterations\[0\]\.select must be 'fixed', or \[prompts\] dev"):
        load(file)
    file.write_text(CONFIG.format(recipe="self_rewarding", dev=1))
    with pytest.raises(ConfigError, match=r"prompts\.dev must be 0, or at least 2"):
        load(file)
    with pytest.raises(ConfigError, match="select must be 'fixed' or 'dev'"):
        Iteration(select="best")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="needs prompts to select on"):
        recipe, small = loops.RECIPES["self_rewarding"]
        many = planted.prompts(6)
        with Run(tmp_path / "run", loops.Asked(planted.World()), FakeTrainer()) as run:
            recipe(run, loops.START, [run.prompts(many)], replace(small(), iterations=(SELECT,)))


@pytest.mark.parametrize("recipe", sorted(CONFIG_RECIPES))
def test_a_config_with_dev_prompts_runs_is_planned_and_recorded(tmp_path: Path, recipe: str):
    file = tmp_path / "config.toml"
    file.write_text(CONFIG.format(recipe=recipe, dev=3))
    config = load(file, tmp_path / "run")
    ahead = recipe in ("combined", "temporal")  # whose model of the future is one more
    assert sketch(config).models_to_keep == 2 + ahead
    told = execute(config, loops.Heard())
    assert told["iterations"][0]["selection"]["epoch"] in (1, 2)
    assert {step.state for step in sketch(config).steps} == {"done"}
