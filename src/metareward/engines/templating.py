"""What a chat template writes around messages, worked out without ever showing it what they say."""

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from metareward.engines import clock
from metareward.engines.inert import NONCE, twin
from metareward.errors import MetarewardError, ModelError
from metareward.records import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SURROGATES = re.compile("[\ud800-\udfff]")


def shape(
    tokenizer: "PreTrainedTokenizerBase",
    messages: Sequence[Message],
    *,
    ask: bool = True,
    thinking: bool | None = None,
) -> tuple[str | int, ...]:
    """What the template writes around messages: text, control tokens in it by their secret names, and the
    numbers of the messages in their places.

    ask: up to where the assistant's next turn begins; else to the end of the last message's turn. thinking:
    for the template's own switch, if it has one. Raises ModelError if the template refuses the messages.
    """
    contents = [SURROGATES.sub("\ufffd", message.content) for message in messages]
    edges = tuple((message.role, *_edges(text)) for message, text in zip(messages, contents, strict=True))
    template = str(tokenizer.chat_template)
    return _skeleton(tokenizer, template, len(tokenizer), edges, ask, clock.now(), thinking)


def written_around(
    tokenizer: "PreTrainedTokenizerBase",
    turns: list[dict[str, str]],
    *,
    ask: bool,
    thinking: bool | None = None,
) -> str:
    """What the template writes, told the run's moment and not allowed to draw at random."""
    clock.steady(tokenizer.get_chat_template())
    switch: Any = {} if thinking is None else {"enable_thinking": thinking, "thinking": thinking}
    turned: Any = turns
    return str(tokenizer.apply_chat_template(turned, tokenize=False, add_generation_prompt=ask, **switch))


def left_out(messages: Sequence[Message], pieces: Sequence[str | int]) -> list[int]:
    """The numbers of the messages that a template leaves out, or does not write as they are."""
    return [n for n, message in enumerate(messages) if message.content.strip() and n not in pieces]


def rendered(
    tokenizer: "PreTrainedTokenizerBase",
    roles: Sequence[str],
    contents: Sequence[str],
    *,
    ask: bool = True,
    thinking: bool | None = None,
) -> str:
    """The conversation as the template writes it. Raises ModelError if the template refuses it."""
    turns = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=True)]
    try:
        return written_around(tokenizer, turns, ask=ask, thinking=thinking)
    except MetarewardError as error:
        raise type(error)(f"{tokenizer.name_or_path}: {error}") from error
    except Exception as error:  # a template, sandboxed by transformers, raises what its expressions do
        raise ModelError(
            f"{tokenizer.name_or_path}: the chat template refuses the roles {', '.join(roles)}: {error} If "
            "it knows no system role, put that text at the start of the first user message."
        ) from error


@lru_cache(maxsize=256)
def _skeleton(
    tokenizer: "PreTrainedTokenizerBase",
    template: str,
    size: int,
    edges: tuple[tuple[str, ...], ...],
    ask: bool,
    moment: datetime,
    thinking: bool | None,
) -> tuple[str | int, ...]:
    """What the template writes, control tokens by their secret names, and the messages' places in it.

    edges: of each message its role and the white space around its text, or (blank) all of it. An integer
    is the place of a message's text. template, size and moment are there so that a changed tokenizer, and a
    template that writes the date, are looked at again.
    """
    contents = [f"{NONCE}h{number}h".join(around) for number, (_, *around) in enumerate(edges)]
    roles = [role for role, *_ in edges]
    text = _named(tokenizer, rendered(tokenizer, roles, contents, ask=ask, thinking=thinking))
    pieces = re.split(f"{NONCE}h([0-9]+)h", text)
    return tuple(int(piece) if place % 2 else piece for place, piece in enumerate(pieces))


def _named(tokenizer: "PreTrainedTokenizerBase", text: str) -> str:
    """A rendered template with each control token that the tokenizer sees in it under its secret name."""
    names = twin(tokenizer, len(tokenizer)).names
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=False)
    named, done = [], 0
    for index, (start, end) in zip(found["input_ids"], found["offset_mapping"], strict=True):
        written = text[start:end].strip()
        unknown = index == tokenizer.unk_token_id and written != tokenizer.unk_token  # any odd character
        if index in names and written and not unknown:
            named += [text[done:start], text[start:end].replace(written, names[index])]
            done = end
    return "".join([*named, text[done:]])


def _edges(text: str) -> tuple[str, ...]:
    """The white space at both ends of a text; a blank text whole."""
    core = text.strip()
    lead, _, trail = text.partition(core) if core else (text, "", "")
    return (lead, trail) if core else (text,)
