"""What a model thought before its answer, told apart from the answer. One rule for every text that is read.

A block of reasoning counts only at the beginning of a text: `<think> ... </think> answer`, with several
blocks in a row if there are several. A text may also begin inside a block, where the chat template opened
it. Markers that stand anywhere else are text, for an answer may quote them.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from metareward.settings import require

DID_NOT_END = "reasoning did not end"
NO_ANSWER = "no answer after the reasoning"


@dataclass(frozen=True, slots=True)
class Markers:
    """What a model writes around its reasoning."""

    open: str
    close: str

    def ending(self, following: str) -> str:
        """What ends reasoning for a model: its marker on a line of its own, a blank line, `following`."""
        return f"\n{self.close}\n" + ("" if following.startswith("\n") else "\n")


_HARMONY = "<|channel|>analysis<|message|>", "<|start|>assistant<|channel|>final<|message|>"
KNOWN = (
    Markers("<think>", "</think>"),  # DeepSeek R1, Qwen3, GLM, Nemotron, MiniMax, LFM2, Phi-4 and most others
    Markers("<thinking>", "</thinking>"),
    Markers("<thought>", "</thought>"),  # EXAONE Deep
    Markers("<reasoning>", "</reasoning>"),
    Markers("<seed:think>", "</seed:think>"),  # Seed-OSS
    Markers("<longcat_think>", "</longcat_think>"),  # LongCat
    Markers("[THINK]", "[/THINK]"),  # Magistral
    Markers("◁think▷", "◁/think▷"),  # Kimi-VL
    Markers("<|open|>think<|sep|>", "<|close|>think<|sep|>"),  # Kimi K3
    Markers("<|START_THINKING|>", "<|END_THINKING|>"),  # Command A Reasoning
    Markers("<|inner_prefix|>", "<|inner_suffix|>"),  # Apertus
    Markers("<|begin_of_thought|>", "<|end_of_thought|>"),  # Sky-T1, OpenThinker
    Markers("<|channel>thought", "<channel|>"),  # Gemma 4
    Markers(*_HARMONY),  # gpt-oss
    Markers(f"<|start|>assistant{_HARMONY[0]}", _HARMONY[1]),  # the same with the header of its turn
)
_HEADERS = ("<|channel|>final<|message|>", "<|START_RESPONSE|>", "<|begin_of_solution|>")
"""What some of these models write before the answer itself."""
_BARE_HARMONY = re.compile(r"\s{0,9}analysis(?=[A-Z\s])")  # gpt-oss where its special tokens were left out
_BARE_FINAL = "assistantfinal"
_LOWER = {capital: capital + 32 for capital in range(ord("A"), ord("Z") + 1)}
_SPACE = re.compile(r"[\s\ufeff]*")
_BLANK = re.compile(r"[ \t\r\f\v]*")


@dataclass(frozen=True, slots=True)
class Split:
    """Where the answer of a text begins: text[:begin] is reasoning, markers and blank lines included.

    ended: whether the reasoning came to its end. If not there is no answer, and `begin` is the text's length.
    markers: of the last block, where its markers tell; None where there is none.
    """

    begin: int = 0
    ended: bool = True
    markers: Markers | None = None


@dataclass(frozen=True, slots=True)
class Reasoning:
    """How a model's reasoning is told from its answers, and whether its template is asked for any.

    markers: "auto" knows those of `KNOWN`; two texts are the model's own, and then no others count; "keep"
        tells nothing apart: what was sampled is the answer.
    thinking: given to the chat template as `enable_thinking` (and `thinking`, as some call it); None gives
        nothing, so that the template does what it does by default.
    """

    markers: str | tuple[str, ...] = "auto"
    thinking: bool | None = None

    def __post_init__(self) -> None:
        wanted = "'auto', 'keep' or two texts, neither of them in the other, such as <plan> and </plan>"
        fit = self.markers in ("auto", "keep")
        if not isinstance(self.markers, str):
            opening, closing = [text.strip() for text in self.markers] if len(self.markers) == 2 else ("", "")
            fit = bool(opening) and bool(closing) and opening not in closing and closing not in opening
        given = self.markers if isinstance(self.markers, str) else list(self.markers)
        require(fit, "reasoning.markers", wanted, given)

    def __str__(self) -> str:
        """What is set, in words; nothing where nothing is."""
        said = ["reasoning is kept in the answers"] if self.markers == "keep" else []
        if not isinstance(self.markers, str):
            said.append(f"reasoning stands between {' and '.join(self.markers)}")
        if self.thinking is not None:
            said.append(f"the template is asked for {'reasoning' if self.thinking else 'none'}")
        return "; ".join(said)

    @property
    def known(self) -> tuple[Markers, ...]:
        """The markers that count; none where reasoning is kept."""
        if isinstance(self.markers, str):
            return KNOWN if self.markers == "auto" else ()
        opening, closing = (text.strip() for text in self.markers)
        return (Markers(opening, closing),)

    def split(self, text: str, opened: bool | None = None, writing: bool = False) -> Split:
        """Where the answer begins. Takes linear time.

        opened: whether the prompt left a block open, in which the text begins. None if that is not known:
        then it did if a closing marker that nothing opened stands at the beginning or the end of a line,
        and the case of a marker makes no difference.
        writing: there is more to come, so a block in which another was opened has not ended before both have.
        """
        if self.markers == "keep":
            return Split()
        of_file = opened is None and self.markers == "auto"
        known = self.known
        if opened is None:  # a file's: who wrote it may not keep to a model's own spelling
            known = tuple(
                Markers(each.open.translate(_LOWER), each.close.translate(_LOWER)) for each in known
            )
        blocks = _Blocks(text.translate(_LOWER) if opened is None else text, known, writing)
        begins = blocks.at(0) is not None  # where the prompt opened a block, that is the same one once more
        inside = opened or (opened is None and blocks.is_stray())
        done = blocks.inside() if inside and not begins else Split()
        if of_file and done.begin == 0 and (final := _bare_final(text)):
            done = Split(_behind(text, final))
        while done.ended:
            if (markers := blocks.at(done.begin)) is not None:
                done = blocks.block(done.begin, markers)
            elif of_file and (header := _header(text, done.begin)):
                done = Split(_behind(text, header), markers=done.markers)
            else:
                break
        return done

    def answer(self, text: str) -> str:
        """The answer of a text of which nothing else is known, such as one in a file."""
        return text[self.split(text).begin :]

    def opening(self, asked: str) -> Markers | None:
        """The markers of the block that what comes before the model's turn leaves open at its end, if any."""
        end = asked.rstrip()
        fitting = (markers for markers in self.known if end.endswith(markers.open))
        return max(fitting, key=lambda markers: len(markers.open), default=None)


