"""Conversations as token ids. What a user or a model wrote is text here, never a control token."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metareward.engines.inert import NONCE, twin
from metareward.engines.quiet import quiet
from metareward.engines.templating import SURROGATES, left_out, rendered, shape, written_around
from metareward.errors import MetarewardError, ModelError
from metareward.reasoning import AUTO, Markers, Reasoning
from metareward.records import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

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
    try:
        text = written_around(tokenizer, [{"role": "user", "content": trial}], ask=True)
    except MetarewardError as error:
        raise ModelError(f"{tokenizer.name_or_path}: {error}") from error
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


def encode_chat(
    tokenizer: "PreTrainedTokenizerBase", messages: Sequence[Message], reasoning: Reasoning = AUTO
) -> list[int]:
    """Token ids of the conversation, up to where the assistant's next turn begins.

    Those of transformers for the rendered template, except that the control tokens in it are exactly those
    that the template writes around harmless messages: one that is spelled out in a message, or that comes
    about where a message meets the template, is encoded as ordinary text. Templates see only the white
    space at the ends of a message. The reasoning of an earlier turn is left out where the template leaves
    that of such a turn out. Lone surrogates become U+FFFD. Raises ModelError if the template refuses the
    messages (some know no system role), or leaves one out.
    """
    texts = _remembered(tokenizer, messages, reasoning)
    kept = [Message(message.role, text) for message, text in zip(messages, texts, strict=True)]
    contents = [SURROGATES.sub("\ufffd", text) for text in texts]
    pieces = shape(tokenizer, kept, thinking=reasoning.thinking)
    if lost := left_out(kept, pieces):
        raise ModelError(_lost(tokenizer, kept, lost))
    cores = [content.strip() for content in contents]
    text = "".join(piece if isinstance(piece, str) else cores[piece] for piece in pieces)
    return twin(tokenizer, len(tokenizer)).encode(text)


def encode_text(tokenizer: "PreTrainedTokenizerBase", text: str, *, continuing: bool = False) -> list[int]:
    """Token ids of plain text: nothing in it is control, and decoded alone they are the text again.

    continuing: to be appended to other tokens, whose decoded text it then continues. It differs where
    a tokenizer puts a blank in front of every text and takes it away in decoding (SentencePiece).
    """
    return twin(tokenizer, len(tokenizer), continuing).encode(SURROGATES.sub("\ufffd", text))


def opened_by(
    tokenizer: "PreTrainedTokenizerBase", messages: Sequence[Message], reasoning: Reasoning = AUTO
) -> Markers | None:
    """The markers of the reasoning that the template opens for the answer to a conversation, if any."""
    roles = tuple(message.role for message in messages)
    return reasoning.opening(_asking(tokenizer, str(tokenizer.chat_template), roles, reasoning.thinking))


def known_markers(tokenizer: "PreTrainedTokenizerBase", reasoning: Reasoning = AUTO) -> Markers | None:
    """The markers that a model's vocabulary or chat template names: those it will use, if it reasons."""
    added: dict[str, int] = tokenizer.get_added_vocab()  # pyright: ignore
    template = str(tokenizer.chat_template)
    named = (m for m in reasoning.known if m.close in added or m.close in template or m.open in template)
    opened = opened_by(tokenizer, [Message("user", "a")], reasoning)
    return opened or next(named, reasoning.known[0] if len(reasoning.known) == 1 else None)


def check_thinking(tokenizer: "PreTrainedTokenizerBase", reasoning: Reasoning) -> None:
    """ModelError if the chat template does the same whether it is asked for reasoning or not."""
    if reasoning.thinking is None:
        return
    on, off = (rendered(tokenizer, ["user"], ["a"], thinking=thinking) for thinking in (True, False))
    if on == off:
        raise ModelError(
            f"{tokenizer.name_or_path}: reasoning.thinking is {str(reasoning.thinking).lower()}, and the "
            "chat template knows no such switch (enable_thinking or thinking). Leave thinking out of "
            "[reasoning], or take a model whose template has the switch."
        )


