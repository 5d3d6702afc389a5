"""Conversations as token ids. What a user or a model wrote is text here, never a control token."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metareward.engines.quiet import quiet
from metareward.errors import ModelError
from metareward.records import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SURROGATES = re.compile("[\ud800-\udfff]")
_CONTEXT_NAMES = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length")


def load_tokenizer(path: str) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model: a local directory or a hub id. Remote code is never run.

    Without a pad token the end-of-sequence token stands in for it, because every mask here comes from
    lengths. Raises ModelError if it cannot be read, or has no chat template, or has neither token.
    """
    from transformers import AutoTokenizer

    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise ModelError(
            f"{path}: the tokenizer cannot be read ({type(error).__name__}: {first}). Give a "
            "directory that holds a whole model, or a hub id while the hub can be reached."
        ) from error
    if not tokenizer.chat_template:
        raise ModelError(
            f"{path}: the tokenizer has no chat template, so this is probably a base model. Use an "
            "instruct model, or put the template into chat_template.jinja in that directory."
        )
    _check_template(tokenizer)
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise ModelError(
                f"{path}: the tokenizer has neither a pad nor an end-of-sequence token. Name an "
                "eos_token in tokenizer_config.json."
            )
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _check_template(tokenizer: "PreTrainedTokenizerBase") -> None:
    """A chat template that does not show the user's message would have every prompt answered unseen."""
    trial = "zz what the user asks zz"
    turns = [{"role": "user", "content": trial}]
    try:
        text = str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    except Exception as error:
        raise ModelError(
            f"{tokenizer.name_or_path}: the chat template cannot be used ({type(error).__name__}: {error}). "
            "Mend chat_template.jinja, or copy the model again."
        ) from error
    if trial not in text:
        raise ModelError(
            f"{tokenizer.name_or_path}: the chat template never shows what the user asks. Mend "
            "chat_template.jinja, or copy the model again."
        )


def encode_chat(tokenizer: "PreTrainedTokenizerBase", messages: Sequence[Message]) -> list[int]:
    """Token ids of the conversation, up to where the assistant's next turn begins.

    The ids hold exactly the control tokens that the template writes: a control token that is spelled
    out in a message is encoded as ordinary text. Lone surrogates become U+FFFD. Raises ModelError if
    the template refuses the messages (some know no system role).
    """
    contents = [_SURROGATES.sub("\ufffd", message.content) for message in messages]
    roles = [message.role for message in messages]
    controls = _controls(tokenizer, len(tokenizer))
    if not any(token in content for content in contents for token in controls):
        ids = _plain(tokenizer, _render(tokenizer, roles, contents))
        # A control token can also come about where a content meets the template: compare with harmless ones.
        if _count(ids, controls) == _harmless(tokenizer, str(tokenizer.chat_template), tuple(roles)):
            return ids
    return _encode_apart(tokenizer, roles, contents)


def encode_text(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    """Token ids of plain text: nothing added in front or behind, and nothing in it is control."""
    text = _SURROGATES.sub("\ufffd", text)
    controls = _controls(tokenizer, len(tokenizer))
    ids = [token for piece in _cut(text, controls) for token in _literal(tokenizer, piece)]
    if _count(ids, controls):  # a tokenizer may find a control token where we do not; a character is none
        return [token for character in text for token in _literal(tokenizer, character)]
    return ids


@lru_cache(maxsize=4)
def _controls(tokenizer: "PreTrainedTokenizerBase", size: int) -> dict[str, int]:
    """The tokens that text must never turn into. Runs of white space, which some tokenizers add, may.

    `size` is there so that a tokenizer which was given more tokens is looked at again.
    """
    controls = {
        token.content: index
        for index, token in tokenizer.added_tokens_decoder.items()
        if token.special or token.content.strip()
    }
    special = zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True)
    return controls | {str(text): index for text, index in special}


