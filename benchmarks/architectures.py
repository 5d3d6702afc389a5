"""Tiny random models of every architecture in `tests/architectures.py` through the whole loop, as a table.

    python benchmarks/architectures.py [NAME ...] [--work DIR] [--write]

Each model generates, judges and holds battles by forced reading, is trained by DPO in both roles, published,
and loaded by plain transformers. --work keeps what was found, a file for each, so that a stopped table goes
on. --write puts the table into docs/architectures.md.
"""

import argparse
import importlib.metadata
import json
import math
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import architectures  # noqa: E402
from metareward import prompt_of, summary  # noqa: E402
from metareward.engines.audit import audit  # noqa: E402
from metareward.engines.base import Forced, Request, Sampling  # noqa: E402
from metareward.engines.chat import encode_chat  # noqa: E402
from metareward.engines.loading import load_network  # noqa: E402
from metareward.engines.transformers import open_transformers  # noqa: E402
from metareward.errors import MetarewardError  # noqa: E402
from metareward.models.base import Model  # noqa: E402
from metareward.models.resolve import resolve  # noqa: E402
from metareward.recipes.meta_rewarding import MetaRewarding, meta_rewarding  # noqa: E402
from metareward.recipes.settings import BOTH, Iteration  # noqa: E402
from metareward.records import Message  # noqa: E402
from metareward.run import Run  # noqa: E402
from metareward.stages.generate import Generate  # noqa: E402
from metareward.stages.judge import Judge  # noqa: E402
from metareward.stages.meta_judge import MetaJudge  # noqa: E402
from metareward.train import worker  # noqa: E402
from metareward.train.dpo import DPO, TrainMachine  # noqa: E402
from metareward.train.inline import train_inline  # noqa: E402

PAGE = ROOT / "docs" / "architectures.md"
BEGIN, END = "<!-- architectures: begin -->", "<!-- architectures: end -->"
PROBE = list(range(40, 80))
MACHINE = TrainMachine(dtype="float32")
RECIPE = MetaRewarding(
    generate=Generate(samples=3, max_tokens=6),
    judge=Judge(samples=3, max_tokens=4, reading="forced"),
    meta_judge=MetaJudge(max_tokens=4, reading="forced"),
    dpo=DPO(learning_rate=1e-3, batch_size=2, epochs=1, max_length=8192),
    iterations=(Iteration(roles=BOTH, rho=0.2, stop_after_epoch=1),),
)
QUESTIONS = ("Why?", "What is a fjord?", "Name two rivers.", "Is 7 a prime number? Say why.")
SCORES = Forced("\nScore: ", ("0", "1", "2", "3"))


@dataclass
class Row:
    """What became of one architecture.

    path: how requests are answered, and those that are longer than a sliding window. first_loss: of the first
    step of its training. pairs: of the actor and of the judge. greedy: answers of a mixed batch and forced
    probabilities are those of plain forward passes. dtypes: every tensor keeps its number format. plain: the
    published model, loaded by transformers alone, computes what the trained one does. refused: why nothing
    was asked. fault: what broke, which is a fault of this project.
    """

    name: str
    type: str = ""
    about: str = ""
    path: str = ""
    first_loss: float | None = None
    pairs: tuple[int, int] = (0, 0)
    greedy: bool | None = None
    dtypes: bool | None = None
    plain: bool | None = None
    refused: str = ""
    fault: str = ""


def examine(name: str, folder: Path) -> Row:
    """Take one architecture through the loop, in an empty directory."""
    row = Row(name, architectures.ALL[name].config.removesuffix("Config"), architectures.ALL[name].about)
    place = architectures.write_any(folder / "model", name, max_position_embeddings=8192)
    mix(place)
    try:
        audit(resolve(str(place))).require()
        row.path, row.greedy = answered(place)
        trained(row, place, folder)
    except MetarewardError as error:
        row.refused = str(error).replace(str(place), "MODEL").partition("\n")[0]
    except (RuntimeError, TypeError, ValueError, AttributeError, LookupError, AssertionError) as error:
        traceback.print_exc()  # the table goes on, and says so
        row.fault = f"{type(error).__name__}: {error}".partition("\n")[0]
    return row


def mix(place: Path) -> None:
    """Matrices in bfloat16 and vectors in float32, as many checkpoints have them."""
    file = place / "model.safetensors"
    weights = {
        name: value.bfloat16() if value.ndim > 1 else value.float() for name, value in load_file(file).items()
    }
    save_file(weights, file, metadata={"format": "pt"})


def answered(place: Path) -> tuple[str, bool]:
    """How the engine answers, and whether its answers are those of whole forward passes of one row each."""
    with open_transformers("cpu", max_rows=16)(resolve(str(place))) as engine:
        ways = [engine.way(), engine.way(10**6)]  # type: ignore[attr-defined]
        requests = [
            Request(f"r{n}", (Message("user", f"Q{n}" + "?" * (5 * n)),), Sampling(0.0, 1.0, 9), n, forced)
            for n in range(5)
            for forced in [SCORES if n % 2 else None]
        ]
        given = {answer.request_id: answer for answer in engine.complete(requests)}
        right = all(_is_plain(engine, request, given[request.id]) for request in requests)
    path = ways[0].value if ways[0] is ways[1] else f"{ways[0].value}; beyond the window {ways[1].value}"
    return path, right


