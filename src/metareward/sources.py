"""Where prompts come from: the shipped set, a file, or a hub dataset; each bad row named by its line.

Prompts are data: their text is kept as it is, and equal conversations have equal ids.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from metareward.errors import DataError
from metareward.ids import fingerprint
from metareward.records import Message, Prompt
from metareward.rows import kind, rows_of
from metareward.settings import require, shown

_COLUMNS = ("prompt", "messages", "instruction")
_ROLES = ("system", "user", "assistant")
_COLUMNS_SHOWN = 8
_DUPLICATE = "duplicate prompt"
_FORMS = (
    'a row is {"prompt": text or messages}, {"messages": [...]}, {"instruction": text, "input": text}, '
    "or a text alone"
)


@dataclass(frozen=True)
class Loaded:
    """The distinct prompts of a source, in its order; len(prompts) + sum of `dropped` is its rows.

    about: what names the content: `sha256` of a file, or the `revision` of a hub dataset where known.
    """

    prompts: list[Prompt]
    dropped: dict[str, int]
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Split:
    """Prompts shared out: every prompt is in one batch, held out, in `dev`, or one of the `unused`."""

    batches: list[list[Prompt]]
    held_out: list[Prompt]
    unused: int
    dev: list[Prompt] = field(default_factory=list)


def load_prompts(
    source: str, *, split: str = "train", column: str | None = None, base: Path | None = None
) -> Loaded:
    """Read all prompts of `source`; DataError names the file and line of what cannot be used.

    source: "shipped", "arithmetic" (see `problems`), a .jsonl, .json or .parquet file (relative to `base`, by
        default the working directory), or the id of a hub dataset. split: of a hub dataset. column: where a
        row keeps its prompt (a text or a list of messages), if not in `prompt`, `messages` or `instruction`.
    """
    seen: dict[str, Prompt] = {}
    rows, about = 0, {}
    for where, row in rows_of(source, split, base or Path(), about):
        prompt = prompt_of(_conversation(row, column, where), where)
        seen.setdefault(prompt.id, prompt)
        rows += 1
    if not rows:
        raise DataError(f"{source}: there are no prompts in it; {_FORMS}")
    duplicates = rows - len(seen)
    return Loaded(list(seen.values()), {_DUPLICATE: duplicates} if duplicates else {}, about)


def prompt_of(
    conversation: str | Sequence[Message] | Sequence[Mapping[str, str]], source: str = ""
) -> Prompt:
    """A prompt from one text or from messages; equal conversations have equal ids.

    A message may be given as {"role": ..., "content": ...}. source: where it came from. Raises DataError if
    it is none of these, a turn is blank, or the last is not the user's.
    """
    turns = _given(conversation, source or "prompt")
    messages = _checked(turns, source or "prompt")
    return Prompt(fingerprint("prompt", messages), messages, source)


def _given(conversation: Any, where: str) -> list[Message]:
    """The turns of a conversation as a program may give it."""
    if isinstance(conversation, str):
        return [Message("user", conversation)]
    if not isinstance(conversation, list | tuple):
        raise DataError(f"{where}: must be a text or a list of messages, not {kind(conversation)}")
    return [
        turn if isinstance(turn, Message) else _turn(turn, f"{where}: message {number}")
        for number, turn in enumerate(conversation, 1)
    ]


def split_prompts(
    prompts: Sequence[Prompt],
    iterations: int,
    per_iteration: int | None,
    held_out: int,
    seed: int,
    dev: int = 0,
) -> Split:
    """Shuffle by `seed`, set `held_out` prompts apart, and cut the rest into disjoint batches in turn.

    dev: so many from the end are set apart as well, so that the other parts stay what they are without.
    per_iteration: None shares the rest out equally. A larger number extends the first batch at its end
    and leaves the held-out prompts as they are. Raises DataError when there are too few prompts.
    """
    require(iterations >= 1, "iterations", "at least 1", iterations)
    require(per_iteration is None or per_iteration >= 1, "prompts.per_iteration", "at least 1", per_iteration)
    require(held_out >= 0, "prompts.held_out", "0 or more", held_out)
    require(dev >= 0, "prompts.dev", "0 or more", dev)
    needed = held_out + dev + iterations * (per_iteration or 1)
    if needed > len(prompts):
        more, also = (f", and {dev} in dev,", ", dev") if dev else ("", "")
        raise DataError(
            f"prompts: {iterations} iterations of {per_iteration or 'at least 1'} prompts and {held_out} "
            f"held out{more} need {needed} prompts, and there are {len(prompts)}; lower per_iteration{also} "
            "or held_out in [prompts], or give more prompts (equal ones count once)"
        )
    shuffled = list(prompts)
    random.Random(seed).shuffle(shuffled)
    size = per_iteration or (len(shuffled) - held_out - dev) // iterations
    starts = range(held_out, held_out + iterations * size, size)
    batches = [shuffled[start : start + size] for start in starts]
    unused = len(shuffled) - held_out - dev - iterations * size
    return Split(batches, shuffled[:held_out], unused, shuffled[len(shuffled) - dev :])


def _conversation(row: Any, column: str | None, where: str) -> list[Message]:
    if isinstance(row, str) and column is None:
        return [Message("user", row)]
    if not isinstance(row, Mapping):
        wanted = _FORMS if column is None else f"a row must be an object with a column {shown(column)}"
        raise DataError(f"{where}: {kind(row)} is not a prompt; {wanted}")
    known = sorted((name for name in _COLUMNS if name in row), key=lambda name: row[name] is None)
    name = column or next(iter(known), None)
    if name is None or name not in row:
        raise DataError(f"{where}: {_missing(column, list(row))}")
    if name == "instruction" and column is None:
        return [Message("user", _instruction(row, where))]
    return _turns(row[name], name, where)


def _missing(column: str | None, names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _COLUMNS_SHOWN} more" if len(names) > _COLUMNS_SHOWN else ""
    has = f"; there is {', '.join(map(shown, names[:_COLUMNS_SHOWN])) or 'nothing'}{more}"
    near = [n for known in ([column] if column else _COLUMNS) for n in get_close_matches(known, names, n=1)]
    hint = f"; did you mean {near[0]!r}?" if near else "."
    if column:
        return f"no column {shown(column)}{has}{hint} Mend column in [prompts]."
    return f"no column 'prompt', 'messages' or 'instruction'{has}{hint} Name yours with [prompts] column."


def _instruction(row: Mapping[str, Any], where: str) -> str:
    texts = [row["instruction"], row.get("input") or ""]
    for name, text in zip(("instruction", "input"), texts, strict=True):
        if not isinstance(text, str):
            raise DataError(f"{where}: {name!r} must be a text, not {kind(text)}")
    instruction, given = texts
    return f"{instruction}\n\n{given}" if instruction.strip() and given.strip() else instruction


def _turns(value: Any, name: str, where: str) -> list[Message]:
    if isinstance(value, str):
        return [Message("user", value)]
    if not isinstance(value, list):
        raise DataError(f"{where}: {name!r} must be a text or a list of messages, not {kind(value)}")
    turns = [_turn(turn, f"{where}: message {number}") for number, turn in enumerate(value, 1)]
    while turns and turns[-1].role == "assistant":  # an answer that the dataset brings along
        turns.pop()
    return turns


def _turn(turn: Any, where: str) -> Message:
    if not isinstance(turn, Mapping):
        raise DataError(f'{where}: must be {{"role": ..., "content": ...}}, not {kind(turn)}')
    for name in ("role", "content"):
        if not isinstance(turn.get(name), str):
            raise DataError(f"{where}: {name!r} must be a text, not {kind(turn.get(name))}")
    if turn["role"] not in _ROLES:
        raise DataError(f"{where}: unknown role {shown(turn['role'])}; a role is one of {', '.join(_ROLES)}")
    return Message(turn["role"], turn["content"])


def _checked(turns: list[Message], where: str) -> tuple[Message, ...]:
    if not turns or turns[-1].role != "user":
        last = f"ends with the {turns[-1].role}" if turns else "has no turn that waits for an answer"
        raise DataError(f"{where}: the conversation {last}; a prompt must end in a turn of the user")
    for turn in turns:
        if not turn.content.strip():
            raise DataError(
                f"{where}: empty prompt: the {turn.role}'s turn is blank; fill it or remove the row"
            )
    return tuple(turns)
