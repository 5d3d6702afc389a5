"""Pairs and rankings whose truth people decided, from the files in which they are published."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metareward.evaluate.jsonrows import Row, complain, read_rows
from metareward.evaluate.pair_forms import FormError, drafts_of, messages_of, prompt_in, require_certain
from metareward.ids import fingerprint
from metareward.reasoning import AUTO
from metareward.records import Message

_PAIRS = (
    'a file of pairs has rows {"prompt", "chosen", "rejected"} or {"prompt", "response_a", "response_b", '
    '"winner"}, '
    "or those of LLMBar, PandaLM, JudgeBench, Auto-J, RM-Bench, RewardBench, HH or Prometheus"
)
_RANKS = (
    'a file of rankings has rows {"prompt", "response", "quality"} (or "rank", the lowest the best; also '
    '"question" and "answer"), rows {"prompt", "responses": [{"response", "quality"}, ...]}, or OASST\'s '
    '{"prompt_text", "response_text", "quality_score"}, UltraFeedback\'s or Prometheus\'s'
)
_QUALITIES = ("quality_score", "quality", "overall_score", "orig_score")


@dataclass(frozen=True)
class KnownPair:
    """Two responses to a prompt; `better` is 1 if the first is better, 0 if the second, .5 if equal."""

    messages: tuple[Message, ...]
    first: str
    second: str
    better: float
    category: str = ""

    @property
    def id(self) -> str:
        """Names the pair by its content."""
        return fingerprint("known pair", self.messages, self.first, self.second)

    @property
    def cluster(self) -> str:
        """Names the prompt, which several pairs may share."""
        return fingerprint("known prompt", self.messages)


@dataclass(frozen=True)
class Ranked:
    """A response to a prompt and what people made of it; higher is better."""

    messages: tuple[Message, ...]
    response: str
    quality: float

    @property
    def id(self) -> str:
        """Names the response by its content."""
        return fingerprint("ranked", self.messages, self.response)

    @property
    def cluster(self) -> str:
        """Names the prompt."""
        return fingerprint("known prompt", self.messages)


def read_pairs(path: Path) -> tuple[KnownPair, ...]:
    """The pairs of a file, in its order. Raises DataError, with counts, for rows of another form."""
    rows = read_rows(path)
    if all("output_1" in row for row in rows):
        require_certain([row.get("label") for row in rows], f"{path}: the labels")
    found = [_pairs(row) for row in rows]
    complain(path, _faults(found), len(rows), _PAIRS)
    return tuple(pair for pairs in found if not isinstance(pairs, str) for pair in pairs)


def read_ranked(path: Path) -> tuple[tuple[Ranked, ...], int]:
    """The ranked responses of a file, in its order, and how many rows nobody had rated (null).

    Raises DataError, with counts, for rows of another form.
    """
    rows = [one for row in read_rows(path) for one in _each_response(row)]
    found = [_ranked(row) for row in rows]
    complain(path, _faults(found), len(rows), _RANKS)
    kept = tuple(row for row in found if isinstance(row, Ranked))
    return kept, len(rows) - len(kept)


def labels_of(path: Path) -> dict[str, list[int]]:
    """LLMBar's gold labels (1 or 2) of each subset, in the order of its pairs. Raises DataError."""
    rows = read_rows(path)
    wanted = "pairs have a subset, an i and a label of 1 or 2"
    faults = [
        ("are of another form", f"row {number}")
        for number, row in enumerate(rows, 1)
        if not isinstance(row.get("subset"), str)
        or isinstance(row.get("label"), bool)
        or row.get("label") not in (1, 2)
    ]
    complain(path, faults, len(rows), wanted)
    found: dict[str, list[tuple[int, int]]] = {}
    for place, row in enumerate(rows):
        number = row["i"] if isinstance(row.get("i"), int) else place
        found.setdefault(row["subset"], []).append((number, row["label"]))
    return {subset: [label for _, label in sorted(numbered)] for subset, numbered in found.items()}


def _faults(found: Iterable[Any]) -> list[tuple[str, str]]:
    return [(fault, f"row {number}") for number, fault in enumerate(found, 1) if isinstance(fault, str)]


def _pairs(row: Row) -> list[KnownPair] | str:
    """The pairs of a row, or what is wrong with it."""
    try:
        return [
            KnownPair(
                messages_of(one.prompt), _said(one.first), _said(one.second), one.better, str(one.category)
            )
            for one in drafts_of(row)
        ]
    except FormError as error:
        return str(error)


def _said(response: Any) -> str:
    """What a response says, without the reasoning before it."""
    if not isinstance(response, str):
        raise FormError("have a response that is no text")
    return AUTO.answer(response)


def _each_response(row: Row) -> list[Row]:
    """A row for each response, where one row has all the responses of a prompt."""
    responses = row.get("responses", row.get("completions"))
    if not isinstance(responses, list) or not all(isinstance(one, Mapping) for one in responses):
        return [row]
    shared = {name: value for name, value in row.items() if name not in ("responses", "completions")}
    return [{**shared, **one} for one in responses]


def _first_of(row: Row, *names: str) -> Any:
    return next((row[name] for name in names if name in row), None)


def _ranked(row: Row) -> Ranked | str | None:
    """The ranked response; None if nobody rated it; or what is wrong with the row."""
    prompt = _first_of(row, "prompt_text", "orig_instruction")
    response = _first_of(row, "response_text", "orig_response", "response", "answer")
    quality = _number(_first_of(row, *_QUALITIES))
    if quality is None and isinstance(row.get("rank"), int | float):
        quality = -row["rank"]
    if response is None or not {*_QUALITIES, "rank"} & row.keys():
        return "are of another form"
    if quality is None:
        return None
    if isinstance(quality, bool) or not isinstance(quality, int | float) or quality != quality:
        return "have a quality that is no number"
    if not isinstance(response, str):
        return "have a response that is no text"
    try:
        prompt = prompt_in(row) if prompt is None else prompt
        return Ranked(messages_of(prompt), AUTO.answer(response), float(quality))
    except FormError as error:
        return str(error)


def _number(quality: Any) -> Any:
    """A quality; Prometheus writes its score as a text, UltraFeedback "N/A" where nobody gave one."""
    if not isinstance(quality, str):
        return quality
    return None if quality == "N/A" else int(quality) if quality.isascii() and quality.isdigit() else quality