def _is_plain(engine: Any, request: Request, answer: Any) -> bool:
    tokenizer, model = engine.tokenizer, engine.model
    prompt = encode_chat(tokenizer, request.messages)
    ids = list(answer.token_ids)
    logits_TV = _logits(model, [*prompt, *ids])[:, : len(tokenizer)]
    wanted = logits_TV[len(prompt) - 1 : -1].argmax(-1).tolist() if ids else []
    if wanted != ids:
        return False
    if request.forced is None:
        return True
    behind = tokenizer.encode(SCORES.prefix, add_special_tokens=False)
    spread_V = _logits(model, [*prompt, *ids, *behind])[-1, : len(tokenizer)].log_softmax(-1)
    tokens = [tokenizer.encode(choice, add_special_tokens=False)[0] for choice in SCORES.choices]
    found = torch.tensor([answer.choice_log_probs[choice] for choice in SCORES.choices])
    return bool((spread_V[tokens] - found).abs().max() < 1e-4)


def trained(row: Row, place: Path, folder: Path) -> None:
    """The loop, and what was published by it."""
    start = resolve(str(place))
    with computed() as seen, Run(folder / "run", open_transformers("cpu"), train_inline, MACHINE) as run:
        last: Model = meta_rewarding(run, start, [run.prompts([prompt_of(q) for q in QUESTIONS])], RECIPE)
        (done,) = summary.summarise(run.history, run.store.root)["iterations"]
    row.first_loss, row.pairs = done["loss_first"], (done["actor_pairs"], done["judge_pairs"])
    found = _logits(load_network(last.path, "cpu", "float32"), PROBE)
    plain: Any = AutoModelForCausalLM.from_pretrained(last.path, dtype=torch.float32)
    for other in (found, _logits(plain.eval(), PROBE)):
        same = bool((other - seen[-1]).abs().max() < 1e-4 * seen[-1].abs().max())
        row.plain = row.plain is not False and same
    row.dtypes = formats(Path(last.path)) == formats(place)


@contextmanager
def computed() -> Iterator[list[torch.Tensor]]:
    """What a trained model computes where it is published, in the formats that it is published in."""
    seen: list[torch.Tensor] = []
    publish = worker.publish

    def listening(job: Any, trainer: Any, result: Any) -> None:
        publish(job, trainer, result)
        model = trainer.accelerator.unwrap_model(trainer.model)
        with torch.no_grad():
            for value in model.parameters():
                value.copy_(value.bfloat16() if value.ndim > 1 else value)
        seen.append(_logits(model.eval(), PROBE))

    worker.publish = listening
    try:
        yield seen
    finally:
        worker.publish = publish


@torch.no_grad()
def _logits(model: Any, ids: Sequence[int]) -> torch.Tensor:
    return model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0].float()


def formats(folder: Path) -> dict[str, str]:
    """The number format of each tensor in a directory."""
    with safe_open(folder / "model.safetensors", framework="pt") as stored:
        return {name: stored.get_slice(name).get_dtype() for name in stored.keys()}  # noqa: SIM118


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown, with versions and totals."""
    head = ["architecture", "class in transformers", "kind", "answers with", "first loss", "greedy = plain"]
    head += ["pairs (actor, judge)", "formats kept", "loads in plain transformers", "refused"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        loss = "" if row.first_loss is None else f"{row.first_loss:.4f}"
        cells = [row.name, row.type, row.about, row.path, loss, _said(row.greedy)]
        cells += [
            ", ".join(map(str, row.pairs)),
            _said(row.dtypes),
            _said(row.plain),
            row.refused or row.fault,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    names = ("transformers", "torch", "trl", "accelerate")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    trained = [row for row in rows if row.first_loss is not None]
    right = sum(abs((row.first_loss or 0) - math.log(2)) < 1e-4 for row in trained)
    counts = (
        f"{len(rows)} architectures, {sum(bool(row.refused) for row in rows)} refused; the first loss is "
        f"ln 2 (0.6931) in {right} of the {len(trained)} that train."
    )
    return "\n".join([f"With {versions}. {counts}", "", *lines])


def _said(value: bool | None) -> str:
    return {True: "yes", False: "NO", None: ""}[value]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", help="architectures; all if none is named")
    parser.add_argument("--work", type=Path, help="where to keep what was found")
    parser.add_argument("--write", action="store_true", help="put the table into docs/architectures.md")
    asked = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    rows: list[Row] = []
    for name in asked.names or architectures.ALL:
        kept = asked.work / f"{name}.json" if asked.work else None
        if kept is not None and kept.is_file():
            rows.append(Row(**json.loads(kept.read_text(encoding="utf-8"))))
            continue
        with tempfile.TemporaryDirectory() as folder:
            rows.append(examine(name, Path(folder)))
        print(rows[-1], flush=True)
        if kept is not None and not rows[-1].fault:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(asdict(rows[-1])), encoding="utf-8")
    text = table(rows)
    if not asked.write:
        print(text)
        return
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
