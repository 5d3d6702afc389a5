"""From judgments, or from ranks alone, to judgments that agree with people (Self-Rewarding, section 2.4).

Pure rules. The paper samples judgments and keeps those whose order agrees with the human order within the
prompt (arXiv 2401.10020, section 2.4; arXiv 2407.19594, section 2). A small model writes hardly one that can
be read, so the verdict may also be what people's ranks say.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar, Literal

from metareward import readers, templates
from metareward.ids import fingerprint, seed_of
from metareward.records import Demonstration, Dropped, Judgment, Message, Prompt, Rating, Response, Role
from metareward.settings import check_seed, one_of, require
from metareward.stages.base import Shape
from metareward.stages.grouping import Bundle, bundles

VERDICTS = ("sampled", "human")
NEUTRAL = "Graded for relevance, coverage, usefulness, clarity and quality."
_SENTENCE = re.compile(r"(?s)^.*[.!?](?=\s|$)")

DISAGREES = "order disagrees with people"
NOTHING_BESIDE = "no other response of another rank to compare with"
NO_JUSTIFICATION = "no justification before the verdict"


@dataclass(frozen=True)
class Asking:
    """Which judge prompt a demonstration answers: that of the judge, or for a share another template's.

    Both templates must ask for the same form of verdict. The share is drawn by response and seed.
    """

    template: str
    other_template: str = ""
    other_share: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        require(0 <= self.other_share <= 1, "eft.other_share", "in 0 .. 1", self.other_share)
        wanted = self.other_share > 0
        require(wanted == bool(self.other_template), "eft.other_template", _WITH_SHARE, self.other_template)
        check_seed("eft.seed", self.seed)

    def messages(self, prompt: Prompt, response: Response) -> tuple[Message, ...]:
        """The exact judge prompt."""
        drawn = seed_of("other template", self.seed, response.id) / 2**63
        template = self.other_template if drawn < self.other_share else self.template
        said = {"conversation": templates.transcript(prompt.messages), "response": response.answer}
        return (Message("user", templates.render(template, **said)),)


_WITH_SHARE = "the name of a template if, and only if, eft.other_share is above 0"


@dataclass(frozen=True)
class Agreeing:
    """The sampled judgments whose order agrees with people's: subjects are judgments.

    The n-th judgments of a prompt's responses are one ranking. It agrees if of every two responses whose
    quality differs by more than `margin` the better one has the higher score. All its readable judgments
    are then demonstrations as they were sampled; else none is.
    """

    name: ClassVar[str] = "agreeing_judgments"
    record: ClassVar[type[Demonstration]] = Demonstration

    asking: Asking
    margin: float = 0.0

    def __post_init__(self) -> None:
        _check_margin(self.margin)

    def apply(
        self,
        prompts: Iterable[Prompt],
        responses: Iterable[Response],
        ratings: Iterable[Rating],
        judgments: Iterable[Judgment],
    ) -> Iterator[Demonstration | Dropped]:
        """A demonstration for each judgment, or why there is none."""
        quality = {rating.response_id: rating.quality for rating in ratings}
        for bundle in bundles(prompts, responses, judgments):
            known = {response.id: response for response in bundle.responses}
            faults = self._faults(bundle.judgments, quality)
            for judgment in bundle.judgments:
                if fault := judgment.unread or faults.get(judgment.sample):
                    yield Dropped(judgment.id, fault)
                    continue
                response = known[judgment.response_id]
                messages = self.asking.messages(bundle.prompt, response)
                assert judgment.score is not None
                yield _demonstration(
                    self, response, quality[response.id], messages, judgment.score, judgment.text, judgment
                )

    def shape(self, *shapes: Shape) -> Shape:
        """At most a demonstration a judgment; tokens with the judge prompt."""
        prompts, responses, _, judgments = shapes
        return Shape(judgments.rows, prompts.tokens + responses.tokens + judgments.tokens)

    def _faults(self, judgments: Sequence[Judgment], quality: dict[str, float]) -> dict[int, str]:
        """Why a draw teaches nothing, by its number."""
        draws: dict[int, list[tuple[float, float]]] = {}
        for judgment in judgments:
            if judgment.score is not None:
                told = (quality[judgment.response_id], judgment.score)
                draws.setdefault(judgment.sample, []).append(told)
        found = {number: self._fault(draw) for number, draw in draws.items()}
        return {number: fault for number, fault in found.items() if fault}

    def _fault(self, draw: Sequence[tuple[float, float]]) -> str | None:
        apart = [(a, b) for a, b in combinations(draw, 2) if abs(a[0] - b[0]) > self.margin]
        if not apart:
            return NOTHING_BESIDE
        agrees = all((a[0] > b[0]) == (a[1] > b[1]) and a[1] != b[1] for a, b in apart)
        return None if agrees else DISAGREES


@dataclass(frozen=True)
class FromRanks:
    """Demonstrations whose verdict is people's: subjects are judgments, or responses where none is given.

    The quality of a response becomes a score by its place among all responses of the set: as many classes of
    equal size as the scale has scores; equal qualities have one class. With `own` the justification is the
    model's sampled one, to the end of its last whole sentence and without its verdict; it was written before
    the verdict was known and may contradict it. `neutral` writes one short sentence that says nothing.
    """

    name: ClassVar[str] = "ranked_judgments"
    record: ClassVar[type[Demonstration]] = Demonstration

    asking: Asking
    justification: Literal["own", "neutral"] = "own"

    def __post_init__(self) -> None:
        known = ("own", "neutral")
        require(self.justification in known, "eft.justification", one_of(known), self.justification)

    def apply(
        self,
        prompts: Iterable[Prompt],
        responses: Iterable[Response],
        ratings: Iterable[Rating],
        judgments: Iterable[Judgment] = (),
    ) -> Iterator[Demonstration | Dropped]:
        """A demonstration for each subject, or why there is none."""
        quality = {rating.response_id: rating.quality for rating in ratings}
        asked = templates.scale_of(self.asking.template)
        scale = Scale(tuple(sorted(quality.values())), asked)
        for bundle in bundles(prompts, responses, judgments):
            known = {response.id: response for response in bundle.responses}
            for response, judgment in self._subjects(bundle):
                said = NEUTRAL if judgment is None else justification_of(judgment.answer, asked.label)
                if not said:
                    yield Dropped(judgment.id if judgment else response.id, NO_JUSTIFICATION)
                    continue
                worth = quality[response.id]
                score = scale.score(worth)
                messages = self.asking.messages(bundle.prompt, known[response.id])
                text = f"{said}{asked.prefix}{score}"
                yield _demonstration(self, response, worth, messages, score, text, judgment)

    def _subjects(self, bundle: Bundle) -> Iterator[tuple[Response, Judgment | None]]:
        known = {response.id: response for response in bundle.responses}
        if self.justification == "neutral":
            yield from ((response, None) for response in bundle.responses)
        else:
            yield from ((known[judgment.response_id], judgment) for judgment in bundle.judgments)

    def shape(self, *shapes: Shape) -> Shape:
        """At most a demonstration a subject; tokens with the judge prompt."""
        prompts, responses, _, *judged = shapes
        subjects = judged[0] if judged else Shape(responses.rows, len(NEUTRAL) / 4)
        return Shape(subjects.rows, prompts.tokens + responses.tokens + subjects.tokens)


@dataclass(frozen=True)
class Scale:
    """A quality as a score of a judge, by its place among all qualities of a set, in ascending order."""

    qualities: tuple[float, ...]
    asked: readers.Scale = readers.Scale()

    def score(self, quality: float) -> int:
        """The class of the middle place that the quality takes."""
        places = self.qualities
        middle = (bisect_left(places, quality) + bisect_right(places, quality)) / 2 / len(places)
        low, high = self.asked.low, self.asked.high
        return min(high, low + int((high - low + 1) * middle))


def justification_of(text: str, label: str = "Score") -> str:
    """What a judgment says before its verdict, to the end of its last whole sentence, in one paragraph."""
    before = re.split(
        rf"^[#*_ \t]*{re.escape(label)}:", text, maxsplit=1, flags=re.IGNORECASE | re.MULTILINE
    )[0]
    found = _SENTENCE.match(before.strip())
    return " ".join(found[0].split()) if found else ""


def _demonstration(
    rule: object,
    response: Response,
    quality: float,
    messages: tuple[Message, ...],
    score: float,
    text: str,
    judgment: Judgment | None,
) -> Demonstration:
    origin = judgment.id if judgment else None
    return Demonstration(
        id=fingerprint("demonstration", type(rule).__name__, response.id, origin),
        role=Role.JUDGE,
        prompt_id=response.prompt_id,
        response_id=response.id,
        judgment_id=origin,
        messages=messages,
        text=text,
        token_ids=judgment.token_ids if judgment and judgment.text == text else None,
        score=score,
        quality=quality,
        length=len(response.answer),
    )


def _check_margin(margin: float) -> None:
    require(0 <= margin < float("inf"), "eft.margin", "a number, 0 or more", margin)
