"""Where an answer ends: its text, without the end-of-turn token and without any stop string."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Stopping:
    """Decodes answers and finds stop strings. The decoded text leaves out special tokens."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self._tokenizer = tokenizer
        self._closes: dict[tuple[int, tuple[str, ...]], bool] = {}

    def text(self, ids: Sequence[int]) -> str:
        """The text of sampled tokens; the same for any batch and any engine with this tokenizer."""
        return str(
            self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )

    def hit(self, ids: Sequence[int], stop: tuple[str, ...]) -> bool:
        """Whether the newest token may have completed a stop string. Looks at the tail only."""
        if not self._may_close(ids[-1], stop):
            return False
        # A character takes at most four tokens, and the newest token may go on behind the stop string.
        tail = self.text(ids[-(4 * max(map(len, stop)) + 4) :])
        return any(string in tail for string in stop)

    def cut(self, ids: Sequence[int], stop: tuple[str, ...]) -> tuple[int, str, bool]:
        """How many tokens to keep, their text, and whether a stop string cut them.

        The text ends before the first stop string, at the end of a token, so that decoding the kept
        tokens gives the text.
        """
        text = self.text(ids)
        places = [place for string in stop if (place := text.find(string)) >= 0]
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
