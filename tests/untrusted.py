"""A whole small loop in which every text is hostile, and the places where such a text must come out again."""

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import loops
from metareward.engines.base import Request
from metareward.engines.chat import encode_chat, encode_text
from metareward.export import export_run
from metareward.ids import seed_of
from metareward.models.base import Model
from metareward.recipes.meta_rewarding import meta_rewarding
from metareward.recipes.settings import Iteration
from metareward.records import Message, PreferencePair, Prompt
from metareward.run import Run
from metareward.sources import load_prompts
from metareward.stages.generate import Generate
from metareward.stages.judge import Judge
from metareward.stages.meta_judge import MetaJudge
from metareward.train.fake import FakeTrainer
from metareward.train.tokens import Coder, encode_pairs
from tokenizer_families import control_ids

SURROGATE = re.compile("[\ud800-\udfff]")


class Hostile:
    """Answers with the given texts, and remembers what it said to whom."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts, self.said = texts, {}

    def __call__(self, request: Request, model: Model) -> str:
        text = self.texts[seed_of("text", request.seed) % len(self.texts)]
        if request.step == "generate":
            text = f"{text}{request.seed % 97}"  # responses differ, so there is something to compare
        elif request.step == "judge":
            text = f"{text} \nScore: {request.seed % 6}"
        else:
            text = f"{text} \nWinner: {'AB'[request.seed % 2]}"
        self.said[request.id] = text
        return text


def hostile_run(root: Path, given: Sequence[Prompt], script: Hostile) -> tuple[Run, list[Request]]:
    """One iteration of the loop on disk; also every request that was asked."""
    recipe = dataclasses.replace(
        loops.small_meta(iterations=(Iteration(),)),
        generate=Generate(samples=3),
        judge=Judge(samples=3, max_tokens=100_000),
        meta_judge=MetaJudge(max_tokens=100_000),
    )
    asked = loops.Asked(script)
    with Run(root, asked, FakeTrainer()) as run:
        meta_rewarding(run, loops.START, [run.prompts(given)], recipe)
    return run, asked.requests


def check_rows(run: Run, given: Sequence[Prompt], script: Hostile) -> None:
    """Every row on the disk has the very text that was given or said; pairs are of such texts."""
    (done,) = run.history.rounds
    assert done.battles is not None
    assert [row.messages for row in done.prompts] == [prompt.messages for prompt in given]
    for artifact in (done.answers, done.judgments, done.battles):
        for row in artifact:
            assert row.text == script.said[row.id]
    texts = {row.id: row.text for artifact in (done.answers, done.judgments) for row in artifact}
    for pair in pairs_of(run):
        assert (pair.chosen, pair.rejected) == (texts[pair.chosen_id], texts[pair.rejected_id])


def pairs_of(run: Run) -> list[PreferencePair]:
    return [pair for artifact in run.history.rounds[0].pairs for pair in artifact]


def check_export(run: Run, target: Path) -> None:
    """The exported texts are the stored ones, but for lone surrogates, which UTF-8 cannot hold."""
    done = run.history.rounds[0]
    assert done.battles is not None
    export_run(run.store.root, target)
    for name, artifact in (
        ("responses", done.answers),
        ("judgments", done.judgments),
        ("battles", done.battles),
    ):
        stored = {row.id: SURROGATE.sub("\ufffd", row.text) for row in artifact}
        assert {row["id"]: row["text"] for row in exported(target, name)} == stored
    pairs = {pair.id: pair for pair in pairs_of(run)}
    found = [*exported(target, "actor_pairs"), *exported(target, "judge_pairs")]
    assert {row["pair_id"] for row in found} == set(pairs)
    for row in found:
        pair = pairs[row["pair_id"]]
        for side in ("chosen", "rejected"):
            assert row[side][0]["content"] == SURROGATE.sub("\ufffd", getattr(pair, side))
        told = [turn["content"] for turn in row["prompt"]]
        assert told == [SURROGATE.sub("\ufffd", message.content) for message in pair.messages]


def exported(target: Path, config: str) -> list[dict[str, Any]]:
    files = sorted((target / config).glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def check_prompt_file(folder: Path, given: Sequence[Prompt]) -> None:
    """A JSON file of prompts gives back the very conversations, lone surrogates included."""
    rows = [json.dumps({"messages": [dataclasses.asdict(m) for m in prompt.messages]}) for prompt in given]
    (folder / "prompts.jsonl").write_text("\n".join(rows))
    assert [p.messages for p in load_prompts(str(folder / "prompts.jsonl")).prompts] == [
        p.messages for p in given
    ]


def check_tokens(tokenizer: Any, requests: Sequence[Request], pairs: Sequence[PreferencePair]) -> None:
    """Each prompt asked, and each prompt and answer to train on, has its template's control tokens."""
    known = control_ids(tokenizer)

    def controls(ids: Sequence[int]) -> list[int]:
        return [token for token in ids if token in known]

    def harmless(messages: Sequence[Message]) -> list[int]:
        return controls(encode_chat(tokenizer, [Message(message.role, "harmless") for message in messages]))

    for request in requests:
        assert controls(encode_chat(tokenizer, request.messages)) == harmless(request.messages)
    coder = Coder(
        chat=lambda messages: encode_chat(tokenizer, messages),
        text=lambda text: encode_text(tokenizer, text),
        decode=tokenizer.decode,
        end=tokenizer.eos_token_id,
    )
    plain = [dataclasses.replace(p, chosen_token_ids=None, rejected_token_ids=None) for p in pairs]
    ready = encode_pairs(plain, coder, 10**9)
    assert len(ready) + sum(ready.dropped.values()) == len(pairs)
    whole = {tuple(encode_chat(tokenizer, pair.messages)): harmless(pair.messages) for pair in pairs}
    for prompt, *answers in zip(ready.prompt_ids, ready.chosen_ids, ready.rejected_ids, strict=True):
        assert controls(prompt) == whole[tuple(prompt)]
        for answer in answers:
            assert controls(answer) == [coder.end] == answer[-1:], "one end of turn, ours"
