"""The benchmarks' own rows of pairs, as they publish them: which two responses, and which one is better."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from metareward.conversations import beside, conversation_of
from metareward.errors import DataError
from metareward.evaluate.jsonrows import Row
from metareward.records import Message
from metareward.rows import BadRow
from metareward.sources import prompt_of

OTHER_FORM = "are of another form"
_HH_TURN = re.compile(r"\n\n(Human|Assistant):[ \t]?")
_HH_ROLES: Mapping[str, Literal["user", "assistant"]] = {"Human": "user", "Assistant": "assistant"}
_A, _B, _EQUAL = 1.0, 0.0, 0.5
_WON = {"model_a": _A, "response_a": _A, "a": _A, "A": _A, "model_b": _B, "response_b": _B, "b": _B, "B": _B}
_WON |= {"tie": _EQUAL, "Tie": _EQUAL, "tie (bothbad)": _EQUAL, "C": _EQUAL}
_CONVERSATIONS = ("messages", "conversations", "conversation")
_PROMPTS = ("prompt", "instruction", "question", *_CONVERSATIONS)
_STYLES = 3  # RM-Bench: concise, detailed in plain text, detailed with Markdown


@dataclass(frozen=True, slots=True)
class Draft:
    """Two responses, unchecked: `better` as in a KnownPair, `prompt` a text or messages."""

    prompt: Any
    first: Any
    second: Any
    better: float
    category: Any = ""


class FormError(ValueError):
    """What is wrong with a row, as what follows "3 of 20 rows"."""


def drafts_of(row: Row) -> list[Draft]:
    """The pairs of a row; FormError if it is of no known form, or its label is none of its form's."""
    for needs, read in _FORMS:
        if needs <= row.keys():
            return list(read(row))
    if "completions" in row:
        raise FormError("are UltraFeedback's, which ranks its completions: give the file with --ranks")
    raise FormError(OTHER_FORM)


def label_in(value: Any, known: Mapping[Any, float]) -> float:
    """What a label says; FormError for true and false, and for what is not among `known`."""
    if isinstance(value, bool) or not isinstance(value, int | str) or value not in known:
        raise FormError(f"have a label that is none of {', '.join(map(str, known))}")
    return known[value]


def majority(votes: Sequence[Any]) -> float:
    """What most of several votes (1, 2 or 0 for equal) say of the first response; no majority is equal."""
    read = [label_in(vote, {1: _A, 2: _B, 0: _EQUAL}) for vote in votes]
    (top, count), *rest = Counter(read).most_common(2)
    return _EQUAL if rest and rest[0][1] == count else top


def require_certain(labels: Sequence[Any], what: str) -> None:
    """DataError where 0 and 1 stand alone: whether 0 is a tie or the second response cannot be told."""
    read = {label for label in labels if not isinstance(label, bool)}
    if 0 in read and not read & {2, "2"}:
        raise DataError(
            f"{what}: 0 stands there and 2 nowhere, so 0 may mean a tie or the second response; write 1, 2 "
            'or "tie"'
        )


def rm_bench_difficulty(chosen: int, rejected: int) -> str:
    """RM-Bench's name of a comparison: hard if the rejected response has the more elaborate style."""
    return "normal" if chosen == rejected else "hard" if chosen < rejected else "easy"


def _judge_bench(row: Row) -> Iterator[Draft]:
    better = label_in(row["label"], {"A>B": _A, "B>A": _B})
    yield Draft(row["question"], row["response_A"], row["response_B"], better, row.get("source", ""))


def _auto_j(row: Row) -> Iterator[Draft]:
    better = label_in(row["label"], {0: _A, 1: _B, 2: _EQUAL})
    yield Draft(row["prompt"], row["response 1"], row["response 2"], better, row.get("scenario", ""))


def _prometheus(row: Row) -> Iterator[Draft]:
    better = label_in(row["orig_preference"], {"A": _A, "B": _B})
    yield Draft(row["orig_instruction"], row["orig_response_A"], row["orig_response_B"], better)


def _llmbar(row: Row) -> Iterator[Draft]:
    better = label_in(row["label"], {1: _A, 2: _B, 0: _EQUAL})
    prompt = prompt_in(row) if "instruction" in row else row.get("input")
    yield Draft(prompt, row["output_1"], row.get("output_2"), better, _category(row))


def _pandalm(row: Row) -> Iterator[Draft]:
    votes = [row[name] for name in sorted(row) if name.startswith("annotator")]
    prompt = "\n\n".join(str(row[name]) for name in ("instruction", "input") if row.get(name))
    texts = (_text(row["response1"]), _text(row.get("response2")))
    yield Draft(prompt, *texts, majority(votes), _category(row))