def end_of_turn(tokenizer: "PreTrainedTokenizerBase", generation_config: Any = None) -> tuple[int, ...]:
    """All ids that end the assistant's turn; first the one that an answer of the model's own should end in.

    That is the control token that the template writes behind an answer, whether or not tokenizer or
    generation_config (the model's own, with its `eos_token_id`) name it. Raises ModelError if there is none
    at all, for then no answer would ever end.
    """
    named = named_ends(tokenizer, generation_config)
    behind, between = written_ends(tokenizer, named)
    found = [end for end in (behind, between) if end is not None][:1]
    first = found if behind is not None or not named or between in named else []
    ends = tuple(dict.fromkeys([*first, *named, *found]))
    if not ends:
        raise ModelError(
            f"{tokenizer.name_or_path}: neither the tokenizer nor generation_config.json names a token that "
            "ends a turn, and the chat template writes none. Set eos_token_id in generation_config.json."
        )
    return ends


def named_ends(tokenizer: "PreTrainedTokenizerBase", generation_config: Any = None) -> tuple[int, ...]:
    """The ids of the tokens that tokenizer and generation config say a turn ends in."""
    configured = getattr(generation_config, "eos_token_id", None)
    known = configured if isinstance(configured, list | tuple) else [configured]
    return tuple(dict.fromkeys(end for end in (tokenizer.eos_token_id, *known) if isinstance(end, int)))


def written_ends(
    tokenizer: "PreTrainedTokenizerBase", named: Collection[int]
) -> tuple[int | None, int | None]:
    """The control tokens that a template writes right behind an answer: behind the last one, and behind one
    that a user's turn follows. None where it writes text there, or nothing. Of several without a gap the
    first that is `named`, if one is.
    """
    turns = [Message(role, "a") for role in ("user", "assistant", "user")]
    told = (_controls_behind(tokenizer, turns[:2]), _controls_behind(tokenizer, turns))
    own: list[Any] = [tokenizer.bos_token_id]
    begins = set(own) - {*named}
    runs = [[token for token in run if token not in begins] for run in told]
    last, earlier = (next((end for end in run if end in named), run[0] if run else None) for run in runs)
    return last, earlier


def _controls_behind(tokenizer: "PreTrainedTokenizerBase", turns: Sequence[Message]) -> list[int]:
    """The control tokens with which the template goes on behind the assistant's turn, the second."""
    try:
        pieces = shape(tokenizer, turns, ask=False)
    except ModelError:
        return []
    places = [place for place, piece in enumerate(pieces) if piece == 1]
    behind = str(pieces[places[-1] + 1]) if places else ""
    run = re.match(f"\\s*((?:{NONCE}n[0-9]+q)+)", behind)
    return [int(number) for number in re.findall(f"{NONCE}n([0-9]+)q", run[1] if run else "")]


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


def _lost(tokenizer: "PreTrainedTokenizerBase", messages: Sequence[Message], lost: Sequence[int]) -> str:
    number = lost[0]
    return (
        f"{tokenizer.name_or_path}: the chat template leaves out the {messages[number].role} turn (message "
        f"{number + 1} of {len(messages)}): the model would never see it. Mend chat_template.jinja, put that "
        "text into another turn, or take another model."
    )


@lru_cache(maxsize=256)
def _asking(
    tokenizer: "PreTrainedTokenizerBase", template: str, roles: tuple[str, ...], thinking: bool | None
) -> str:
    """What the template writes after the last message. template is there as for `_skeleton`."""
    return rendered(tokenizer, roles, [NONCE] * len(roles), thinking=thinking).rpartition(NONCE)[2]


def _remembered(
    tokenizer: "PreTrainedTokenizerBase", messages: Sequence[Message], reasoning: Reasoning
) -> list[str]:
    """What the messages say, without the reasoning that the template would leave out.

    The template itself never sees what they say, so it is asked about a turn of that kind at that place.
    """
    contents = [message.content for message in messages]
    roles = tuple(message.role for message in messages)
    for place, message in enumerate(messages):
        if message.role == "assistant" and (split := reasoning.split(message.content)).markers:
            about = (roles, place, split.markers, reasoning.thinking)
            if split.ended and _forgets(tokenizer, str(tokenizer.chat_template), *about):
                contents[place] = message.content[split.begin :]
    return contents


@lru_cache(maxsize=256)
def _forgets(
    tokenizer: "PreTrainedTokenizerBase",
    template: str,
    roles: tuple[str, ...],
    place: int,
    markers: Markers,
    thinking: bool | None,
) -> bool:
    """Whether the template leaves the reasoning of the turn at a place out, and not its answer."""
    thought, said = f"{NONCE}r", f"{NONCE}a"
    contents = [f"{NONCE}o"] * len(roles)
    contents[place] = f"{markers.open}\n{thought}\n{markers.close}\n\n{said}"
    text = rendered(tokenizer, roles, contents, thinking=thinking)
    return thought not in text and said in text
