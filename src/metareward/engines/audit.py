"""A model looked at before it is used: its template, tokenizer, config and weights. Nothing is computed.

What would spoil a run without a word is a problem, and said in a sentence.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from metareward.engines.chat import context_of, load_tokenizer
from metareward.engines.loading import not_finite_said, other_layers, pinned_config, unfit
from metareward.engines.probes import TemplateReport, lacking, probe
from metareward.errors import ModelError
from metareward.models.base import Model
from metareward.models.weights import not_finite, stored_head

_SENTENCES = ("problems", "refused", "notes")
_KERNELS = (
    "attn_implementation",
    "_attn_implementation",
    "experts_implementation",
    "_experts_implementation",
)


@dataclass(frozen=True)
class Audit:
    """What was found about a model; None stands for what could not be looked at.

    ends: the tokens that end a turn, first the one that answers made of text get. generation_prompt: whether
    the model is told that its turn begins. keeps_every_turn: of the conversations that were tried. loses:
    those of which a turn vanishes, and which turn; refuses: those the template refuses, which costs nothing.
    opens_reasoning: whether answers begin inside a block of reasoning. drops_reasoning: whether the template
    leaves out the reasoning of earlier answers. bos: how often the beginning-of-sequence token begins
    the prompt. tied: whether config.json has head and embeddings be one; stored_head: "same" or "different"
    where the weights hold both. context: in tokens. problems: a sentence each. refused: those of them for
    which no run is begun; the others stop a run only if its prompts are concerned. notes: what is only said.
    """

    model: str
    fingerprint: str
    ends: tuple[str, ...] | None = None
    generation_prompt: bool | None = None
    header: str | None = None
    keeps_every_turn: bool | None = None
    loses: Mapping[str, str] | None = None
    refuses: tuple[str, ...] | None = None
    uses_date: bool | None = None
    opens_reasoning: bool | None = None
    drops_reasoning: bool | None = None
    bos: int | None = None
    tied: bool | None = None
    stored_head: str | None = None
    context: int | None = None
    finite: bool | None = None
    problems: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return json.loads(json.dumps(asdict(self)))

    def record(self, path: str) -> dict[str, Any]:
        """The same for the record of a session, which says nothing of where the model lies."""
        said = {name: [text.replace(path, self.model) for text in getattr(self, name)] for name in _SENTENCES}
        return {**self.as_dict(), **said}

    def require(self) -> None:
        """Raise ModelError if no run should begin with this model."""
        if self.refused:
            raise ModelError("\n".join(self.refused))

    def refusing(self, *sentences: str) -> "Audit":
        """With further problems for which no run is begun."""
        return replace(self, problems=(*self.problems, *sentences), refused=(*self.refused, *sentences))


@lru_cache(maxsize=16)
def audit(model: Model) -> Audit:
    """Look at a model in a local directory. Reads the weights through once (see models/weights.py)."""
    found = Audit(model.name, model.fingerprint)
    found = _of_template(found, model.path)
    found = _of_config(found, model.path)
    return _of_weights(found, Path(model.path))


def refusal(name: str, error: ModelError) -> Audit:
    """The audit of a model that cannot even be had."""
    return Audit(name, "").refusing(str(error))


def generation_config(path: str) -> Any:
    """What `end_of_turn` needs of a model's generation config, without the model: `eos_token_id`."""
    for name in ("generation_config.json", "config.json"):
        file = Path(path) / name
        if file.is_file():
            content = json.loads(file.read_text(encoding="utf-8"))
            for part in (content, content.get("text_config") or {}):
                if part.get("eos_token_id") is not None:
                    return SimpleNamespace(eos_token_id=part["eos_token_id"])
    return SimpleNamespace(eos_token_id=None)


def _of_template(found: Audit, path: str) -> Audit:
    try:
        tokenizer = load_tokenizer(path)
        report = probe(tokenizer, generation_config(path))
    except ModelError as error:
        return found.refusing(str(error))
    return with_template(found, path, tokenizer, report)


def with_template(found: Audit, path: str, tokenizer: Any, report: TemplateReport) -> Audit:
    """What a template was seen to do, and what follows from it."""
    ends = tuple(str(tokenizer.convert_ids_to_tokens(end)) for end in report.ends)
    found = replace(
        found,
        ends=ends,
        generation_prompt=not report.lacks,
        header=report.header,
        keeps_every_turn=not report.loses,
        loses=dict(report.loses),
        refuses=report.refuses,
        uses_date=report.uses_date,
        opens_reasoning=bool(report.reasoning),
        drops_reasoning=report.drops_reasoning,
        bos=report.bos,
        notes=(*found.notes, *(f"{path}: {note}" for note in _notes(report, ends))),
    )
    if report.loses:
        found = replace(found, problems=(*found.problems, f"{path}: {_loses(report.loses)}"))
    return found.refusing(*(f"{path}: {problem}" for problem in _faults(report)))


