"""The meta-judge compares: all pairs of one response's judgments, both ways round (section 2.3)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import inf
from typing import ClassVar, Literal

from metareward import templates
from metareward.engines.base import Completion, Request
from metareward.ids import fingerprint, seed_of
from metareward.models.base import Model
from metareward.records import Battle, Judgment, Message, Prompt, Response
from metareward.settings import check_reading, check_sampling, check_seed, checked, one_of, require
from metareward.stages import winner
from metareward.stages.base import Guess, Question, Shape, Work, question_key, text_tokens
from metareward.stages.grouping import Bundle, bundles
from metareward.stages.matching import BETWEEN, Between, pairings
from metareward.stages.pair import choose_response
from metareward.stages.redact import without_scores


@dataclass(frozen=True)
@checked("meta_judge")
class MetaJudge:
    """Battles between the readable judgments of each prompt's most disputed response.

    reading: as for the judge; a forced battle goes to the likelier letter, a tie if both are equal.
    template: text with {{ conversation }}, {{ response }}, {{ judgment_a }} and {{ judgment_b }}.
    seed: also breaks ties in the choice of the response; `JudgePairs.seed` must be the same.
    show_scores: false takes verdict lines and mentions of the total out of what is shown (`stages.redact`);
        the judgments trained on stay whole.
    between, max_length_ratio: which judgments meet (`stages.matching`); the paper's do without either.
    """

    name: ClassVar[str] = "meta_judge"
    record: ClassVar[type[Battle]] = Battle

    temperature: float = 0.8
    top_p: float = 0.95
    max_tokens: int = 768
    reading: Literal["free", "forced"] = "free"
    template: str = field(default_factory=lambda: templates.shipped("meta_judge"))
    seed: int = 0
    show_scores: bool = True
    between: Between = field(default="all", metadata={"counted": True})
    max_length_ratio: float | None = field(default=None, metadata={"counted": True})

    def __post_init__(self) -> None:
        check_sampling("meta_judge", self.temperature, self.top_p, self.max_tokens)
        check_reading("meta_judge", self.reading)
        check_seed("meta_judge.seed", self.seed)
        names = ("conversation", "response", "judgment_a", "judgment_b")
        templates.check(self.template, names, "meta_judge.template", "winner")
        require(self.between in BETWEEN, "meta_judge.between", one_of(BETWEEN), self.between)
        ratio = self.max_length_ratio
        sane = ratio is None or 1 <= ratio < inf
        require(sane, "meta_judge.max_length_ratio", "a number of 1 or more, or not set", ratio)

    def ask(
        self, prompt: Prompt, response: Response, first: Judgment, second: Judgment
    ) -> tuple[Message, ...]:
        """The exact meta-judge prompt for one battle, `first` on top."""
        text = templates.render(
            self.template,
            conversation=templates.transcript(prompt.messages),
            response=response.answer,
            judgment_a=self._shown(first),
            judgment_b=self._shown(second),
        )
        return (Message("user", text),)

    def questions(
        self,
        of: Model,
        prompts: Iterable[Prompt],
        responses: Iterable[Response],
        judgments: Iterable[Judgment],
    ) -> Iterator[Question]:
        """At most N (N - 1) requests a prompt: every ordered pair of readable judgments that may meet."""
        key = question_key(self, of)
        label = templates.winner_label_of(self.template)
        sampling, forced = winner.asking(self.reading, self.temperature, self.top_p, self.max_tokens, label)
        verdicts = winner.lines(self.reading, label)
        for bundle in bundles(prompts, responses, judgments):
            for response, first, second in self._pairings(bundle):
                messages = self.ask(bundle.prompt, response, first, second)
                subject = (bundle.prompt.id, response.id, first.id, second.id)
                row = fingerprint(key, *subject)
                request = Request(row, messages, sampling, seed_of(row), forced, self.name, verdicts)
                yield Question(request, subject)

    def _pairings(self, bundle: Bundle) -> Iterator[tuple[Response, Judgment, Judgment]]:
        response = choose_response(bundle.responses, bundle.judgments, self.seed)
        if response is None:
            return
        own = [judgment for judgment in bundle.judgments if judgment.response_id == response.id]
        for first, second in pairings(own, self.between, self.max_length_ratio):
            yield response, first, second

    def _shown(self, judgment: Judgment) -> str:
        if self.show_scores:
            return judgment.answer
        return without_scores(judgment.answer, templates.shown_scale_of(self.template))

    def read(self, question: Question, completion: Completion, of: Model) -> Battle:
        """Read the winner by position."""
        label, split = templates.winner_label_of(self.template), completion.split(of.reasoning)
        outcome, p_first = winner.read(self.reading, completion, split, label)
        prompt_id, response_id, first_id, second_id = question.subject
        return Battle(
            id=completion.request_id,
            prompt_id=prompt_id,
            response_id=response_id,
            first_id=first_id,
            second_id=second_id,
            model=of.fingerprint,
            text=completion.text + completion.closing,
            finish=completion.finish,
            outcome=outcome,
            p_first=p_first,
            reasoning=split.begin,
            reasoning_ended=split.ended,
        )

    def work(self, guess: Guess, *shapes: Shape) -> Work:
        """At most N (N - 1) calls a prompt, N the judgments a response."""
        prompts, responses, judgments = shapes
        each = round(judgments.rows / responses.rows) if responses.rows else 0
        asked = text_tokens(self.template) + (prompts.tokens or guess.prompt_tokens)
        asked += responses.tokens + 2 * judgments.tokens
        return Work(prompts.rows * each * (each - 1), asked, min(guess.battle_tokens, self.max_tokens))