def end_of_turn(tokenizer: "PreTrainedTokenizerBase", generation_config: Any = None) -> tuple[int, ...]:
    """All ids that end the assistant's turn, the one which the template writes first.

    generation_config: the model's own, whose `eos_token_id` counts as well. Raises ModelError if there
    is none at all, for then no answer would ever end.
    """
    configured = getattr(generation_config, "eos_token_id", None)
    known = configured if isinstance(configured, list | tuple) else [configured]
    ends = [token for token in (tokenizer.eos_token_id, *known) if isinstance(token, int)]
    if not ends:
        raise ModelError(
            f"{tokenizer.name_or_path}: neither the tokenizer nor generation_config.json names a token that "
            "ends a turn. Set eos_token_id in generation_config.json."
        )
    written = [token for token in _whole_turn(tokenizer) if token in ends]
    return tuple(dict.fromkeys(written[-1:] + ends))


def context_length(path: str) -> int | None:
    """How many tokens a model can attend to, prompt and answer together; None if its config is silent."""
    file = Path(path) / "config.json"
    if file.is_file():
        config = json.loads(file.read_text(encoding="utf-8"))
    else:
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(path, trust_remote_code=False).to_dict()
    return context_of(config)


def context_of(config: Mapping[str, Any]) -> int | None:
    """The same from a config that is already read."""
    for part in (config, config.get("text_config") or {}):
        for name in _CONTEXT_NAMES:
            if isinstance(part.get(name), int) and part[name] > 0:
                return part[name]
    return None


def _whole_turn(tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    try:
        text = _render(tokenizer, ["user", "assistant"], ["a", "b"], ask=False)
    except ModelError:
        return []
    return _plain(tokenizer, text)


def _render(
    tokenizer: "PreTrainedTokenizerBase", roles: Sequence[str], contents: Sequence[str], *, ask: bool = True
) -> str:
    from jinja2 import TemplateError

    turns = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=True)]
    try:
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=ask))
    except TemplateError as error:
        raise ModelError(
            f"{tokenizer.name_or_path}: the chat template refuses the roles {', '.join(roles)}: {error} If "
            "it knows no system role, put that text at the start of the first user message."
        ) from error


@lru_cache(maxsize=64)
def _harmless(tokenizer: "PreTrainedTokenizerBase", template: str, roles: tuple[str, ...]) -> int:
    """How many control tokens the template writes around contents that hold none."""
    rendered = _render(tokenizer, roles, _holders(roles))
    return _count(_plain(tokenizer, rendered), _controls(tokenizer, len(tokenizer)))


def _encode_apart(
    tokenizer: "PreTrainedTokenizerBase", roles: Sequence[str], contents: Sequence[str]
) -> list[int]:
    """Render with placeholders, then encode the template's pieces as control and the contents as text."""
    holders = _holders(contents)
    text_of = dict(zip(holders, contents, strict=True))
    rendered = _render(tokenizer, roles, holders)
    ids: list[int] = []
    for piece in re.split("(" + "|".join(holders) + ")", rendered) if holders else [rendered]:
        ids += encode_text(tokenizer, text_of[piece]) if piece in text_of else _plain(tokenizer, piece)
    return ids


def _holders(contents: Sequence[str]) -> list[str]:
    """Harmless contents, of equal length, that nobody has written by chance or could have on purpose."""
    digest = hashlib.sha256("\0".join(contents).encode()).hexdigest()[:24]
    return [f"held{digest}n{index:06d}" for index in range(len(contents))]


def _plain(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    """Encode with control tokens recognised; the template has already written any beginning-of-sequence."""
    return tokenizer(text, add_special_tokens=False)["input_ids"] if text else []


def _literal(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"] if text else []


def _cut(text: str, controls: Mapping[str, int]) -> list[str]:
    """Cut `text` inside every control token, for those that are added but not "special" match regardless."""
    found = [token for token in controls if token in text]
    if not found:
        return [text]
    pattern = "|".join(re.escape(token) for token in sorted(found, key=len, reverse=True))
    cuts = [match.start() + 1 for match in re.finditer(f"(?=({pattern}))", text)]
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def _count(ids: Sequence[int], controls: Mapping[str, int]) -> int:
    known = set(controls.values())
    return sum(token in known for token in ids)
