"""Small iterations for the tests of grouping and pairing: any that can happen, some with a known truth."""

import dataclasses
import random
from collections.abc import Iterable
from itertools import permutations
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from metareward.records import (
    Battle,
    Finish,
    Judgment,
    Message,
    Outcome,
    PreferencePair,
    Prompt,
    Response,
)
from metareward.stages.pair import choose_response

F, S, T, U = Outcome.FIRST, Outcome.SECOND, Outcome.TIE, Outcome.UNREADABLE
FLIPPED = {F: S, S: F, T: T, U: U}
quick = settings(max_examples=60, deadline=None)
seeds = st.integers(0, 2**31)


def a_prompt(name: str) -> Prompt:
    return Prompt(name, (Message("user", name),))


def a_response(
    prompt: str, sample: int = 0, text: str | None = None, finish: Finish = Finish.STOP
) -> Response:
    name = f"{prompt}-{sample}"
    return Response(name, prompt, sample, "m", f"text {name}" if text is None else text, (sample,), finish)


def a_judgment(
    response: Response, sample: int, score: float | None, text: str | None = None, asked: str = ""
) -> Judgment:
    name = f"{response.id}-{sample}"
    return Judgment(
        name,
        response.prompt_id,
        response.id,
        sample,
        "m",
        (Message("user", f"judge {response.id} {asked}"),),
        f"judgment {name}" if text is None else text,
        (sample,),
        Finish.STOP,
        score,
        None if score is not None else "no verdict line",
    )


def a_battle(first: Judgment, second: Judgment, outcome: Outcome) -> Battle:
    name = f"{first.id}:{second.id}"
    about = first.response_id
    return Battle(name, first.prompt_id, about, first.id, second.id, "m", "", Finish.STOP, outcome)


@dataclasses.dataclass
class World:
    """Everything that one iteration knows, in canonical order."""

    prompts: list[Prompt]
    responses: list[Response]
    judgments: list[Judgment]
    battles: list[Battle]

    @property
    def actor_inputs(self) -> tuple[Any, ...]:
        return self.prompts, self.responses, self.judgments

    @property
    def judge_inputs(self) -> tuple[Any, ...]:
        return *self.actor_inputs, self.battles


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Anything that can come out of a run: nothing for a prompt, failures, twins, unreadable rows."""
    world = World([], [], [], [])
    for number in range(draw(st.integers(0, 5))):
        prompt = a_prompt(f"p{number}")
        world.prompts.append(prompt)
        texts = st.sampled_from(["", " \n", "short", "a longer one", "the very longest of them"])
        finishes = st.sampled_from([Finish.STOP, Finish.STOP, Finish.LENGTH, Finish.FAILED])
        rows = draw(st.lists(st.tuples(texts, finishes), max_size=4))
        responses = [a_response(prompt.id, sample, *row) for sample, row in enumerate(rows)]
        scores = st.one_of(st.none(), st.integers(0, 5), st.floats(0, 5))
        judgments = [
            a_judgment(response, sample, score, draw(st.sampled_from(["same", None])))
            for response in responses
            for sample, score in enumerate(draw(st.lists(scores, max_size=4)))
        ]
        world.responses += responses
        world.judgments += judgments
        response = choose_response(responses, judgments, seed=0)
        about = [j for j in judgments if response and j.response_id == response.id and j.score is not None]
        world.battles += [
            a_battle(first, second, draw(st.sampled_from([F, S, T, U])))
            for first, second in permutations(about, 2)
            if draw(st.integers(0, 3))
        ]
    return world


def planted(seed: int, prompts: int = 6, noise: float = 0.0) -> tuple[World, dict[str, float]]:
    """A world in which every response and judgment has a true quality that its judges report."""
    rng = random.Random(seed)
    world, truth = World([], [], [], []), {}
    for number in range(prompts):
        prompt = a_prompt(f"p{number}")
        world.prompts.append(prompt)
        qualities = rng.sample(range(1, 5), 4)
        responses = [
            a_response(prompt.id, sample, "x" * rng.randint(1, 99) + f"{sample}") for sample in range(4)
        ]
        world.responses += responses
        truth |= {response.id: float(q) for response, q in zip(responses, qualities, strict=True)}
        disputed = rng.choice(responses)
        judgments = [
            a_judgment(response, sample, truth[response.id] + (1 if response is disputed else 0.1) * side)
            for response in responses
            for sample, side in enumerate([-1, 1, -1, 1, 0])
        ]
        world.judgments += judgments
        about = [judgment for judgment in judgments if judgment.response_id == disputed.id]
        truth |= {judgment.id: q for judgment, q in zip(about, rng.sample(range(9), 5), strict=True)}
        for first, second in permutations(about, 2):
            honest = F if truth[first.id] > truth[second.id] else S
            world.battles.append(a_battle(first, second, F if rng.random() < noise else honest))
    return world, truth


def pairs(rows: Iterable[Any]) -> list[PreferencePair]:
    return [row for row in rows if isinstance(row, PreferencePair)]
