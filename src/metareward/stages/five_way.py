"""A judge compares two responses in five steps, much better to much worse, in both orders (Arena-Hard)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import tee
from typing import ClassVar, Literal

from metareward import templates
from metareward.engines.base import Completion, Forced, Request, Sampling
from metareward.ids import fingerprint, seed_of
from metareward.models.base import Model
from metareward.records import Comparison, Finish, Message, Outcome, Prompt, Response
from metareward.settings import check_reading, check_sampling, checked
from metareward.stages.base import Guess, Question, Shape, Work, question_key, text_tokens
from metareward.stages.grouping import bundles

VERDICTS = ("A>>B", "A>B", "A=B", "B>A", "B>>A")
_OUTCOMES = (Outcome.FIRST, Outcome.FIRST, Outcome.TIE, Outcome.SECOND, Outcome.SECOND)
_BRACKETS = re.compile(r"\[\[([AB<>=]{1,8})\]\]")
_NAMES = ("conversation", "response_a", "response_b")
_FORCED = Forced("\n[[", tuple(f"{verdict}]]" for verdict in VERDICTS))


@dataclass(frozen=True)
@checked("five_way")
class FiveWay:
    """Both games of a response against its prompt's baseline; the baseline is A in the first.

    reading: `free` reads the verdict in double square brackets, of which a text may hold only one kind;
        `forced` takes the likeliest of the five after the explanation.
    template: text with {{ conversation }}, {{ response_a }} and {{ response_b }}.
    The defaults are the benchmark's: greedy, at most 4,096 tokens.
    """

    name: ClassVar[str] = "five_way"
    record: ClassVar[type[Comparison]] = Comparison

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 4096
    reading: Literal["free", "forced"] = "free"
    template: str = field(default_factory=lambda: templates.shipped("arena"))
    seed: int = 0

    def __post_init__(self) -> None:
        check_sampling("five_way", self.temperature, self.top_p, self.max_tokens)
        check_reading("five_way", self.reading)
        templates.check(self.template, _NAMES, "five_way.template")

    def ask(self, prompt: Prompt, first: Response, second: Response) -> tuple[Message, ...]:
        """The exact prompt of one game, `first` on top."""
        conversation = templates.transcript(prompt.messages)
        text = templates.render(
            self.template, conversation=conversation, response_a=first.answer, response_b=second.answer
        )
        return (Message("user", text),)

    def questions(
        self,
        of: Model,
        prompts: Iterable[Prompt],
        baseline: Iterable[Response],
        responses: Iterable[Response],
    ) -> Iterator[Question]:
        """Two requests for each response that was not a failure."""
        key = question_key(self, of)
        forced = _FORCED if self.reading == "forced" else None
        sampling = Sampling(self.temperature, self.top_p, self.max_tokens, ("[[",) if forced else ())
        left, right = tee(prompts)
        for base, bundle in zip(bundles(left, baseline), bundles(right, responses), strict=True):
            kept = [response for response in bundle.responses if response.finish is not Finish.FAILED]
            for pair in ((b, r) for b in base.responses[:1] for r in kept):
                for first, second in (pair, pair[::-1]):
                    subject = (bundle.prompt.id, first.id, second.id)
                    row = fingerprint(key, *subject)
                    messages = self.ask(bundle.prompt, first, second)
                    request = Request(row, messages, sampling, seed_of(row), forced, self.name)
                    yield Question(request, subject)

    def read(self, question: Question, completion: Completion, of: Model) -> Comparison:
        """The verdict stands at the end of `text`, also in a forced reading."""
        text, finish, split = completion.text, completion.finish, completion.split(of.reasoning)
        if completion.choice_log_probs is not None:
            likeliest = max(completion.choice_log_probs, key=lambda one: completion.choice_log_probs[one])  # type: ignore[index]
            text, finish = f"{text}{completion.closing}{_FORCED.prefix}{likeliest}", Finish.STOP
            found = likeliest.removesuffix("]]")
        else:
            readable = self.reading == "free" and finish is Finish.STOP
            found = verdict_of(text[split.begin :]) if readable else None
        prompt_id, first_id, second_id = question.subject
        return Comparison(
            id=completion.request_id,
            prompt_id=prompt_id,
            first_id=first_id,
            second_id=second_id,
            sample=question.sample,
            model=of.fingerprint,
            messages=question.request.messages,
            text=text,
            token_ids=completion.token_ids if self.reading == "free" else None,
            finish=finish,
            outcome=Outcome.UNREADABLE if found is None else _OUTCOMES[VERDICTS.index(found)],
            p_first=None,
            reasoning=split.begin,
            reasoning_ended=split.ended,
        )

    def work(self, guess: Guess, *shapes: Shape) -> Work:
        """Two calls a response."""
        prompts, baseline, responses = shapes
        asked = text_tokens(self.template) + (prompts.tokens or guess.prompt_tokens)
        asked += baseline.tokens + responses.tokens
        return Work(2 * responses.rows, asked, min(guess.judgment_tokens, self.max_tokens))


def verdict_of(text: str) -> str | None:
    """The one verdict that stands in double square brackets; None if there is none, or several kinds.

    That is the benchmark's reading. The verdicts of `VERDICTS` alone are taken.
    """
    found = set(_BRACKETS.findall(text))
    (only,) = found if len(found) == 1 else (None,)
    return only if only in VERDICTS else None
