"""A judge says which of two models answered a turn better, or neither, in both orders (MT-Bench)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from metareward import templates
from metareward.engines.base import Completion, Forced, Request, Sampling
from metareward.ids import fingerprint, seed_of
from metareward.models.base import Model
from metareward.records import Comparison, Finish, Message, Outcome, Prompt, Response
from metareward.settings import check_reading, check_sampling, check_seed, checked
from metareward.stages.base import Guess, Question, Shape, Work, question_key, text_tokens
from metareward.stages.grouping import bundles
from metareward.stages.turns import References, asked_in

_OUTCOMES = {"A]]": Outcome.FIRST, "B]]": Outcome.SECOND, "C]]": Outcome.TIE}
_FORCED = Forced("\n[[", tuple(_OUTCOMES))
_NAMES = ("conversation_a", "conversation_b")

Said = tuple[Prompt, Response]
"""A prompt and its one response."""


@dataclass(frozen=True)
@checked("three_way")
class ThreeWay:
    """Both games of two models on each turn they both answered. The defaults are greedy, 2,048 tokens.

    The models' prompts differ in a second turn, which shows each one's own first answer; they belong
    together by what the user said in them.

    reading: `free` reads [[A]], [[B]] or [[C]] as the benchmark does; `forced` takes the likeliest of the
        three after the explanation.
    template: text with {{ conversation_a }} and {{ conversation_b }}; reference_template: with
        {{ reference }}, too.
    """

    name: ClassVar[str] = "three_way"
    record: ClassVar[type[Comparison]] = Comparison

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 2048
    reading: Literal["free", "forced"] = "free"
    template: str = field(default_factory=lambda: templates.shipped("mt_pair"))
    reference_template: str = field(default_factory=lambda: templates.shipped("mt_pair_reference"))
    seed: int = 0

    def __post_init__(self) -> None:
        check_sampling("three_way", self.temperature, self.top_p, self.max_tokens)
        check_reading("three_way", self.reading)
        check_seed("three_way.seed", self.seed)
        templates.check(self.template, _NAMES, "three_way.template")
        templates.check(self.reference_template, (*_NAMES, "reference"), "three_way.reference_template")

    def ask(self, first: Said, second: Said, reference: str | None = None) -> tuple[Message, ...]:
        """The exact prompt of one game, `first` as assistant A."""
        data = {"conversation_a": _shown(first), "conversation_b": _shown(second)}
        if reference is None:
            return (Message("user", templates.render(self.template, **data)),)
        return (Message("user", templates.render(self.reference_template, **data, reference=reference)),)

    def questions(
        self,
        of: Model,
        prompts: Iterable[Prompt],
        responses: Iterable[Response],
        other_prompts: Iterable[Prompt],
        other_responses: Iterable[Response],
        references: Iterable[Prompt] = (),
    ) -> Iterator[Question]:
        """Two requests for each turn that both answered, the first model as A in game 1."""
        key, known = question_key(self, of), References(references)
        forced = _FORCED if self.reading == "forced" else None
        sampling = Sampling(self.temperature, self.top_p, self.max_tokens, ("[[",) if forced else ())
        others = {asked_in(said[0]): said for said in _answered(other_prompts, other_responses)}
        for said in _answered(prompts, responses):
            other = others.get(asked_in(said[0]))
            if other is None:
                continue
            reference = known.text_for(said[0])
            for first, second in ((said, other), (other, said)):
                subject = (said[0].id, first[1].id, second[1].id)
                row = fingerprint(key, *subject, reference)
                messages = self.ask(first, second, reference)
                yield Question(Request(row, messages, sampling, seed_of(row), forced, self.name), subject)

    def read(self, question: Question, completion: Completion, of: Model) -> Comparison:
        """The verdict by position. In a forced reading it stands at the end of `text`."""
        text, finish, split = completion.text, completion.finish, completion.split(of.reasoning)
        if (logs := completion.choice_log_probs) is not None:
            likeliest = max(_FORCED.choices, key=lambda choice: logs[choice])
            text, finish = f"{text}{completion.closing}{_FORCED.prefix}{likeliest}", Finish.STOP
            outcome = _OUTCOMES[likeliest]
        else:
            readable = self.reading == "free" and finish is Finish.STOP
            outcome = winner_of(text[split.begin :]) if readable else Outcome.UNREADABLE
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
            outcome=outcome,
            p_first=None,
            reasoning=split.begin,
            reasoning_ended=split.ended,
        )

    def work(self, guess: Guess, *shapes: Shape) -> Work:
        """Two calls for each response of the model that has fewer."""
        prompts, responses, _, other_responses, *references = shapes
        asked = text_tokens(self.template) + 2 * (prompts.tokens or guess.prompt_tokens)
        asked += responses.tokens + other_responses.tokens + sum(shape.tokens for shape in references)
        calls = 2 * min(responses.rows, other_responses.rows)
        return Work(calls, asked, min(guess.judgment_tokens, self.max_tokens))


def winner_of(text: str) -> Outcome:
    """The benchmark's reading: [[A]] anywhere, or else [[B]], or else [[C]]."""
    return next((won for label, won in _OUTCOMES.items() if f"[[{label}" in text), Outcome.UNREADABLE)


def _answered(prompts: Iterable[Prompt], responses: Iterable[Response]) -> Iterator[Said]:
    for bundle in bundles(prompts, responses):
        kept = [response for response in bundle.responses if response.finish is not Finish.FAILED]
        yield from ((bundle.prompt, response) for response in kept[:1])


def _shown(said: Said) -> str:
    prompt, response = said
    return templates.transcript((*prompt.messages, Message("assistant", response.answer)))
