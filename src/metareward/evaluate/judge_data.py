"""Pairs and rankings whose truth people decided, from the files in which they are published."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metareward.errors import DataError
from metareward.evaluate.jsonrows import Row, complain, read_rows
from metareward.ids import fingerprint
from metareward.reasoning import AUTO
from metareward.records import Message
from metareward.sources import prompt_of

_PAIRS = (
    'a file of pairs has rows {"prompt", "chosen", "rejected"}, LLMBar\'s {"input", "output_1", "output_2", '
    '"label"} or PandaLM\'s {"instruction", "response1", "response2", "annotator1", ...}'
)
_RANKS = (
    'a file of rankings has rows {"prompt", "response", "quality"} (or "rank", the lowest the best; also '
    '"question" and "answer"), rows {"prompt", "responses": [{"response", "quality"}, ...]}, or OASST\'s '
    '{"prompt_text", "response_text", "quality_score"}'
)


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
    found = [_pair(row) for row in rows]
    complain(path, _faults(found), len(rows), _PAIRS)
    return tuple(pair for pair in found if isinstance(pair, KnownPair))


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
        if not isinstance(row.get("subset"), str) or row.get("label") not in (1, 2)
    ]
    complain(path, faults, len(rows), wanted)
    found: dict[str, list[tuple[int, int]]] = {}
    for place, row in enumerate(rows):
        number = row["i"] if isinstance(row.get("i"), int) else place
        found.setdefault(row["subset"], []).append((number, row["label"]))
    return {subset: [label for _, label in sorted(numbered)] for subset, numbered in found.items()}


def majority(votes: Sequence[Any]) -> float:
    """What most of several votes (1, 2 or 0 for equal) say of the first response; no majority is equal."""
    (top, count), *rest = Counter(votes).most_common(2)
    if rest and rest[0][1] == count:
        return 0.5
    return {1: 1.0, 2: 0.0}.get(top, 0.5)


def _faults(found: Iterable[Any]) -> list[tuple[str, str]]:
    return [(fault, f"row {number}") for number, fault in enumerate(found, 1) if isinstance(fault, str)]


def _pair(row: Row) -> KnownPair | str:
    if "chosen" in row and "rejected" in row:
        texts, better = (_last(row["chosen"]), _last(row["rejected"])), 1.0
        prompt = row.get("prompt", row.get("instruction"))
    elif "output_1" in row and "label" in row:
        texts, prompt = (row["output_1"], row.get("output_2")), row.get("input", row.get("instruction"))
        better = {1: 1.0, 2: 0.0, 0: 0.5}.get(row["label"], -1.0)
    elif "response1" in row and "annotator1" in row:
        votes = [row[name] for name in sorted(row) if name.startswith("annotator")]
        texts, better = (_text(row["response1"]), _text(row.get("response2"))), majority(votes)
        prompt = "\n\n".join(str(row[name]) for name in ("instruction", "input") if row.get(name))
    else:
        return "are of another form"
    if better < 0:
        return "have a label that is not 1, 2 or 0"
    if not all(isinstance(text, str) for text in texts):
        return "have a response that is no text"
    texts = tuple(AUTO.answer(str(text)) for text in texts)
    category = next((row[name] for name in ("category", "subset", "motivation_app") if name in row), "")
    messages = _messages(prompt)
    return messages if isinstance(messages, str) else KnownPair(messages, *texts, better, str(category))  # type: ignore[arg-type]


def _each_response(row: Row) -> list[Row]:
    """A row for each response, where one row has all the responses of a prompt."""
    responses = row.get("responses")
    if not isinstance(responses, list) or not all(isinstance(one, Mapping) for one in responses):
        return [row]
    shared = {name: value for name, value in row.items() if name != "responses"}
    return [{**shared, **one} for one in responses]


def _first_of(row: Row, *names: str) -> Any:
    return next((row[name] for name in names if name in row), None)


def _ranked(row: Row) -> Ranked | str | None:
    """The ranked response; None if nobody rated it; or what is wrong with the row."""
    prompt = _first_of(row, "prompt_text", "prompt", "question")
    response = _first_of(row, "response_text", "response", "answer")
    quality = _first_of(row, "quality_score", "quality")
    if quality is None and isinstance(row.get("rank"), int | float):
        quality = -row["rank"]
    if response is None or not {"quality_score", "quality", "rank"} & row.keys():
        return "are of another form"
    if quality is None:
        return None
    if isinstance(quality, bool) or not isinstance(quality, int | float) or quality != quality:
        return "have a quality that is no number"
    if not isinstance(response, str):
        return "have a response that is no text"
    messages = _messages(prompt)
    return messages if isinstance(messages, str) else Ranked(messages, AUTO.answer(response), float(quality))


def _messages(prompt: Any) -> tuple[Message, ...] | str:
    """The conversation, or what is wrong with it."""
    try:
        if isinstance(prompt, str):
            return prompt_of(prompt).messages
        turns = [Message(turn["role"], turn["content"]) for turn in prompt]
        return prompt_of(turns).messages
    except (DataError, TypeError, KeyError):
        return "have no usable prompt"


def _text(value: Any) -> Any:
    """PandaLM wrote a response that is a number, or `True`, down as that."""
    return str(value) if isinstance(value, int | float) else value


def _last(value: Any) -> Any:
    """A response as a text, or the last turn of a conversation that ends in it."""
    if isinstance(value, list) and value and isinstance(value[-1], Mapping):
        return value[-1].get("content")
    return value
