"""One record told as plain facts, for a person or a program.

Texts come from models and are told as they are: whoever shows them passes them through `display.plain`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from metareward import templates
from metareward.records import Battle, Judgment, Outcome, PreferencePair, Prompt, Response

_WORDS = {"PreferencePair": "preference pair"}


@dataclass(frozen=True)
class Story:
    """A tree of plain facts. Texts in it are exact, and not fit for a terminal: see `display.plain`."""

    title: str
    facts: dict[str, Any] = field(default_factory=dict)
    children: tuple["Story", ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        children = [child.as_dict() for child in self.children]
        return {"title": self.title, "facts": dict(self.facts), "children": children}


def word(kind: type[Any]) -> str:
    """What a person calls a kind of record."""
    return _WORDS.get(kind.__name__, kind.__name__.lower())


def title(record: Any, side: str = "") -> str:
    """What a record is, which side it was on, and its id."""
    return f"{side} {word(type(record))} {record.id}".lstrip()


def absent_story(side: str, name: str) -> Story:
    """A record that is named but not there."""
    return Story(f"{side} {name}", {"missing": "not in a finished step of this run"})


def prompt_story(prompt: Prompt) -> Story:
    """Where a prompt came from, and what it says: one turn as it is, several as a judge sees them."""
    single = len(prompt.messages) == 1
    told = prompt.messages[0].content if single else templates.transcript(prompt.messages)
    return Story(title(prompt), {"source": prompt.source, "conversation": told})


def told(record: Response | Judgment | Battle) -> dict[str, Any]:
    """What a model wrote: its answer as `text`, and the reasoning before it, if any, apart from it."""
    if not record.reasoning:
        return {"text": record.text}
    thoughts = "reasoning" if record.reasoning_ended else "reasoning, which did not end"
    return {thoughts: record.text[: record.reasoning].strip(), "text": record.answer}


def response_story(
    response: Response, judgments: Sequence[Judgment] | None, side: str = "", texts: bool = False
) -> Story:
    """A response and its judgments (None: they are not told; `texts`: with the text of each)."""
    facts: dict[str, Any] = {
        "sample": response.sample,
        "model": response.model,
        "finish": response.finish.value,
    }
    if response.error:
        facts["error"] = response.error
    if judgments is not None:
        scores = [judgment.score for judgment in judgments if judgment.score is not None]
        facts["mean score"] = f"{fmean(scores):.3f}" if scores else None
        facts["readable judgments"] = f"{len(scores)} of {len(judgments)}"
    facts |= {"characters": len(response.answer), **told(response)}
    children = tuple(judgment_story(judgment, text=texts) for judgment in judgments or ())
    return Story(title(response, side), facts, children)


def judgment_story(judgment: Judgment, side: str = "", text: bool = True) -> Story:
    """A judgment and its score, or why there is none; `text`: with what it says."""
    facts: dict[str, Any] = {"sample": judgment.sample, "model": judgment.model, "score": judgment.score}
    if judgment.unread is not None:
        facts["unreadable"] = judgment.unread
    if judgment.confidence is not None:
        facts["confidence"] = judgment.confidence
    if text:
        facts |= told(judgment)
    return Story(title(judgment, side), facts)


def battle_story(battle: Battle, name: str) -> Story:
    """A battle as the judgment `name` saw it: won, lost, tie or unreadable."""
    position = Outcome.FIRST if battle.first_id == name else Outcome.SECOND
    decided = battle.outcome in (Outcome.FIRST, Outcome.SECOND)
    result = ("won" if battle.outcome is position else "lost") if decided else battle.outcome.value
    other = battle.second_id if position is Outcome.FIRST else battle.first_id
    facts = {"shown": position.value, "against": other, "result": result}
    return Story(
        title(battle), facts | ({} if battle.p_first is None else {"probability of first": battle.p_first})
    )


def battle_record(battles: Sequence[Battle], win: Outcome, loss: Outcome) -> str:
    """Battles counted, for a judgment to which the outcome `win` is a victory."""
    count = {outcome: sum(battle.outcome is outcome for battle in battles) for outcome in Outcome}
    text = f"{count[win]} won, {count[loss]} lost, {count[Outcome.TIE]} tied"
    unreadable = count[Outcome.UNREADABLE]
    return text + (f", {unreadable} unreadable" if unreadable else "")


def pair_story(pair: PreferencePair, among: Sequence[str]) -> Story:
    """A pair in short, and which of its sides are `among` some ids."""
    as_what = [side for side in ("chosen", "rejected") if getattr(pair, f"{side}_id") in among]
    facts = {"role": pair.role.value, "as": " and ".join(as_what)} if as_what else {"role": pair.role.value}
    scores = {"chosen": f"{pair.chosen_id}, {pair.chosen_score:.3f}"}
    return Story(title(pair), facts | scores | {"rejected": f"{pair.rejected_id}, {pair.rejected_score:.3f}"})
