"""Where an answer ends: its text, without the end-of-turn token and without any stop string."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from metareward.reasoning import AUTO, Reasoning, Split

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Stopping:
    """Decodes answers and finds stop strings. The decoded text leaves out special tokens.

    All but those that mark reasoning: without them it could not be told from the answer.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", reasoning: Reasoning = AUTO) -> None:
        self._tokenizer, self._reasoning = tokenizer, reasoning
        self._closes: dict[tuple[int, tuple[str, ...]], bool] = {}
        self._hidden = _hidden(tokenizer, reasoning)
        self._ends_reasoning = tuple(markers.close for markers in reasoning.known)

    def text(self, ids: Sequence[int]) -> str:
        """The text of sampled tokens; the same for any batch and any engine with this tokenizer."""
        skip = self._hidden is None
        kept = [token for token in ids if self._hidden is None or token not in self._hidden]
        return str(self._tokenizer.decode(kept, skip_special_tokens=skip, clean_up_tokenization_spaces=False))

    def split(self, text: str, opened: bool, writing: bool = False) -> Split:
        """Where the answer begins in a text that was written, or is being written."""
        return self._reasoning.split(text, opened, writing)

    def may_end_reasoning(self, ids: Sequence[int]) -> bool:
        """Whether the newest token may have completed a marker that ends reasoning."""
        return bool(self._ends_reasoning) and self.hit(ids, self._ends_reasoning)

    def hit(self, ids: Sequence[int], stop: tuple[str, ...]) -> bool:
        """Whether the newest token may have completed a stop string. Looks at the tail only."""
        if not self._may_close(ids[-1], stop):
            return False
        # A character takes at most four tokens, and the newest token may go on behind the stop string.
        tail = self.text(ids[-(4 * max(map(len, stop)) + 4) :])
        return any(string in tail for string in stop)

    def cut(
        self, ids: Sequence[int], stop: tuple[str, ...], opened: bool = False, writing: bool = False
    ) -> tuple[int, str, bool]:
        """How many tokens to keep, their text, and whether a stop string cut them.

        The text ends before the first stop string of the answer, at the end of a token, so that decoding the
        kept tokens gives the text. opened: whether the text begins inside reasoning. writing: whether more
        would come but for a stop string.
        """
        text = self.text(ids)
        split = self.split(text, opened, writing) if stop else Split()
        places = [p for string in stop if split.ended and (p := text.find(string, split.begin)) >= 0]
        if not places:
            return len(ids), text, False
        for count in range(len(ids) - 1, 0, -1):
            kept = self.text(ids[:count])
            if len(kept) <= min(places) and text.startswith(kept):
                return count, kept, True
        return 0, "", True

    def _may_close(self, token: int, stop: tuple[str, ...]) -> bool:
        """A token completes a stop string only if it holds its last character; remembered by token."""
        key = (token, stop)
        if key not in self._closes:
            text = self.text([token])
            # Bytes of a character show only together, and a leading blank may vanish from a lone token.
            self._closes[key] = "\ufffd" in text or any(
                not string[-1].isascii() or string[-1].isspace() or string[-1] in text for string in stop
            )
        return self._closes[key]


def _hidden(tokenizer: "PreTrainedTokenizerBase", reasoning: Reasoning) -> frozenset[int] | None:
    """The special tokens to leave out of texts, where some stay in; None where none does."""
    names = {index: token.content for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    own: list[Any] = [tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id]
    never = set(own)
    shown: set[int] = set()
    for markers in reasoning.known:
        both = f"{markers.open} {markers.close}"
        parts = {index for index, name in names.items() if name in both} - never
        rest = both
        for name in sorted((names[index] for index in parts), key=len, reverse=True):
            rest = rest.replace(name, "")
        if "<|" not in rest:  # else only a part of a marker is a token here, and not of this kind of model
            shown |= parts
    return frozenset({*names, *tokenizer.all_special_ids} - shown) if shown else None
