"""What a simulated model writes, and how it is read back: what an answer is worth stands in its own words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from metareward.records import Message

POINTS = ("relevant", "substantial", "useful", "organised", "excellent")
MOST_PADDING = 3
_PADDING = "There is more that one could say about this, and more again. "
_QUESTION = re.compile(r"Question (\d+):")
_ANSWER = re.compile(r"To question (\d+): (.*?)In short: ([a-z, ]*)\.", re.DOTALL)
_REMARK = re.compile(r"([a-z]+) (yes|no)")
_REMARKS = "Remarks:"
_SCORE = re.compile(r"Score: (\d)")


@dataclass(frozen=True)
class Answer:
    """What an answer is worth: which points it meets, and how many sentences of padding it has."""

    met: tuple[bool, ...]
    padding: int

    @property
    def quality(self) -> int:
        """How many points it meets: the score that a judge without error gives, 0 to 5."""
        return sum(self.met)


@dataclass(frozen=True)
class Remarks:
    """A judgment as it is shown: its verdict on each point, and its total unless that was taken out."""

    verdicts: tuple[bool, ...]
    score: int | None

    @property
    def total(self) -> int:
        """How many points the remarks grant, whether or not the total is shown."""
        return sum(self.verdicts)

    def right(self, met: Sequence[bool]) -> int:
        """How many of the verdicts are true, 0 to 5."""
        return sum(said == true for said, true in zip(self.verdicts, met, strict=True))


NOTHING = Answer((False,) * len(POINTS), 0)


def question(number: int) -> str:
    """A prompt's text."""
    return f"Question {number}: what should one know about it?"


def question_number(messages: Sequence[Message]) -> int:
    """Which question the messages ask, or show to a judge; -1 if none."""
    found = _QUESTION.search("\n".join(message.content for message in messages))
    return int(found[1]) if found else -1


def write_answer(number: int, answer: Answer) -> str:
    """An answer's text. The points stand at the end, so that one that is cut off meets none."""
    met = [point for point, one in zip(POINTS, answer.met, strict=True) if one]
    return f"To question {number}: {_PADDING * answer.padding}In short: {', '.join(met) or 'nothing at all'}."


def read_answer(text: str, asked: int) -> Answer:
    """What the answer in a text (or in a prompt that shows one) is worth as an answer to question `asked`.

    An answer to another question meets no point, and so does whatever was not written by `write_answer`.
    """
    found = _ANSWER.search(text)
    if not found:
        return NOTHING
    words = set(found[3].split(", ")) if int(found[1]) == asked else set()
    return Answer(tuple(point in words for point in POINTS), found[2].count(_PADDING.strip()))


def write_judgment(verdicts: Sequence[bool], with_score: bool) -> str:
    """A judgment's text; in a forced reading the engine is asked for the score."""
    said = (f"{point} {'yes' if one else 'no'}" for point, one in zip(POINTS, verdicts, strict=True))
    text = f"{_REMARKS} {', '.join(said)}."
    return f"{text}\nScore: {sum(verdicts)}" if with_score else text


def read_judgments(text: str) -> list[Remarks]:
    """The judgments in a text, in order."""
    return [_remarks(part) for part in text.split(_REMARKS)[1:]]


def _remarks(part: str) -> Remarks:
    said = {point: verdict == "yes" for point, verdict in _REMARK.findall(part.partition(".")[0])}
    score = _SCORE.search(part)
    return Remarks(tuple(said.get(point, False) for point in POINTS), int(score[1]) if score else None)
