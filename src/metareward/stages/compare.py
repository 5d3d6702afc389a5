"""A judge compares two responses to one prompt and names the better one, both ways round."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import permutations
from typing import ClassVar, Literal

from metareward import templates
from metareward.engines.base import Completion, Request
from metareward.ids import fingerprint, seed_of
from metareward.models.base import Model
from metareward.records import Comparison, Finish, Message, Prompt, Response
from metareward.settings import check_reading, check_sampling, checked, require
from metareward.stages import winner
from metareward.stages.base import Guess, Question, Shape, Work, counted, question_key, text_tokens
from metareward.stages.grouping import bundles


@dataclass(frozen=True)
@checked("compare")
class Compare:
    """N comparisons of every ordered pair of a prompt's responses, so always in both orders.

    reading: `free` samples an explanation and the verdict and reads the last line; `forced` samples the
        explanation and reads the probabilities of A and B after the verdict's prefix.
    template: text with {{ conversation }}, {{ response_a }} and {{ response_b }}.
    """

    name: ClassVar[str] = "compare"
    record: ClassVar[type[Comparison]] = Comparison

    samples: int = counted(1)
    temperature: float = 0.8
    top_p: float = 0.95
    max_tokens: int = 512
    reading: Literal["free", "forced"] = "free"
    template: str = field(default_factory=lambda: templates.shipped("compare"))
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.samples >= 1, "compare.samples", "at least 1", self.samples)
        check_sampling("compare", self.temperature, self.top_p, self.max_tokens)
        check_reading("compare", self.reading)
        templates.check(
            self.template, ("conversation", "response_a", "response_b"), "compare.template", "winner"
        )

    def ask(self, prompt: Prompt, first: Response, second: Response) -> tuple[Message, ...]:
        """The exact prompt for one comparison, `first` on top."""
        text = templates.render(
            self.template,
            conversation=templates.transcript(prompt.messages),
            response_a=first.answer,
            response_b=second.answer,
        )
        return (Message("user", text),)

    def questions(
        self, of: Model, prompts: Iterable[Prompt], responses: Iterable[Response]
    ) -> Iterator[Question]:
        """N K (K - 1) requests a prompt with K responses, in the order of the responses."""
        key = question_key(self, of)
        label = templates.winner_label_of(self.template)
        sampling, forced = winner.asking(self.reading, self.temperature, self.top_p, self.max_tokens, label)
        verdicts = winner.lines(self.reading, label)
        for bundle in bundles(prompts, responses):
            for first, second in permutations(bundle.responses, 2):
                messages = self.ask(bundle.prompt, first, second)
                subject = (bundle.prompt.id, first.id, second.id)
                for sample in range(self.samples):
                    row = fingerprint(key, *subject, sample)
                    request = Request(row, messages, sampling, seed_of(row), forced, self.name, verdicts)
                    yield Question(request, subject, sample)

    def read(self, question: Question, completion: Completion, of: Model) -> Comparison:
        """Read the winner by position; in a forced reading write the verdict line that agrees with it."""
        label, split = templates.winner_label_of(self.template), completion.split(of.reasoning)
        outcome, p_first = winner.read(self.reading, completion, split, label)
        text, token_ids = completion.text, completion.token_ids
        if p_first is not None:
            text, token_ids = winner.with_verdict(completion, outcome, label)
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
            token_ids=token_ids,
            finish=completion.finish if p_first is None else Finish.STOP,
            outcome=outcome,
            p_first=p_first,
            reasoning=split.begin,
            reasoning_ended=split.ended,
        )

    def work(self, guess: Guess, *shapes: Shape) -> Work:
        """N K (K - 1) calls a prompt, K its responses, taken to be equally many for every prompt."""
        prompts, responses = shapes
        each = -(-responses.rows // prompts.rows) if prompts.rows else 0
        asked = text_tokens(self.template) + (prompts.tokens or guess.prompt_tokens) + 2 * responses.tokens
        calls = prompts.rows * each * (each - 1) * self.samples
        return Work(calls, asked, min(guess.judgment_tokens, self.max_tokens))
