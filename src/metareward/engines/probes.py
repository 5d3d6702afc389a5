"""What a chat template does, found out by rendering harmless conversations with it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from metareward.engines import clock
from metareward.engines.chat import (
    encode_chat,
    end_of_turn,
    named_ends,
    written_ends,
)
from metareward.engines.inert import NONCE
from metareward.engines.templating import left_out, shape, written_around
from metareward.errors import ModelError
from metareward.records import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ROLES: Mapping[str, Literal["system", "user", "assistant"]] = {"s": "system", "u": "user", "a": "assistant"}
CONVERSATIONS: Mapping[str, str] = MappingProxyType(
    {
        "a system turn first": "su",
        "an earlier answer": "uau",
        "a system turn and an earlier answer": "suau",
        "a later system turn": "uasu",
        "two user turns in a row": "uu",
        "two answers in a row": "uaau",
        "two system turns": "ssu",
    }
)
_MOMENTS = (datetime(1999, 1, 2, 3, 4, 5), datetime(2031, 11, 28, 21, 30, 40))
_NAME = re.compile(f"{NONCE}n([0-9]+)q")
_PIECES = re.compile(f"{NONCE}n[0-9]+q|.", re.DOTALL)
_ADDRESS = re.compile(r" at 0x[0-9a-f]{4}")
# The marks that models put around their reasoning, closing ones with something in the first group.
_REASONING = re.compile(
    r"[<\[◁]\|?(/|end_(?:of_)?)?(?:start_|begin_(?:of_)?)?(?:[a-z]{1,12}:)?"
    r"(?:think|thinking|thought|thoughts|reason|reasoning)\|?[>\]▷]"
    r"|<\|channel\|?>\s?(?:thought|analysis)|(<channel\|>)",
    re.IGNORECASE,
)
_MARKS = (("<think>\n", "\n</think>\n\n"), ("[THINK]", "[/THINK]"))
_THOUGHT, _ANSWER = "zzthoughtzz", "zzanswerzz"


@dataclass(frozen=True)
class TemplateReport:
    """What a template was seen to do.

    ends: ids that end a turn, as `end_of_turn` has them; none if it raises. named: those that tokenizer and
    generation config name. written: whether the template writes one behind an answer. header: what it writes
    where the assistant's turn begins. lacks: what of an assistant's turn it should write there and does not,
    although it writes it before an earlier answer. loses, refuses: the conversations of CONVERSATIONS of
    which a turn is left out, and which it does not take. bos: how often the prompt begins with the
    beginning-of-sequence token; wants_bos: whether the tokenizer puts one in front of plain text.
    reasoning: the mark of a block that is left open where the assistant's turn begins. drops_reasoning:
    whether the reasoning of earlier answers is left out. uses_date, address: whether what it writes hangs
    on the clock, or on a place in memory.
    """

    ends: tuple[int, ...]
    named: tuple[int, ...]
    written: bool
    header: str
    lacks: str
    loses: Mapping[str, str]
    refuses: tuple[str, ...]
    bos: int
    wants_bos: bool
    reasoning: str
    drops_reasoning: bool
    uses_date: bool
    address: bool


def probe(tokenizer: "PreTrainedTokenizerBase", generation_config: Any = None) -> TemplateReport:
    """Look at the chat template of a tokenizer. Raises ModelError if it cannot render a user's turn."""
    header, lacks = _header(tokenizer)
    loses, refuses = _turns(tokenizer)
    bos, wants = _beginning(tokenizer)
    seen = [_text(tokenizer, turns) for turns in (_conversation("u"), _conversation("su"))]
    dated = [
        [clock.at(moment, lambda t=t: _text(tokenizer, t)) for t in (_conversation("u"), _conversation("su"))]
        for moment in _MOMENTS
    ]
    try:
        ends = end_of_turn(tokenizer, generation_config)
    except ModelError:
        ends = ()
    named = named_ends(tokenizer, generation_config)
    return TemplateReport(
        ends=ends,
        named=named,
        written=any(end is not None for end in written_ends(tokenizer, named)),
        header=header,
        lacks=lacks,
        loses=loses,
        refuses=refuses,
        bos=bos,
        wants_bos=wants,
        reasoning=open_reasoning(header),
        drops_reasoning=_drops_reasoning(tokenizer),
        uses_date=dated[0] != dated[1],
        address=any(_ADDRESS.search(text) for text in seen),
    )