def _faults(report: TemplateReport) -> Iterable[str]:
    """What makes every answer worthless."""
    if not report.ends:
        yield (
            "neither the tokenizer nor generation_config.json names a token that ends a turn, and the chat "
            "template writes none. Set eos_token_id in generation_config.json."
        )
    if report.lacks:
        yield lacking(report.lacks)
    if report.bos > 1:
        yield "the chat template writes the beginning-of-sequence token twice; mend chat_template."
    if report.address:
        yield (
            "the chat template writes a place in memory (0x...), which is another one in each process; mend "
            "chat_template.jinja."
        )


def _notes(report: TemplateReport, ends: tuple[str, ...]) -> Iterable[str]:
    """What a user should know, and what is done about it."""
    unnamed = [end for number, end in zip(report.ends, ends, strict=True) if number not in report.named]
    if unnamed:
        yield (
            f"neither the tokenizer nor generation_config.json names {unnamed[0]!r}, with which the chat "
            "template ends a turn; it is taken for the end of an answer all the same."
        )
    elif report.ends and not report.written:
        yield (
            f"the chat template writes no control token behind an answer; answers end in {ends[0]!r}, which "
            "tokenizer or generation_config.json names. If they run on, set another eos_token_id there."
        )
    if report.uses_date:
        yield (
            "the chat template writes the date into every prompt; a run keeps that of its start, on whatever "
            "day it goes on."
        )
    if report.wants_bos and not report.bos:
        yield (
            "the tokenizer begins a text with the beginning-of-sequence token, and the chat template writes "
            "none; most models of that kind answer worse without it."
        )
    if report.reasoning:
        yield f"answers begin inside a block of reasoning: the chat template opens {report.reasoning!r}."


def _loses(loses: Mapping[str, str]) -> str:
    name = next(iter(loses))
    more = [other for other in loses if other != name]
    also = f" (also with {', '.join(more)})" if more else ""
    return (
        f"the chat template leaves out turns: in a conversation with {name} {loses[name]} "
        f"vanishes{also}. A run whose prompts have such turns is refused; mend chat_template.jinja, or put "
        "that text into another turn."
    )


def _of_config(found: Audit, path: str) -> Audit:
    try:
        config = pinned_config(path)
    except ModelError as error:
        return found if found.refused else found.refusing(str(error))
    text = config.get_text_config(decoder=True)
    tied = getattr(config, "tie_word_embeddings", None)
    found = replace(
        found,
        tied=bool(getattr(text, "tie_word_embeddings", False) if tied is None else tied),
        context=context_of(config.to_dict()),
        notes=(*found.notes, *(f"{path}: {note}" for note in _kernels(Path(path) / "config.json"))),
    )
    if other := other_layers(config):
        note = (
            f"{path}: it has {other}, so it is answered with the architecture's own cache and without shared "
            "prefixes, which is slower."
        )
        found = replace(found, notes=(*found.notes, note))
    reason = unfit(config)
    return found.refusing(f"{path}: {reason}") if reason else found


def _kernels(file: Path) -> Iterable[str]:
    """Implementations that config.json names, which are not used."""
    content = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for part in (content, content.get("text_config") or {}):
        for name in _KERNELS:
            if part.get(name) not in (None, "sdpa", "eager"):
                yield (
                    f"config.json asks for {name} = {part[name]!r}, which is not used: engine and training "
                    "take PyTorch's own, and fetch no kernels."
                )


def _of_weights(found: Audit, directory: Path) -> Audit:
    bad = not_finite(directory)
    head = stored_head(directory)
    found = replace(found, finite=not bad, stored_head=head)
    if found.tied and head == "different":
        note = (
            f"{directory}: config.json has head and embeddings be one (tie_word_embeddings), and the weights "
            "hold a head that differs from them; transformers keeps the two apart, other programs may not. "
            "Set tie_word_embeddings to false if the head is meant."
        )
        found = replace(found, notes=(*found.notes, note))
    return found.refusing(f"{directory}: {not_finite_said(bad)}.") if bad else found
