"""What the demo's lift is made of: each seed once with the model's own judging, once with a coin instead.

    python benchmarks/demo_seeds.py [--config examples/demo.toml] [--seeds 1 2 3] [--out runs/demo-seeds]

The coin's loop begins in a copy of the other's directory: the same answers, the same judgments as texts,
but every score and every battle is drawn at random, so that its pairs say nothing. What it gains comes of
training on the model's own answers alone. Both train on as many pairs as they have; the table says how many.
Stopped anywhere, the same command goes on.
"""

import argparse
import json
import math
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from metareward import config as configs
from metareward import prompting, session, summary
from metareward.cli import render
from metareward.engines.base import Completion
from metareward.evaluate.base import Evaluations
from metareward.events import ignore
from metareward.ids import seed_of
from metareward.models.base import Model
from metareward.readers import HIGHEST
from metareward.records import Finish, Judgment
from metareward.run import Run
from metareward.rundir import claimed
from metareward.stages.meta_judge import MetaJudge


class CoinRun(Run):
    """A run in which a coin decides: judgments keep their texts, scores and battles are random."""

    coin = 0

    def ask(self, stage: Any, *inputs: Any, of: Model) -> Any:
        """The stage's rows; of a judge or meta-judge with verdicts of the coin's."""
        if isinstance(stage, MetaJudge):
            return self.given(
                [self._battle(stage, question, of) for question in stage.questions(of, *inputs)]
            )
        rows = super().ask(stage, *inputs, of=of)
        if rows.record is not Judgment:
            return rows
        return self.given([replace(row, score=HIGHEST * self._draw(row.id)) for row in rows])

    def _battle(self, stage: MetaJudge, question: Any, of: Model) -> Any:
        p_first = self._draw(question.request.id)
        log_probs = {"A": math.log(p_first), "B": math.log1p(-p_first)}
        choices = dict(zip(question.request.forced.choices, log_probs.values(), strict=True))
        answer = Completion(question.request.id, "", Finish.STOP, choice_log_probs=choices)
        return stage.read(question, answer, of)

    def _draw(self, name: str) -> float:
        return Random(seed_of("coin", self.coin, name)).uniform(1e-6, 1 - 1e-6)


def seeded(path: Path, seed: int, folder: Path) -> Path:
    """The config with another seed, in a copy of its folder, so that its templates are beside it."""
    shutil.copytree(path.parent, folder, dirs_exist_ok=True)
    text, count = re.subn(r"(?m)^seed = \d+", f"seed = {seed}", path.read_text())
    assert count == 1, "the config must have its seed in a line of its own"
    changed = folder / f"seed-{seed}.toml"
    changed.write_text(text)
    return changed


def by_coin(config: configs.Config, seed: int) -> dict[str, Any]:
    """The same loop in `config.directory`, decided by a coin; its summary."""
    chosen = config.evaluate.build(config.path.parent)
    loaded, _ = prompting.clean(config, chosen, prompting.load(config, ignore), ignore)
    model = session.model_of(config.model, config.machine)
    split = prompting.split_for(config, prompting.fitting(config, model, loaded.prompts))
    open_engine, trainer = session.machinery(config.machine)
    with render.progress() as listen:
        loop = CoinRun(config.directory, open_engine, trainer, config.machine.training, listen)
        loop.coin = seed
        with loop as run:
            batches = [run.prompts(batch) for batch in split.batches]
            held_out = run.prompts(split.held_out) if split.held_out else None
            config.start(run, model, batches, held_out, Evaluations(chosen))
            return summary.save(run.history, config.directory)


def both(path: Path, seed: int, out: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The summaries of one seed, own judging first."""
    own, coin = out / f"seed-{seed}", out / f"seed-{seed}-coin"
    with tempfile.TemporaryDirectory() as folder:
        config = configs.load(seeded(path, seed, Path(folder)), own)
        with claimed(config, False), render.progress() as listen:
            yield "own judging", session.execute(config, listen)
        if not coin.exists():
            shutil.copytree(own, coin.with_suffix(".part"))
            coin.with_suffix(".part").rename(coin)
        yield "a coin", by_coin(replace(config, directory=coin), seed)


def row(seed: int, name: str, said: dict[str, Any]) -> dict[str, Any]:
    """What the table shows of a loop: accuracy before and after, the paired change, pairs, the judge."""
    first, *_, last = said["models"]
    (iteration,) = said["iterations"]
    changes = {way: last["accuracy"]["above_first"][way] for way in ("greedy", "sampled")}
    return {
        "seed": seed,
        "decided by": name,
        **{f"{way} before": first["accuracy"][way]["value"] for way in changes},
        **{f"{way} after": last["accuracy"][way]["value"] for way in changes},
        **{f"{way} change": [each["value"], each["lower"], each["upper"]] for way, each in changes.items()},
        "pairs": [iteration["actor_pairs"], iteration["judge_pairs"], iteration["trained_pairs"]],
        "auc": iteration["judge_auc"],
        "seconds": iteration["seconds"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("examples/demo.toml"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, default=Path("runs/demo-seeds"))
    given = parser.parse_args()
    rows = []
    for seed in given.seeds:
        for name, said in both(given.config, seed, given.out):
            rows.append(row(seed, name, said))
            print(json.dumps(rows[-1]))
    (given.out / "table.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
