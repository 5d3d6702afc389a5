"""A judge prefers one of two responses by the probabilities of its one-token answer, as AlpacaEval 2 does.

Each pair is asked about once. Which response is on top is drawn from the instruction's text by the published
rule, so that every model is shown to the judge in the same places.
"""

import json
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import tee
from typing import ClassVar

import numpy as np

from metareward import templates
from metareward.engines.base import Completion, Forced, Request, Sampling
from metareward.errors import ConfigError
from metareward.ids import fingerprint, seed_of
from metareward.models.base import Model
from metareward.records import Comparison, Finish, Message, Outcome, Prompt, Response
from metareward.settings import checked, require
from metareward.stages.base import Guess, Question, Shape, Work, question_key, text_tokens
from metareward.stages.grouping import bundles

_NAMES = ("instruction", "output_1", "output_2")
_PLACE = re.compile(rf"\{{({'|'.join(_NAMES)})\}}")
_TURN = re.compile(r"<\|im_start\|>(system|user|assistant)\n(.*?)<\|im_end\|>", re.DOTALL)


@dataclass(frozen=True)
@checked("prefer")
class Prefer:
    """One question a pair; the answer is read from the probabilities of `choices`, nothing is sampled.

    template: text with {{ instruction }}, {{ output_1 }} and {{ output_2 }}; as one user turn, or as turns
        in `<|im_start|>role ... <|im_end|>`. `published_template` reads the benchmark's own form.
    choices: the answers that mean the first and the second on display.
    prefix: what the judge's turn is made to begin with, before the choice.
    order_seed: of the rule that decides who is on top; the published annotations have 0.
    """

    name: ClassVar[str] = "prefer"
    record: ClassVar[type[Comparison]] = Comparison

    template: str = field(default_factory=lambda: templates.shipped("prefer"))
    choices: tuple[str, str] = ("A", "B")
    prefix: str = ""
    order_seed: int = 0

    def __post_init__(self) -> None:
        distinct = len(set(self.choices)) == len(self.choices) == 2 and all(self.choices)
        require(distinct, "prefer.choices", "two different answers", self.choices)
        templates.check(self.template, _NAMES, "prefer.template")

    def ask(self, prompt: Prompt, first: Response, second: Response) -> tuple[Message, ...]:
        """The exact prompt of one question, `first` on top."""
        data = {
            "instruction": templates.transcript(prompt.messages),
            "output_1": first.answer,
            "output_2": second.answer,
        }
        turns = _TURN.findall(self.template) or [("user", self.template)]
        return tuple(Message(role, templates.render(text, **data)) for role, text in turns)

    def questions(
        self,
        of: Model,
        prompts: Iterable[Prompt],
        baseline: Iterable[Response],
        responses: Iterable[Response],
    ) -> Iterator[Question]:
        """One request for each response that differs from its prompt's baseline; equal ones are a tie.

        baseline: one response a prompt. A response that failed is not asked about.
        """
        key = question_key(self, of)
        sampling, forced = Sampling(0.0, 1.0, 0), Forced(self.prefix, self.choices)
        left, right = tee(prompts)
        for base, bundle in zip(bundles(left, baseline), bundles(right, responses), strict=True):
            for reference in base.responses[:1]:
                for response in bundle.responses:
                    if response.finish is Finish.FAILED or response.answer == reference.answer:
                        continue
                    pair = (reference, response)
                    first, second = pair[::-1] if self.switched(bundle.prompt) else pair
                    subject = (bundle.prompt.id, first.id, second.id)
                    row = fingerprint(key, *subject)
                    messages = self.ask(bundle.prompt, first, second)
                    request = Request(row, messages, sampling, seed_of(row), forced, self.name)
                    yield Question(request, subject)

    def switched(self, prompt: Prompt) -> bool:
        """Whether the model's response is shown before the baseline's."""
        return is_switched(templates.transcript(prompt.messages), self.order_seed)

    def read(self, question: Question, completion: Completion, of: Model) -> Comparison:
        """`p_first` is p(first) / (p(first) + p(second)), in which other answers have no part."""
        p_first = None
        if completion.choice_log_probs is not None:
            logs = completion.choice_log_probs
            p_first = probability_of_first(logs[self.choices[0]], logs[self.choices[1]])
        prompt_id, first_id, second_id = question.subject
        return Comparison(
            id=completion.request_id,
            prompt_id=prompt_id,
            first_id=first_id,
            second_id=second_id,
            sample=question.sample,
            model=of.fingerprint,
            messages=question.request.messages,
            text=self._answer(p_first),
            token_ids=None,
            finish=completion.finish if p_first is None else Finish.STOP,
            outcome=_outcome(p_first),
            p_first=p_first,
        )

    def work(self, guess: Guess, *shapes: Shape) -> Work:
        """One call a response."""
        prompts, baseline, responses = shapes
        asked = text_tokens(self.template) + (prompts.tokens or guess.prompt_tokens)
        return Work(responses.rows, asked + baseline.tokens + responses.tokens, 0)

    def _answer(self, p_first: float | None) -> str:
        if p_first is None:
            return ""
        return self.prefix + self.choices[0 if p_first >= 0.5 else 1]


def is_switched(instruction: str, seed: int = 0) -> bool:
    """The published rule of display: a fair coin from Python's generator, seeded with the instruction.

    The seed is the text "is_switched_outputs", the instruction and `seed` in digits, one after the other.
    True puts the model's output first. It is that of all 805 published annotations of gemma-2b-it.
    """
    text = f"is_switched_outputs{instruction}{seed}"
    return random.Random(text.encode("utf-8", "surrogatepass")).random() >= 0.5


def probability_of_first(log_first: float, log_second: float) -> float | None:
    """p / (p + p') from natural log-probabilities; a missing answer is -inf. None if both are missing."""
    if max(log_first, log_second) == -np.inf:
        return None
    return float(1 / (1 + np.exp(np.clip(log_second - log_first, -700, 700))))


def preference(p_first: float, switched: bool) -> float:
    """On the published scale: 1 if the baseline's output is surely better .. 2 if the model's is."""
    return 1 + p_first if switched else 2 - p_first


def published_template(text: str, where: str) -> str:
    """The benchmark's own form of a template ({instruction}, {output_1}, {output_2}) as one of ours.

    Each name must stand in it once; ConfigError, with `where` and the counts, if not.
    """
    found = _PLACE.findall(text)
    wrong = {name: found.count(name) for name in _NAMES if found.count(name) != 1}
    if wrong:
        counts = ", ".join(f"{{{name}}} {count} times" for name, count in wrong.items())
        raise ConfigError(f"{where}: a template in the published form has each name once; here: {counts}")
    parts = _PLACE.split(text)
    return "".join(f"{{{{ {part} }}}}" if place % 2 else _literal(part) for place, part in enumerate(parts))


def _literal(text: str) -> str:
    """Text that means itself in a template, with turns' marks left readable."""
    marks = re.compile(r"(<\|im_start\|>(?:system|user|assistant)\n|<\|im_end\|>)")
    pieces = marks.split(text)
    return "".join(
        piece if place % 2 or not piece else "{{ " + json.dumps(piece, ensure_ascii=False) + " }}"
        for place, piece in enumerate(pieces)
    )


def _outcome(p_first: float | None) -> Outcome:
    if p_first is None:
        return Outcome.UNREADABLE
    if p_first == 0.5:
        return Outcome.TIE
    return Outcome.FIRST if p_first > 0.5 else Outcome.SECOND
