"""The meta-judge compares: all pairs of one response's judgments, both ways round (section 2.3)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import permutations
from typing import ClassVar, Literal

from metareward import templates
from metareward.engines.base import Completion, Request
from metareward.ids import fingerprint, seed_of
from metareward.models.base import Model
from metareward.records import Battle, Judgment, Message, Prompt, Response
from metareward.settings import check_reading, check_sampling, check_seed
from metareward.stages import winner
from metareward.stages.base import Guess, Question, Shape, Work, question_key, text_tokens
from metareward.stages.grouping import Bundle, bundles
from metareward.stages.pair import choose_response


@dataclass(frozen=True)
class MetaJudge:
    """Battles between the readable judgments of each prompt's most disputed response.

    reading: as for the judge; a forced battle goes to the likelier letter, a tie if both are equal.
    template: text with {{ conversation }}, {{ response }}, {{ judgment_a }} and {{ judgment_b }}.
    seed: also breaks ties in the choice of the response; `JudgePairs.seed` must be the same.
    """

    name: ClassVar[str] = "meta_judge"
    record: ClassVar[type[Battle]] = Battle

    temperature: float = 0.8
    top_p: float = 0.95
    max_tokens: int = 768
    reading: Literal["free", "forced"] = "free"
    template: str = field(default_factory=lambda: templates.shipped("meta_judge"))
    seed: int = 0

    def __post_init__(self) -> None:
        check_sampling("meta_judge", self.temperature, self.top_p, self.max_tokens)
        check_reading("meta_judge", self.reading)
        check_seed("meta_judge.seed", self.seed)
        names = ("conversation", "response", "judgment_a", "judgment_b")
        templates.check(self.template, names, "meta_judge.template")

    def ask(
        self, prompt: Prompt, response: Response, first: Judgment, second: Judgment
    ) -> tuple[Message, ...]:
        """The exact meta-judge prompt for one battle, `first` on top."""
        text = templates.render(
            self.template,
            conversation=templates.transcript(prompt.messages),
            response=response.text,
            judgment_a=first.text,
            judgment_b=second.text,
        )
        return (Message("user", text),)

    def questions(
        self,
        of: Model,
        prompts: Iterable[Prompt],
        responses: Iterable[Response],
        judgments: Iterable[Judgment],
    ) -> Iterator[Question]:
        """N (N - 1) requests a prompt: every ordered pair of readable judgments."""
        key = question_key(self, of)
        sampling, forced = winner.asking(self.reading, self.temperature, self.top_p, self.max_tokens)
        for bundle in bundles(prompts, responses, judgments):
            for response, first, second in self._pairings(bundle):
                messages = self.ask(bundle.prompt, response, first, second)
                subject = (bundle.prompt.id, response.id, first.id, second.id)
                row = fingerprint(key, *subject)
                yield Question(Request(row, messages, sampling, seed_of(row), forced, self.name), subject)

    def _pairings(self, bundle: Bundle) -> Iterator[tuple[Response, Judgment, Judgment]]:
        response = choose_response(bundle.responses, bundle.judgments, self.seed)
        if response is None:
            return
        readable = [j for j in bundle.judgments if j.response_id == response.id and j.score is not None]
        for first, second in permutations(readable, 2):
            yield response, first, second

    def read(self, question: Question, completion: Completion, of: Model) -> Battle:
        """Read the winner by position."""
        outcome, p_first = winner.read(self.reading, completion)
        prompt_id, response_id, first_id, second_id = question.subject
        return Battle(
            id=completion.request_id,
            prompt_id=prompt_id,
            response_id=response_id,
            first_id=first_id,
            second_id=second_id,
            model=of.fingerprint,
            text=completion.text,
            finish=completion.finish,
            outcome=outcome,
            p_first=p_first,
        )

    def work(self, guess: Guess, *shapes: Shape) -> Work:
        """N (N - 1) calls a prompt, N the judgments a response."""
        prompts, responses, judgments = shapes
        each = round(judgments.rows / responses.rows) if responses.rows else 0
        asked = text_tokens(self.template) + (prompts.tokens or guess.prompt_tokens)
        asked += responses.tokens + 2 * judgments.tokens
        return Work(prompts.rows * each * (each - 1), asked, min(guess.battle_tokens, self.max_tokens))
