"""The judge grades: N sampled judgments a response on the additive five-point rubric (section 2.1)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from metareward import readers, templates
from metareward.engines.base import Completion, Forced, Request, Sampling
from metareward.ids import fingerprint, seed_of
from metareward.models.base import Model
from metareward.reasoning import DID_NOT_END
from metareward.records import Finish, Judgment, Message, Prompt, Response
from metareward.settings import check_reading, check_samples, check_sampling, check_seed, checked
from metareward.stages.base import Guess, Question, Shape, Work, counted, question_key, text_tokens
from metareward.stages.grouping import bundles


@dataclass(frozen=True)
@checked("judge")
class Judge:
    """N judgments a response. The defaults are the paper's; the rubric is ours and can be replaced.

    reading: `free` samples the justification and the verdict and reads the verdict's line (the paper);
        `forced` samples the justification and reads the probabilities of the scale's scores after the
        verdict's prefix: always readable, and the score is an expected value.
    template: text with {{ conversation }} and {{ response }}; its head may declare the verdict's label and
        scale (`templates`).
    """

    name: ClassVar[str] = "judge"
    record: ClassVar[type[Judgment]] = Judgment

    samples: int = counted(11)
    temperature: float = 0.8
    top_p: float = 0.95
    max_tokens: int = 512
    reading: Literal["free", "forced"] = "free"
    template: str = field(default_factory=lambda: templates.shipped("judge"))
    seed: int = 0

    def __post_init__(self) -> None:
        check_samples("judge.samples", self.samples)
        check_sampling("judge", self.temperature, self.top_p, self.max_tokens)
        check_reading("judge", self.reading)
        check_seed("judge.seed", self.seed)
        templates.check(self.template, ("conversation", "response"), "judge.template", "score")

    @property
    def scale(self) -> readers.Scale:
        """The label and the scale of its scores."""
        return templates.scale_of(self.template)

    def ask(self, prompt: Prompt, response: Response) -> tuple[Message, ...]:
        """The exact judge prompt for one response."""
        conversation = templates.transcript(prompt.messages)
        text = templates.render(self.template, conversation=conversation, response=response.answer)
        return (Message("user", text),)

    def questions(
        self, of: Model, prompts: Iterable[Prompt], responses: Iterable[Response]
    ) -> Iterator[Question]:
        """N requests a response, in the order of the responses."""
        key, scale = question_key(self, of), self.scale
        forced = Forced(scale.prefix, scale.choices) if self.reading == "forced" else None
        verdicts = () if forced else tuple(scale.prefix.strip() + " " + choice for choice in scale.choices)
        stop = (f"{scale.label}:",) if forced else ()
        sampling = Sampling(self.temperature, self.top_p, self.max_tokens, stop)
        for bundle in bundles(prompts, responses):
            for response in bundle.responses:
                messages = self.ask(bundle.prompt, response)
                for sample in range(self.samples):
                    row = fingerprint(key, bundle.prompt.id, response.id, sample)
                    request = Request(row, messages, sampling, seed_of(row), forced, self.name, verdicts)
                    yield Question(request, (bundle.prompt.id, response.id), sample)

    def read(self, question: Question, completion: Completion, of: Model) -> Judgment:
        """Read the verdict; in a forced reading write the verdict line that agrees with it."""
        text, token_ids, confidence = completion.text, completion.token_ids, None
        split = completion.split(of.reasoning)
        if self.reading == "forced" and completion.choice_log_probs is not None:
            score, confidence = readers.expected_score(completion.choice_log_probs)
            text, token_ids = _with_verdict(completion, score, self.scale)
            reading = readers.Reading(score=score)
        elif not split.ended:
            reading = readers.Reading(unread=DID_NOT_END)
        elif self.reading == "forced":
            reading = readers.Reading(unread="engine failure")
        else:
            reading = readers.read_score(text[split.begin :], completion.finish, self.scale)
        return Judgment(
            id=completion.request_id,
            prompt_id=question.subject[0],
            response_id=question.subject[1],
            sample=question.sample,
            model=of.fingerprint,
            messages=question.request.messages,
            text=text,
            token_ids=token_ids,
            finish=completion.finish if confidence is None else Finish.STOP,
            score=reading.score,
            unread=reading.unread,
            confidence=confidence,
            reasoning=split.begin,
            reasoning_ended=split.ended,
        )

    def work(self, guess: Guess, *shapes: Shape) -> Work:
        """N calls a response."""
        prompts, responses = shapes
        asked = text_tokens(self.template) + (prompts.tokens or guess.prompt_tokens) + responses.tokens
        return Work(responses.rows * self.samples, asked, min(guess.judgment_tokens, self.max_tokens))


def _with_verdict(
    completion: Completion, score: float, scale: readers.Scale
) -> tuple[str, tuple[int, ...] | None]:
    verdict = str(scale.nearest(score))
    text = f"{completion.text}{completion.closing}{scale.prefix}{verdict}"
    if completion.token_ids is None or completion.endings is None:
        return text, None
    return text, completion.token_ids + completion.endings[verdict]
