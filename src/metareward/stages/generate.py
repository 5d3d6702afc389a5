"""The actor answers: K sampled responses a prompt (Meta-Rewarding section 2.1)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from metareward.engines.base import Completion, Request, Sampling
from metareward.ids import fingerprint, seed_of
from metareward.models.base import Model
from metareward.records import Prompt, Response
from metareward.settings import check_samples, check_sampling, check_seed, checked
from metareward.stages.base import Guess, Question, Shape, Work, counted, question_key


@dataclass(frozen=True)
@checked("generate")
class Generate:
    """K responses a prompt, each with its own seed. The defaults are the paper's."""

    name: ClassVar[str] = "generate"
    record: ClassVar[type[Response]] = Response

    samples: int = counted(7)
    temperature: float = 0.8
    top_p: float = 0.95
    max_tokens: int = 2048
    seed: int = 0

    def __post_init__(self) -> None:
        check_samples("generate.samples", self.samples)
        check_sampling("generate", self.temperature, self.top_p, self.max_tokens)
        check_seed("generate.seed", self.seed)

    def questions(self, of: Model, prompts: Iterable[Prompt]) -> Iterator[Question]:
        """K requests a prompt, in the order of the prompts."""
        key = question_key(self, of)
        sampling = Sampling(self.temperature, self.top_p, self.max_tokens)
        for prompt in prompts:
            for sample in range(self.samples):
                row = fingerprint(key, prompt.id, sample)
                request = Request(row, prompt.messages, sampling, seed_of(row), step=self.name)
                yield Question(request, (prompt.id,), sample)

    def read(self, question: Question, completion: Completion, of: Model) -> Response:
        """A response is what was written, failures and reasoning included."""
        split = completion.split(of.reasoning)
        return Response(
            id=completion.request_id,
            prompt_id=question.subject[0],
            sample=question.sample,
            model=of.fingerprint,
            text=completion.text,
            token_ids=completion.token_ids,
            finish=completion.finish,
            error=completion.error,
            reasoning=split.begin,
            reasoning_ended=split.ended,
        )

    def work(self, guess: Guess, *shapes: Shape) -> Work:
        """K calls a prompt."""
        (prompts,) = shapes
        return Work(
            prompts.rows * self.samples,
            prompts.tokens or guess.prompt_tokens,
            min(guess.response_tokens, self.max_tokens),
        )