def _battle(row: Row) -> Iterator[Draft]:
    better = label_in(row["winner"], _WON)
    yield Draft(prompt_in(row), row["response_a"], row["response_b"], better, _category(row))


def _preference(row: Row) -> Iterator[Draft]:
    chosen, rejected = row["chosen"], row["rejected"]
    before = _said_before(chosen, rejected)
    prompt = prompt_in({**row, "prompt": before} if before else row)
    if prompt is None and isinstance(chosen, str) and _HH_TURN.match(chosen):
        yield _hh(chosen, rejected)
    elif _texts(chosen) and _texts(rejected):
        yield from _several(row, prompt, chosen, rejected)
    else:
        yield Draft(prompt, _last(chosen), _last(rejected), _A, _category(row))


def _several(row: Row, prompt: Any, chosen: Sequence[str], rejected: Sequence[str]) -> Iterator[Draft]:
    """RewardBench 2's and RM-Bench's: every chosen one is better than every rejected one."""
    styles = len(chosen) == len(rejected) == _STYLES and "total_completions" not in row
    name = str(row.get("domain", _category(row)))
    for place, better in enumerate(chosen):
        for other, worse in enumerate(rejected):
            category = f"{name} {rm_bench_difficulty(place, other)}".strip() if styles else name
            yield Draft(prompt, better, worse, _A, category)


def _hh(chosen: Any, rejected: Any) -> Draft:
    """HH's: two transcripts that part at the last answer."""
    if not isinstance(rejected, str):
        raise FormError("have a response that is no text")
    sides = [_transcript(text) for text in (chosen, rejected)]
    if sides[0][:-1] != sides[1][:-1] or any(side[-1].role != "assistant" for side in sides):
        raise FormError("have two conversations that differ before the last answer")
    return Draft(sides[0][:-1], sides[0][-1].content, sides[1][-1].content, _A)


def _transcript(text: str) -> list[Message]:
    _, *parts = _HH_TURN.split(text)
    roles, contents = parts[::2], parts[1::2]
    return [Message(_HH_ROLES[r], said.strip()) for r, said in zip(roles, contents, strict=True)] or [
        Message("user", text)
    ]


def prompt_in(row: Row) -> Any:
    """The prompt of a row, with what belongs to it in other columns (`metareward.conversations`).

    None if there is none. FormError if another column has no certain place in it, or is no text.
    """
    name = next((name for name in _PROMPTS if row.get(name) is not None), None)
    added = beside(row)
    if name is None or not (added or name in _CONVERSATIONS):
        return row[name] if name else None
    try:
        return conversation_of({"prompt" if name == "question" else name: row[name], **added}, None, "it")
    except BadRow as error:
        raise FormError(f"cannot be used: {error.reason}") from None


def _said_before(chosen: Any, rejected: Any) -> Any:
    """What both conversations say before their last turn, where they are such with more than one turn."""
    before = chosen[:-1] if _messages(chosen) else None
    if not before or not _messages(rejected):
        return None
    if before != rejected[:-1]:
        raise FormError("have two conversations that differ before the last answer")
    return before


def _messages(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(turn, Mapping) for turn in value)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) for text in value)


def _last(value: Any) -> Any:
    """A response as a text, a turn, or the last turn of a conversation that ends in it."""
    turn = value[-1] if _messages(value) else value
    return turn.get("content", turn.get("value")) if isinstance(turn, Mapping) else value


def _text(value: Any) -> Any:
    """PandaLM wrote a response that is a number, or `True`, down as that."""
    return str(value) if isinstance(value, int | float) else value


def _category(row: Row) -> Any:
    names = ("category", "subset", "motivation_app", "domain")
    return next((row[name] for name in names if name in row), "")


_FORMS: tuple[tuple[set[str], Callable[[Row], Iterator[Draft]]], ...] = (
    ({"question", "response_A", "response_B", "label"}, _judge_bench),
    ({"prompt", "response 1", "response 2", "label"}, _auto_j),
    ({"orig_instruction", "orig_response_A", "orig_response_B", "orig_preference"}, _prometheus),
    ({"response_a", "response_b", "winner"}, _battle),
    ({"chosen", "rejected"}, _preference),
    ({"output_1", "label"}, _llmbar),
    ({"response1", "annotator1"}, _pandalm),
)


def messages_of(prompt: Any) -> tuple[Message, ...]:
    """A text or messages as the turns of a prompt; FormError if they are none."""
    try:
        if isinstance(prompt, str):
            return prompt_of(prompt).messages
        turns = [
            turn if isinstance(turn, Message) else Message(turn["role"], turn["content"]) for turn in prompt
        ]
        if not all(isinstance(turn.content, str) for turn in turns):
            raise FormError("have no usable prompt")
        return prompt_of(turns).messages
    except (DataError, TypeError, KeyError):
        raise FormError("have no usable prompt") from None