AUTO = Reasoning()


class _Blocks:
    """The blocks of a text. Each pair of markers is looked for once, so that all of it takes linear time."""

    def __init__(self, text: str, known: Sequence[Markers], writing: bool) -> None:
        self._text, self._known, self._writing = text, known, writing
        self._ends: dict[Markers, _Ends] = {}

    def at(self, begin: int) -> Markers | None:
        """The markers of the block that opens at a place, white space aside."""
        place = _space_end(self._text, begin)
        return next((each for each in self._known if self._text.startswith(each.open, place)), None)

    def block(self, begin: int, markers: Markers) -> Split:
        """The block that opens at a place; `begin` of what is returned is behind it."""
        opens = _space_end(self._text, begin)
        return self._until(self._ends_of(markers).of(opens, opens + len(markers.open)), markers)

    def inside(self) -> Split:
        """The block that was opened before the text, closed by whichever marker closes first."""
        found = [(place, each) for each in self._known if (place := self._text.find(each.close)) >= 0]
        markers = min(found, key=lambda each: each[0])[1] if found else None
        return self._until(markers and self._ends_of(markers).of_outer(), markers)

    def is_stray(self) -> bool:
        """Whether a closing marker that nothing opened stands at the beginning or the end of a line."""
        return any(_is_stray(self._text, each) for each in self._known)

    def _ends_of(self, markers: Markers) -> "_Ends":
        if markers not in self._ends:
            self._ends[markers] = _Ends(self._text, markers, self._writing)
        return self._ends[markers]

    def _until(self, end: int | None, markers: Markers | None) -> Split:
        if end is None:
            return Split(len(self._text), ended=False, markers=markers)
        return Split(_behind(self._text, end), markers=markers)


class _Ends:
    """Where the blocks of one pair of markers end in a text: each opening one with its own closing one.

    A block that never comes to its own end, because its text mentions an opening marker, ends at the first
    closing one, if nothing is to come any more (`writing`).
    """

    def __init__(self, text: str, markers: Markers, writing: bool) -> None:
        self._own: dict[int, int] = {}
        self._closes: list[int] = []  # the ends of all closing markers that may end a block not their own
        self._outer: int | None = None  # the end of the first closing marker that nothing in the text opened
        open_ones: list[int] = []
        for found in re.finditer(f"({re.escape(markers.open)})|{re.escape(markers.close)}", text):
            if found[1]:
                open_ones.append(found.start())
                continue
            if not writing:
                self._closes.append(found.end())
            if open_ones:
                self._own[open_ones.pop()] = found.end()
            elif self._outer is None:
                self._outer = found.end()

    def of(self, opens: int, inside: int) -> int | None:
        """The end of the block that opens at `opens` and whose text begins at `inside`; None: it has none."""
        place = bisect_right(self._closes, inside)
        first = self._closes[place] if place < len(self._closes) else None
        return self._own.get(opens, first)

    def of_outer(self) -> int | None:
        """The same of a block that was opened before the text."""
        return self._outer or (self._closes[0] if self._closes else None)


def _bare_final(text: str) -> int | None:
    """Where the answer of gpt-oss begins in a text without its special tokens; None if it is none."""
    place = text.find(_BARE_FINAL) if _BARE_HARMONY.match(text) else -1
    return None if place < 0 else place + len(_BARE_FINAL)


def _header(text: str, begin: int) -> int | None:
    """Where the mark of the answer ends that stands at a place, white space aside; None without one."""
    place = _space_end(text, begin)
    found = next((header for header in _HEADERS if text.startswith(header, place)), None)
    return None if found is None else place + len(found)


def _space_end(text: str, begin: int) -> int:
    found = _SPACE.match(text, begin)
    return found.end() if found else begin


def _behind(text: str, end: int) -> int:
    """Where an answer begins behind a marker: after the blank lines; the indentation of its line stays."""
    place = _space_end(text, end)
    line = text.rfind("\n", end, place)
    return place if line < 0 or place == len(text) else line + 1


def _is_stray(text: str, markers: Markers) -> bool:
    place = text.find(markers.close)
    if place < 0 or text.find(markers.open, 0, place) >= 0:
        return False
    before = text[text.rfind("\n", 0, place) + 1 : place]
    after = _BLANK.match(text, place + len(markers.close))
    ends_line = after is None or after.end() == len(text) or text[after.end()] == "\n"
    return not before.strip() or ends_line
