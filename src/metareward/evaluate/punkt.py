"""Sentences of English text, cut by the Punkt model (Kiss and Strunk, 2006) as NLTK 3.5 to 3.9 cut them.

IFEval's published scores were made with NLTK 3.8, and count what it counts. NLTK 3.10 cuts otherwise (at
typographic quotation marks among others), so the cutting is done here; the learned parameters are NLTK's,
unchanged. Only what stands around a full stop, question or exclamation mark is looked at, so the time is
about linear in the text.
"""

import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

_BEGIN_LOWER, _MIDDLE_UPPER = 1 << 4, 1 << 2
_UPPER, _LOWER = 0b0001110, 0b1110000  # at the beginning, in the middle or somewhere of a sentence
_INSIDE = r"""[)";}\]*:@'({\[?!]"""  # cannot be part of a word
_SEVERAL = r"(?:-{2,}|\.{2,}|(?:\.\s){2,}\.)"
_ENDING = re.compile(rf"[.?!](?=(?P<after>{_INSIDE}|\s+(?P<next>\S+)))")
_WORD = re.compile(
    rf"{_SEVERAL}|(?=[^(\"`{{\[:;&#*@)}}\]\-,])\S+?"
    rf"(?=\s|$|{_INSIDE}|{_SEVERAL}|,(?=$|\s|{_INSIDE}|{_SEVERAL}))|\S"
)
_CLOSING = re.compile(r"""["')\]}]+?(?:\s+|(?=--)|$)""", re.MULTILINE)
_NUMBER = re.compile(r"^-?[.,]?\d[\d,.-]*$")
_INITIAL = re.compile(r"[^\W\d]\.")


@dataclass(frozen=True)
class Parameters:
    """What Punkt has learned of a language. ortho_context: how a type was seen written, as bits."""

    abbreviations: frozenset[str]
    collocations: frozenset[tuple[str, str]]
    sentence_starters: frozenset[str]
    ortho_context: Mapping[str, int]


@dataclass(slots=True)
class _Token:
    text: str
    kind: str
    ends: bool = False
    short: bool = False  # an abbreviation, or an ellipsis

    @property
    def kind_without_stop(self) -> str:
        return self.kind[:-1] if len(self.kind) > 1 and self.kind.endswith(".") else self.kind

    @property
    def kind_in_sentence(self) -> str:
        return self.kind_without_stop if self.ends else self.kind


def sentences(text: str, learned: Parameters) -> list[str]:
    """The sentences, without the white space between them; closing quotes and brackets belong to theirs."""
    return [text[start:end] for start, end in _realigned(text, list(_spans(text, learned)))]


def _spans(text: str, learned: Parameters) -> Iterator[tuple[int, int]]:
    start = 0
    for match, context in _candidates(text):
        if _breaks(context, learned):
            yield start, match.end()
            start = match.start("next") if match["next"] else match.end()
    yield start, len(text.rstrip())


def _candidates(text: str) -> Iterator[tuple[re.Match[str], str]]:
    """Each mark that could end a sentence, with the word before it and what follows; of a run the last."""
    begin, end, last = 0, 0, None
    for match in _ENDING.finditer(text):
        space = max(text.rfind(character, end, match.start()) for character in string.whitespace)
        word = space + 1 if space > end else begin
        if last and end <= word:
            yield last, text[begin:end] + last[0] + last["after"]
        begin, end, last = word, match.start(), match
    if last:
        yield last, text[begin:end] + last[0] + last["after"]


def _breaks(context: str, learned: Parameters) -> bool:
    tokens = [_token(word, learned) for line in context.split("\n") for word in _WORD.findall(line)]
    kinds = [token.kind_in_sentence for token in tokens]
    return any(
        _ends(one, two, kind, learned) for (one, two), kind in zip(pairwise(tokens), kinds[1:], strict=True)
    )


def _token(word: str, learned: Parameters) -> _Token:
    """A token as its type alone tells: a mark ends a sentence, a word with a full stop unless it is short."""
    token = _Token(word, _NUMBER.sub("##number##", word.lower()))
    if word in (".", "?", "!"):
        token.ends = True
    elif re.fullmatch(r"\.\.+", word):
        token.short = True
    elif word.endswith(".") and not word.endswith(".."):
        stem = word[:-1].lower()
        token.short = bool({stem, stem.rsplit("-", 1)[-1]} & learned.abbreviations)
        token.ends = not token.short
    return token


def _ends(token: _Token, after: _Token, kind_after: str, learned: Parameters) -> bool:
    """Whether a sentence ends with this token, given the next one (sections 4.1 to 4.3 of the paper)."""
    if not token.text.endswith("."):
        return token.ends
    if (token.kind_without_stop, kind_after) in learned.collocations:
        return False
    initial, seen = _INITIAL.fullmatch(token.text), learned.ortho_context.get(kind_after, 0)
    starts, upper = _starts(after, seen), after.text[0].isupper()
    if token.short and not initial and (starts or (upper and kind_after in learned.sentence_starters)):
        return True
    always_upper = starts is None and initial and upper and not seen & _LOWER  # as in "J. Bach"
    if (initial or token.kind_without_stop == "##number##") and (starts is False or always_upper):
        return False
    return token.ends


def _starts(token: _Token, seen: int) -> bool | None:
    """Whether a token starts a sentence, judged by how it is written and was seen written; None: unknown."""
    if token.text in (";", ":", ",", ".", "!", "?"):
        return False
    if token.text[0].isupper() and seen & _LOWER and not seen & _MIDDLE_UPPER:
        return True
    if token.text[0].islower() and (seen & _UPPER or not seen & _BEGIN_LOWER):
        return False
    return None


def _realigned(text: str, spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    moved = 0
    for (start, end), (next_start, next_end) in pairwise(spans):
        closing = _CLOSING.match(text[next_start:next_end])
        if closing:
            yield start + moved, next_start + len(closing[0].rstrip())
        elif start + moved < end:
            yield start + moved, end
        moved = closing.end() if closing else 0
    start, end = spans[-1]
    if start + moved < end:
        yield start + moved, end
