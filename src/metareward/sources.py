"""Where prompts come from: the shipped set, a file, or a hub dataset; each bad row named by its line.

Prompts are data: their text is kept as it is, and equal conversations have equal ids.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metareward import conversations
from metareward.errors import DataError
from metareward.ids import fingerprint
from metareward.records import Message, Prompt
from metareward.rows import BadRow, kind, rows_of
from metareward.settings import one_of, path_of, require

BAD_ROWS = ("refuse", "skip")
_DUPLICATE = "duplicate prompt"


@dataclass(frozen=True)
class Loaded:
    """The distinct prompts of a source, in its order; len(prompts) + sum of `dropped` is its rows.

    about: what names the content: `sha256` of a file, or the `revision` of a hub dataset where known.
    unused: in how many rows a column seems to belong to the prompt, beside the one that the user named.
    """

    prompts: list[Prompt]
    dropped: dict[str, int]
    about: dict[str, Any] = field(default_factory=dict)
    unused: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Split:
    """Prompts shared out: every prompt is in one batch, held out, in `dev`, or one of the `unused`."""

    batches: list[list[Prompt]]
    held_out: list[Prompt]
    unused: int
    dev: list[Prompt] = field(default_factory=list)


def load_prompts(
    source: str | Path,
    *,
    split: str = "train",
    column: str | None = None,
    base: Path | None = None,
    bad_rows: str = "refuse",
) -> Loaded:
    """Read all prompts of `source`; DataError names the file and line of what cannot be used.

    source: "shipped", "arithmetic" (see `problems`), a file that ends in .jsonl, .json, .csv, .tsv, .txt
        (also with .gz) or .parquet (relative to `base`, by default the working directory), a folder that
        `save_to_disk` of `datasets` wrote, or the id of a hub dataset. split: of a hub dataset or a saved
        folder. column: where a row keeps its prompt (a text or a list of messages), if not where
        `conversations.COLUMNS` says. bad_rows: "refuse" a source with a row that cannot be used, or "skip"
        such rows and count them by reason.
    """
    require(bad_rows in BAD_ROWS, "prompts.bad_rows", one_of(BAD_ROWS), bad_rows)
    source = str(path_of(source, "a source of prompts")) if not isinstance(source, str) else source
    seen: dict[str, Prompt] = {}
    dropped: Counter[str] = Counter()
    unused: Counter[str] = Counter()
    first: BadRow | None = None
    about: dict[str, Any] = {}
    for where, row in rows_of(source, split, base or Path(), about, conversations.needed(column)):
        try:
            prompt = _prompt(row, column, where)
        except BadRow as bad:
            if bad_rows == "refuse":
                raise
            first = first or bad
            dropped[bad.reason] += 1
            continue
        unused.update(conversations.unused_columns(row, column))
        dropped[_DUPLICATE] += prompt.id in seen
        seen.setdefault(prompt.id, prompt)
    if first and not seen:
        raise DataError(f"{source}: none of {dropped.total()} rows can be used; the first: {first}")
    if not seen:
        raise DataError(f"{source}: there are no prompts in it; {conversations.FORMS}")
    return Loaded(list(seen.values()), dict(+dropped), about, dict(unused))


def _prompt(row: Any, column: str | None, where: str) -> Prompt:
    if isinstance(row, BadRow):
        raise row
    return prompt_of(conversations.conversation_of(row, column, where), where)


def prompt_of(
    conversation: str | Sequence[Message] | Sequence[Mapping[str, str]], source: str = ""
) -> Prompt:
    """A prompt from one text or from messages; equal conversations have equal ids.

    A message may be given as {"role": ..., "content": ...}. source: where it came from. Raises DataError if
    it is none of these, a turn is blank, or the last is not the user's.
    """
    turns = _given(conversation, source or "prompt")
    messages = conversations.checked(turns, source or "prompt")
    return Prompt(fingerprint("prompt", messages), messages, source)


def _given(conversation: Any, where: str) -> list[Message]:
    """The turns of a conversation as a program may give it."""
    if isinstance(conversation, str):
        return [Message("user", conversation)]
    if not isinstance(conversation, list | tuple):
        raise DataError(f"{where}: must be a text or a list of messages, not {kind(conversation)}")
    return [
        given if isinstance(given, Message) else conversations.turn_of(given, f"{where}: message {number}")
        for number, given in enumerate(conversation, 1)
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

    Prompts that differ in case and blanks alone are on one side: all held out, all in `dev`, or neither.

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
    alike = [_folded(prompt) for prompt in shuffled]
    held, spare = _apart(alike, range(len(shuffled)), held_out)
    rest = _without(range(len(shuffled)), held | spare)
    tuned, spare = _apart(alike, rest[::-1], dev)
    rest = _without(rest, tuned | spare)
    size = per_iteration or len(rest) // iterations
    if size < 1 or iterations * size > len(rest):
        raise DataError(
            f"prompts: {len(prompts)} are too few for {iterations} iterations of {size or 'at least 1'} and "
            f"{held_out} held out, as those that differ in case and blanks alone must stay on one side; "
            "lower per_iteration or held_out in [prompts], or give more prompts"
        )
    used = [shuffled[place] for place in rest[: iterations * size]]
    return Split(
        [used[start : start + size] for start in range(0, len(used), size)],
        [shuffled[place] for place in sorted(held)],
        len(prompts) - len(held) - len(tuned) - len(used),
        [shuffled[place] for place in sorted(tuned)],
    )


def _without(places: Sequence[int], gone: set[int]) -> list[int]:
    return [place for place in places if place not in gone]


def _folded(prompt: Prompt) -> tuple[tuple[str, str], ...]:
    """What near-duplicates share: their turns, case and blanks aside."""
    return tuple((turn.role, " ".join(turn.content.casefold().split())) for turn in prompt.messages)


def _apart(alike: Sequence[Any], order: Sequence[int], count: int) -> tuple[set[int], set[int]]:
    """The first `count` places of an order that can be taken with all that is alike; and places to leave out.

    A group of near-duplicates that does not fit is passed over. Where nothing else is left, one of it is
    taken and the others are left out, so that none is on the other side.
    """
    groups: dict[Any, list[int]] = {}
    for place in order:
        groups.setdefault(alike[place], []).append(place)
    taken: set[int] = set()
    for group in groups.values():
        if len(taken) + len(group) <= count:
            taken.update(group)
        if len(taken) == count:
            return taken, set()
    spare: set[int] = set()
    for group in (group for group in groups.values() if taken.isdisjoint(group)):
        room = count - len(taken)
        taken.update(group[:room])
        spare.update(group[room:] if room else ())
    return taken, spare
