"""The rows of a run's table that say what each model's answers looked like before they were judged."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from metareward.display import one_line

_SHOWN: Mapping[str, str] = {  # always told; of the others those that failed
    "verdict": "answers that read as a verdict or a rubric",
    "alike": "phrases shared with answers to other prompts",
    "opening": "most common opening",
}
_OTHERS: Mapping[str, str] = {
    "one_answer": "most common answer",
    "loops": "answers that say the same again and again",
    "empty": "empty answers",
    "echo": "answers that say the prompt back",
    "turns": "answers that go on with another's turn",
    "header": "answers that begin with a role's header",
    "cut_off": "answers cut off, before judging",
}
_CHARACTERS = 24  # of an opening


def answer_rows(models: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    """A title and a cell for each model, `!` where it is degenerate; nothing where nothing was measured."""
    each = [_of(model) for model in models]
    if not any(each):
        return
    failed = {name for one in each if one for name, sign in one["signs"].items() if sign["state"] == "failed"}
    told = {**_SHOWN, **{name: title for name, title in _OTHERS.items() if name in failed}}
    for name, title in told.items():
        yield title, [_cell(one, name) for one in each]


def _of(model: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What the answers to held-out prompts looked like; without any, those of the model's iteration."""
    found = model.get("answers") or {}
    return found.get("held-out") or found.get("training")


def _cell(answers: Mapping[str, Any] | None, name: str) -> str:
    sign = answers["signs"][name] if answers else None
    if answers is None or sign is None or sign["value"] is None:
        return "-"
    value = f"{100 * sign['value']:.0f} %"
    if name == "opening":
        return f"{value} {one_line(answers['opening'][:_CHARACTERS])}".strip()
    return value + (" !" if sign["state"] == "failed" else "")