def require_heading(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Raise ModelError if the model would not be told that its turn begins, where it should be."""
    _, lacks = _header(tokenizer)
    if lacks:
        raise ModelError(f"{tokenizer.name_or_path}: {lacking(lacks)}")


def lacking(heading: str) -> str:
    """The sentence about a heading that a template leaves out, with what to add."""
    return (
        f"the chat template takes no notice of add_generation_prompt: it writes {heading!r} before an "
        "answer, and not where one is to begin, so that answers would begin with it. Add {% if "
        f"add_generation_prompt %}}{{{{ {heading!r} }}}}{{% endif %}} at the end of chat_template.jinja."
    )


def open_reasoning(text: str) -> str:
    """The mark of the reasoning block that a text leaves open; "" if none."""
    marks = list(_REASONING.finditer(text))
    return marks[-1][0] if marks and not (marks[-1][1] or marks[-1][2]) else ""


def spelled(tokenizer: "PreTrainedTokenizerBase", text: str) -> str:
    """A text with control tokens spelled out that stand in it by their secret names."""
    known = tokenizer.added_tokens_decoder
    return _NAME.sub(lambda name: known[int(name[1])].content, text)


def _conversation(pattern: str) -> list[Message]:
    return [Message(_ROLES[letter], f"turn {number}") for number, letter in enumerate(pattern)]


def _header(tokenizer: "PreTrainedTokenizerBase") -> tuple[str, str]:
    """What is written where the assistant's turn begins, and what should be and is not."""
    asked = _behind(shape(tokenizer, _conversation("u")), 0)
    silent = _behind(shape(tokenizer, _conversation("u"), ask=False), 0)
    begun = _begun(tokenizer)
    header = spelled(tokenizer, _beyond(silent, asked))
    if begun is None or asked != silent or asked.startswith(begun.rstrip()):
        return header or spelled(tokenizer, asked), ""
    said = spelled(tokenizer, _beyond(silent, begun))
    only_reasoning = not _REASONING.sub("", said).strip()
    return header, "" if only_reasoning else said


def _beyond(short: str, long: str) -> str:
    """What is left of a text without what another one begins with as well, control tokens whole."""
    one, other = (_PIECES.findall(text) for text in (short, long))
    same = 0
    while same < min(len(one), len(other)) and one[same] == other[same]:
        same += 1
    return "".join(other[same:])


def _begun(tokenizer: "PreTrainedTokenizerBase") -> str | None:
    """What is written between a user's turn and an answer; None if that cannot be told."""
    try:
        pieces = shape(tokenizer, _conversation("ua"), ask=False)
    except ModelError:
        return None
    if 0 not in pieces or 1 not in pieces:
        return None
    user = max(place for place, piece in enumerate(pieces) if piece == 0)
    between = pieces[user + 1 : pieces.index(1, user)] if 1 in pieces[user:] else ()
    return "".join(map(str, between))


def _behind(pieces: Sequence[str | int], number: int) -> str:
    """What is written behind the last place of a message."""
    places = [place for place, piece in enumerate(pieces) if piece == number]
    return "".join(map(str, pieces[places[-1] + 1 :])) if places else ""


def _turns(tokenizer: "PreTrainedTokenizerBase") -> tuple[dict[str, str], tuple[str, ...]]:
    """Of each conversation that loses turns, which; and the conversations that are refused."""
    loses, refuses = {}, []
    for name, pattern in CONVERSATIONS.items():
        messages = _conversation(pattern)
        try:
            lost = left_out(messages, shape(tokenizer, messages))
        except ModelError:
            refuses.append(name)
            continue
        if lost:
            loses[name] = " and ".join(f"the {_place(messages, number)}" for number in lost)
    return loses, tuple(refuses)


def _place(messages: Sequence[Message], number: int) -> str:
    role = messages[number].role
    of_role = [n for n, message in enumerate(messages) if message.role == role]
    which = "" if len(of_role) == 1 else ("first " if number == of_role[0] else "last ")
    return f"{which}{role} turn"


def _beginning(tokenizer: "PreTrainedTokenizerBase") -> tuple[int, bool]:
    bos = tokenizer.bos_token_id
    if bos is None:
        return 0, False
    ids = encode_chat(tokenizer, _conversation("u"))
    count = next((n for n, token in enumerate(ids) if token != bos), len(ids))
    return count, tokenizer("a")["input_ids"][:1] == [bos]


def _text(tokenizer: "PreTrainedTokenizerBase", messages: Sequence[Message]) -> str:
    try:
        return "".join(map(str, shape(tokenizer, messages)))
    except ModelError:
        return ""


def _drops_reasoning(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether the reasoning in an earlier answer, in one of two usual marks, is left out."""
    texts = [_with_thought(tokenizer, begin, end) for begin, end in _MARKS]
    return any(_ANSWER in text and _THOUGHT not in text for text in texts)


def _with_thought(tokenizer: "PreTrainedTokenizerBase", begin: str, end: str) -> str:
    answer = f"{begin}{_THOUGHT}{end}{_ANSWER}"
    roles = ("user", "assistant", "user")
    turns = [{"role": r, "content": c} for r, c in zip(roles, ("a", answer, "b"), strict=True)]
    try:
        return written_around(tokenizer, turns, ask=True)
    except Exception:  # noqa: BLE001 - a template, sandboxed by transformers, raises what its expressions do
        return ""
