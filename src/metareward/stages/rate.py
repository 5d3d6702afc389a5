"""A judge rates one turn of a conversation from 1 to 10, by a reference answer if there is one (MT-Bench)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from metareward import readers, templates
from metareward.engines.base import Completion, Forced, Request, Sampling
from metareward.ids import fingerprint, seed_of
from metareward.models.base import Model
from metareward.readers import Reading
from metareward.reasoning import DID_NOT_END
from metareward.records import Finish, Judgment, Message, Prompt, Response
from metareward.settings import check_reading, check_sampling, check_seed, checked
from metareward.stages.base import Guess, Question, Shape, Work, question_key, text_tokens
from metareward.stages.grouping import bundles
from metareward.stages.turns import References

LOWEST, HIGHEST = 1, 10
_CLOSING = "]]"
_FORCED = Forced("\nRating: [[", tuple(f"{rating}{_CLOSING}" for rating in range(LOWEST, HIGHEST + 1)))
# The benchmark's own two expressions; the second is tried where the first finds nothing. Unlike there an
# index in code, `balls[2]` or `df[[2]]`, is no rating, and nothing in a fence or between backticks is.
_RATINGS = tuple(
    re.compile(pattern, re.ASCII)
    for pattern in (r"(?<![\w\])])\[\[(\d+\.?\d*)\]\]", r"(?<![\w\])\[])\[(\d+\.?\d*)\](?![\[(\]])")
)
_CODE = re.compile(r"^[ \t]{0,3}```.{0,80}\n(?s:.*?)(?:^[ \t]{0,3}```|\Z)|`[^`\n]{0,300}`", re.MULTILINE)


@dataclass(frozen=True)
@checked("rate")
class Rate:
    """One judgment a response. The defaults are the benchmark's: greedy, at most 2,048 tokens.

    reading: `free` reads the first number in double square brackets, or else in single ones; `forced`
        takes the probabilities of 1 .. 10 after the explanation, and the score is their expected value.
    template: text with {{ conversation }} and {{ response }}; reference_template: with {{ reference }}, too.
    """

    name: ClassVar[str] = "rate"
    record: ClassVar[type[Judgment]] = Judgment

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 2048
    reading: Literal["free", "forced"] = "free"
    template: str = field(default_factory=lambda: templates.shipped("mt_single"))
    reference_template: str = field(default_factory=lambda: templates.shipped("mt_single_reference"))
    seed: int = 0

    def __post_init__(self) -> None:
        check_sampling("rate", self.temperature, self.top_p, self.max_tokens)
        check_reading("rate", self.reading)
        check_seed("rate.seed", self.seed)
        names = ("conversation", "response")
        templates.check(self.template, names, "rate.template")
        templates.check(self.reference_template, (*names, "reference"), "rate.reference_template")

    def ask(self, prompt: Prompt, response: Response, reference: str | None = None) -> tuple[Message, ...]:
        """The exact prompt for one response; of a second turn the whole conversation is shown."""
        data = {"conversation": templates.transcript(prompt.messages), "response": response.answer}
        if reference is None:
            return (Message("user", templates.render(self.template, **data)),)
        return (Message("user", templates.render(self.reference_template, **data, reference=reference)),)

    def questions(
        self,
        of: Model,
        prompts: Iterable[Prompt],
        responses: Iterable[Response],
        references: Iterable[Prompt] = (),
    ) -> Iterator[Question]:
        """One request for each response that was not a failure. references: as `turns.reference_of`."""
        key, known = question_key(self, of), References(references)
        forced = _FORCED if self.reading == "forced" else None
        stop = ("Rating:", "[[") if forced else ()
        sampling = Sampling(self.temperature, self.top_p, self.max_tokens, stop)
        for bundle in bundles(prompts, responses):
            reference = known.text_for(bundle.prompt)
            for response in bundle.responses:
                if response.finish is not Finish.FAILED:
                    row = fingerprint(key, bundle.prompt.id, response.id, reference)
                    messages = self.ask(bundle.prompt, response, reference)
                    request = Request(row, messages, sampling, seed_of(row), forced, self.name)
                    yield Question(request, (bundle.prompt.id, response.id))

    def read(self, question: Question, completion: Completion, of: Model) -> Judgment:
        """In a forced reading `text` ends in the verdict line that agrees with the score."""
        text, finish, confidence = completion.text, completion.finish, None
        split = completion.split(of.reasoning)
        if completion.choice_log_probs is not None:
            logs = {name.removesuffix(_CLOSING): log for name, log in completion.choice_log_probs.items()}
            score, confidence = readers.expected_score(logs)
            verdict = f"{_FORCED.prefix}{int(score + 0.5)}{_CLOSING}"
            text, finish = f"{text}{completion.closing}{verdict}", Finish.STOP
            reading = Reading(score=score)
        elif not split.ended:
            reading = Reading(unread=DID_NOT_END)
        elif self.reading == "forced":
            reading = Reading(unread="engine failure")
        else:
            reading = read_rating(text[split.begin :], finish)
        return Judgment(
            id=completion.request_id,
            prompt_id=question.subject[0],
            response_id=question.subject[1],
            sample=question.sample,
            model=of.fingerprint,
            messages=question.request.messages,
            text=text,
            token_ids=completion.token_ids if self.reading == "free" else None,
            finish=finish,
            score=reading.score,
            unread=reading.unread,
            confidence=confidence,
            reasoning=split.begin,
            reasoning_ended=split.ended,
        )

    def work(self, guess: Guess, *shapes: Shape) -> Work:
        """One call a response."""
        prompts, responses = shapes[:2]
        asked = text_tokens(self.template) + (prompts.tokens or guess.prompt_tokens) + responses.tokens
        asked += sum(references.tokens for references in shapes[2:])
        return Work(responses.rows, asked, min(guess.judgment_tokens, self.max_tokens))


def read_rating(text: str, finish: Finish) -> Reading:
    """The benchmark's reading of a rating, 1 .. 10; a text that was cut off is not read."""
    if finish is not Finish.STOP:
        return Reading(unread="cut off" if finish is Finish.LENGTH else "engine failure")
    said = _CODE.sub(" ", text)
    found = next((match for pattern in _RATINGS if (match := pattern.search(said))), None)
    if found is None:
        return Reading(unread="no rating")
    rating = float(found[1])
    return Reading(score=rating) if LOWEST <= rating <= HIGHEST else Reading(unread="off the scale")
