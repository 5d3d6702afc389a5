"""Joining streams and making pairs: planted truths must win, and every subject must be accounted for."""

import dataclasses
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metareward.errors import ConfigError, StoreError
from metareward.records import (
    Battle,
    Dropped,
    Finish,
    Judgment,
    Message,
    Outcome,
    PreferencePair,
    Prompt,
    Response,
    Role,
)
from metareward.stages.base import Rule, Shape
from metareward.stages.grouping import Bundle, bundles
from metareward.stages.pair import ActorPairs, KeepDistinct, choose_response, mean_scores
from metareward.stages.pair_judge import JudgePairs, PositionWeights, battle_matrix, position_weights

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
    def actor_inputs(self) -> tuple[list[Prompt], list[Response], list[Judgment]]:
        return self.prompts, self.responses, self.judgments

    @property
    def judge_inputs(self) -> tuple[list[Prompt], list[Response], list[Judgment], list[Battle]]:
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


# Grouping


@quick
@given(worlds())
def test_bundles_hand_out_every_row_once_with_its_prompt(world: World):
    found = list(bundles(*world.judge_inputs))
    assert [bundle.prompt for bundle in found] == world.prompts
    for kind in ("responses", "judgments", "battles"):
        rows = [(bundle.prompt.id, row) for bundle in found for row in getattr(bundle, kind)]
        assert [row for _, row in rows] == getattr(world, kind)
        assert all(row.prompt_id == prompt_id for prompt_id, row in rows)


def test_missing_children_are_empty_lists():
    prompts = [a_prompt("a"), a_prompt("b"), a_prompt("c")]
    only = a_response("b")
    assert list(bundles(prompts, [only])) == [
        Bundle(prompts[0], [], [], []),
        Bundle(prompts[1], [only], [], []),
        Bundle(prompts[2], [], [], []),
    ]
    assert list(bundles([])) == []


def test_bundles_read_no_further_than_one_row_past_a_prompt():
    read: list[str] = []

    def stream() -> Iterator[Response]:
        for prompt in "abcd":
            for sample in range(2):
                read.append(f"{prompt}-{sample}")
                yield a_response(prompt, sample)

    found = bundles([a_prompt(name) for name in "abcd"], stream())
    next(found)
    assert read == ["a-0", "a-1", "b-0"]
    next(found)
    assert read[-1] == "c-0"


@pytest.mark.parametrize("names", ["abx", "xab", "ba", "aba"])
def test_a_row_without_its_prompt_or_out_of_order_is_named(names: str):
    rows = [a_response(name, sample) for sample, name in enumerate(names)]
    with pytest.raises(StoreError, match="response .-. belongs to prompt"):
        list(bundles([a_prompt("a"), a_prompt("b")], rows))


def test_the_error_names_the_kind_and_the_row():
    response = a_response("x")
    judgment = a_judgment(response, 3, 1.0)
    with pytest.raises(StoreError, match="judgment x-0-3 belongs to prompt x"):
        list(bundles([a_prompt("a")], [], [judgment]))
    with pytest.raises(StoreError, match="battle x-0-3:x-0-3 belongs to prompt x"):
        list(bundles([a_prompt("a")], battles=[a_battle(judgment, judgment, T)]))


# Counts add up


REASONS = {
    KeepDistinct: {"duplicate response", "engine failure", "empty response"},
    ActorPairs: {
        "fewer than two scored responses",
        "equal scores",
        "chosen response over the length limit",
    },
    JudgePairs: {
        "no response with two readable judgments",
        "no decided battle",
        "equal Elo",
        "identical judgments",
        "chosen judgment over the length limit",
    },
}


@quick
@given(worlds())
def test_every_response_is_kept_or_dropped_for_a_known_reason(world: World):
    rows = list(KeepDistinct().apply(world.responses))
    named = [row.subject_id if isinstance(row, Dropped) else row.id for row in rows]
    assert named == [response.id for response in world.responses]
    assert {row.reason for row in rows if isinstance(row, Dropped)} <= REASONS[KeepDistinct]
    kept = [(row.prompt_id, row.text) for row in rows if isinstance(row, Response)]
    usable = [
        (r.prompt_id, r.text) for r in world.responses if r.finish is not Finish.FAILED and r.text.strip()
    ]
    assert kept == list(dict.fromkeys(usable))


@settings(max_examples=150, deadline=None)
@given(worlds(), st.sampled_from([None, 5, 15]), st.sampled_from([0, 0.32, 0.49]))
def test_every_prompt_gives_a_pair_or_a_known_reason(world: World, limit: int | None, rho: float):
    for rule, inputs in (
        (ActorPairs(rho, limit), world.actor_inputs),
        (JudgePairs(max_chosen_characters=limit), world.judge_inputs),
    ):
        rows = list(rule.apply(*inputs))
        dropped = Counter(row.reason for row in rows if isinstance(row, Dropped))
        assert len(pairs(rows)) + sum(dropped.values()) == len(world.prompts)
        named = [row.prompt_id if isinstance(row, PreferencePair) else row.subject_id for row in rows]
        assert named == [prompt.id for prompt in world.prompts]
        assert set(dropped) <= REASONS[type(rule)]
        assert "chosen response over the length limit" not in dropped or limit is not None


@settings(max_examples=150, deadline=None)
@given(worlds(), st.sampled_from([0, 0.1, 0.32, 0.4, 0.49, 0.4999999999999]))
def test_an_actor_pair_is_never_upside_down_and_obeys_its_tiers(world: World, rho: float):
    scores = {r.id: score for r, score in mean_scores(world.responses, world.judgments)}
    for pair in pairs(ActorPairs(rho).apply(*world.actor_inputs)):
        own = [scores[r.id] for r in world.responses if r.prompt_id == pair.prompt_id and r.id in scores]
        best, worst = max(own), min(own)
        assert pair.chosen_score == scores[pair.chosen_id] > scores[pair.rejected_id] == pair.rejected_score
        assert best - rho * (best - worst) - 2e-9 <= pair.chosen_score <= best
        assert worst <= pair.rejected_score <= worst + rho * (best - worst) + 2e-9
        good = [r for r in world.responses if scores.get(r.id) == best and r.prompt_id == pair.prompt_id]
        bad = [r for r in world.responses if scores.get(r.id) == worst and r.prompt_id == pair.prompt_id]
        assert len(pair.chosen) <= min(len(r.text) for r in good)
        assert len(pair.rejected) >= max(len(r.text) for r in bad)


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_a_judge_pair_is_never_upside_down_and_answers_the_prompt_it_was_asked(world: World):
    judgments = {judgment.id: judgment for judgment in world.judgments}
    for pair in pairs(JudgePairs().apply(*world.judge_inputs)):
        chosen, rejected = judgments[pair.chosen_id], judgments[pair.rejected_id]
        assert pair.chosen_score > 0 > pair.rejected_score
        assert pair.response_id == chosen.response_id == rejected.response_id
        assert pair.messages == chosen.messages == rejected.messages
        assert (pair.chosen, pair.rejected) == (chosen.text, rejected.text)
        assert pair.chosen != pair.rejected
        assert chosen.score is not None
        assert rejected.score is not None


# A planted truth


@quick
@given(seeds, st.sampled_from([0.0, 0.2, 0.4]))
def test_the_better_answer_is_chosen(seed: int, rho: float):
    world, truth = planted(seed)
    found = pairs(ActorPairs(rho).apply(*world.actor_inputs))
    assert len(found) == len(world.prompts)
    assert all(truth[pair.chosen_id] > truth[pair.rejected_id] for pair in found)
    if rho == 0:
        assert all((truth[pair.chosen_id], truth[pair.rejected_id]) == (4, 1) for pair in found)


@quick
@given(seeds)
def test_the_best_judgment_is_chosen_over_the_worst(seed: int):
    world, truth = planted(seed)
    found = pairs(JudgePairs().apply(*world.judge_inputs))
    assert len(found) == len(world.prompts)
    for pair in found:
        own = [truth[j.id] for j in world.judgments if j.response_id == pair.response_id]
        assert (truth[pair.chosen_id], truth[pair.rejected_id]) == (max(own), min(own))
        assert pair.role is Role.JUDGE


@quick
@given(seeds)
def test_when_the_truth_turns_over_every_judge_pair_turns_over(seed: int):
    world, _ = planted(seed)
    turned = [dataclasses.replace(battle, outcome=FLIPPED[battle.outcome]) for battle in world.battles]
    straight = pairs(JudgePairs().apply(*world.judge_inputs))
    reverse = pairs(JudgePairs().apply(*world.actor_inputs, turned))
    assert len(straight) == len(reverse) == len(world.prompts)
    for one, other in zip(straight, reverse, strict=True):
        assert (one.chosen_id, one.rejected_id) == (other.rejected_id, other.chosen_id)
        assert (one.chosen, one.rejected_token_ids) == (other.rejected, other.chosen_token_ids)
        assert one.chosen_score == pytest.approx(-other.rejected_score, abs=1e-9)
        assert one.rejected_score == pytest.approx(-other.chosen_score, abs=1e-9)


@quick
@given(seeds)
def test_when_the_scores_turn_over_every_actor_pair_turns_over(seed: int):
    world, _ = planted(seed)
    turned = [dataclasses.replace(j, score=5 - (j.score or 0)) for j in world.judgments]
    straight = pairs(ActorPairs().apply(*world.actor_inputs))
    reverse = pairs(ActorPairs().apply(world.prompts, world.responses, turned))
    assert [(p.chosen_id, p.rejected_id) for p in straight] == [(p.rejected_id, p.chosen_id) for p in reverse]


@quick
@given(seeds, st.sampled_from([0.0, 0.3]))
def test_showing_every_battle_the_other_way_round_exchanges_the_weights_only(seed: int, noise: float):
    world, _ = planted(seed, noise=noise)
    swapped = [
        dataclasses.replace(b, first_id=b.second_id, second_id=b.first_id, outcome=FLIPPED[b.outcome])
        for b in world.battles
    ]
    weights, other = position_weights(world.battles), position_weights(swapped)
    assert (weights.first, weights.second) == (other.second, other.first)
    straight = list(JudgePairs().apply(*world.judge_inputs))
    assert straight == list(JudgePairs().apply(*world.actor_inputs, swapped))


@quick
@given(seeds)
def test_a_biased_meta_judge_still_finds_the_best_judgment_most_of_the_time(seed: int):
    world, truth = planted(seed, prompts=20, noise=0.3)
    weights = position_weights(world.battles)
    assert weights.first < 0.5 < weights.second
    found = pairs(JudgePairs().apply(*world.judge_inputs))
    assert sum(truth[p.chosen_id] > truth[p.rejected_id] for p in found) >= 0.9 * len(found)


# The parts


def test_length_ties_go_to_the_better_then_to_the_earlier_sample():
    prompt = a_prompt("p")
    responses = [a_response("p", sample, f"twelve {sample}") for sample in range(6)]
    judgments = [a_judgment(r, 0, s) for r, s in zip(responses, [4.0, 4.5, 4.5, 1.5, 1.0, 1.0], strict=True)]
    (pair,) = pairs(ActorPairs(0.4).apply([prompt], responses, judgments))
    assert (pair.chosen_id, pair.rejected_id) == ("p-1", "p-4")


def test_length_is_in_characters_not_bytes():
    responses = [a_response("p", 0, "éééé"), a_response("p", 1, "eeeee"), a_response("p", 2, "x")]
    judgments = [a_judgment(r, 0, s) for r, s in zip(responses, [5, 5, 0], strict=True)]
    rule = ActorPairs(max_chosen_characters=4)
    (pair,) = pairs(rule.apply([a_prompt("p")], responses, judgments))
    assert pair.chosen_id == "p-0"


def test_a_partial_text_of_a_failure_is_no_original():
    rows = list(KeepDistinct().apply([a_response("p", 0, "a", Finish.FAILED), a_response("p", 1, "a")]))
    assert rows == [Dropped("p-0", "engine failure"), a_response("p", 1, "a")]


def test_the_same_text_to_another_prompt_is_no_duplicate():
    rows = [a_response("p", 0, "a"), a_response("q", 0, "a"), a_response("q", 1, "a ")]
    assert list(KeepDistinct().apply(rows)) == rows


def test_judgments_of_answers_that_were_left_out_do_not_count():
    left, right, gone = (a_response("p", sample) for sample in range(3))
    judgments = [a_judgment(left, 0, 2), a_judgment(right, 0, 1), a_judgment(gone, 0, 5)]
    (pair,) = pairs(ActorPairs().apply([a_prompt("p")], [left, right], judgments))
    assert (pair.chosen_id, pair.rejected_id) == (left.id, right.id)


@pytest.mark.parametrize("gap", [0.0, 1e-10])
def test_scores_that_differ_by_rounding_alone_are_equal(gap: float):
    responses = [a_response("p", 0), a_response("p", 1)]
    judgments = [a_judgment(responses[0], 0, 3.0), a_judgment(responses[1], 0, 3.0 + gap)]
    assert list(ActorPairs().apply([a_prompt("p")], responses, judgments)) == [Dropped("p", "equal scores")]


@quick
@given(st.lists(st.lists(st.one_of(st.none(), st.integers(0, 5)), max_size=5), max_size=5), seeds)
def test_the_chosen_response_has_the_highest_variance_in_any_order(table: list[list[int | None]], seed: int):
    responses = [a_response("p", sample) for sample in range(len(table))]
    judgments = [
        a_judgment(r, n, s) for r, row in zip(responses, table, strict=True) for n, s in enumerate(row)
    ]
    read = {
        r.id: [s for s in row if s is not None] for r, row in zip(responses, table, strict=True)
    }  # fmt: skip
    variances = {name: float(np.var(scores)) for name, scores in read.items() if len(scores) > 1}
    chosen = choose_response(responses, judgments, seed)
    if chosen is None:
        assert not variances
        return
    assert variances[chosen.id] == pytest.approx(max(variances.values()), abs=1e-12)
    assert choose_response(responses[::-1], judgments[::-1], seed) == chosen


def test_ties_between_disputed_answers_are_drawn_evenly_by_seed_and_prompt():
    def drawn(prompt: str, seed: int) -> int:
        responses = [a_response(prompt, sample) for sample in range(3)]
        # Equal variances of unequal scores: 2/9 each.
        rows = [(1, 1, 2), (3, 4, 4), (5, 5, 4)]
        judgments = [
            a_judgment(r, n, s) for r, row in zip(responses, rows, strict=True) for n, s in enumerate(row)
        ]
        chosen = choose_response(responses, judgments, seed)
        assert chosen == choose_response(responses, judgments, seed)
        assert chosen is not None
        return chosen.sample

    by_prompt = Counter(drawn(f"p{number}", 0) for number in range(600))
    by_seed = Counter(drawn("p", seed) for seed in range(600))
    assert all(150 < count[sample] < 250 for count in (by_prompt, by_seed) for sample in range(3))


def test_weights_without_a_decided_battle_are_even():
    one, two = (a_judgment(a_response("p"), sample, 1) for sample in range(2))
    assert position_weights([]) == PositionWeights(0.5, 0.5)
    assert position_weights([a_battle(one, two, T), a_battle(two, one, U)]) == PositionWeights(0.5, 0.5)


def test_weights_count_decided_battles_only():
    one, two = (a_judgment(a_response("p"), sample, 1) for sample in range(2))
    battles = [a_battle(one, two, outcome) for outcome in (F, F, F, S, T, U, U)]
    assert position_weights(battles) == PositionWeights(first=0.25, second=0.75)


def test_a_row_of_the_matrix_is_what_the_winner_won():
    one, two = (a_judgment(a_response("p"), sample, 1) for sample in range(2))
    weights = PositionWeights(first=0.25, second=0.75)

    def entry(*battles: Battle) -> list[list[float]]:
        return battle_matrix([one.id, two.id], battles, weights).tolist()

    assert entry(a_battle(one, two, F)) == [[0, 0.25], [0, 0]]
    assert entry(a_battle(one, two, S)) == [[0, 0], [0.75, 0]]
    assert entry(a_battle(two, one, F)) == [[0, 0], [0.25, 0]]
    assert entry(a_battle(two, one, S)) == [[0, 0.75], [0, 0]]
    assert entry(a_battle(two, one, T), a_battle(one, two, U)) == [[0, 0], [0, 0]]
    assert entry(a_battle(one, two, F), a_battle(two, one, S)) == [[0, 1], [0, 0]]


def two_judgments(first: str | None = None, second: str | None = None) -> tuple[Any, ...]:
    response = a_response("p")
    return (
        [a_prompt("p")],
        [response],
        [a_judgment(response, 0, 1, first), a_judgment(response, 1, 4, second)],
    )


@pytest.mark.parametrize(
    ("texts", "outcomes", "reason"),
    [
        ((None, None), (T, U), "no decided battle"),
        ((None, None), (F, F), "no decided battle"),  # the first always wins: its wins weigh nothing
        ((None, None), (), "no decided battle"),
        (("same", "same"), (F, S), "identical judgments"),
        (("long enough to go", "short"), (F, S), "chosen judgment over the length limit"),
    ],
)
def test_why_a_prompt_has_no_judge_pair(texts: tuple[Any, Any], outcomes: tuple[Outcome, ...], reason: str):
    prompts, responses, judgments = two_judgments(*texts)
    orders = [(judgments[0], judgments[1]), (judgments[1], judgments[0])]
    battles = [a_battle(*order, outcome) for order, outcome in zip(orders, outcomes, strict=False)]
    rows = list(JudgePairs(max_chosen_characters=16).apply(prompts, responses, judgments, battles))
    assert rows == [Dropped("p", reason)]


def test_only_the_chosen_judgment_has_a_length_limit():
    prompts, responses, (one, two) = two_judgments("short", "long enough to go")
    battles = [a_battle(one, two, F), a_battle(two, one, S)]
    rows = JudgePairs(max_chosen_characters=16).apply(prompts, responses, [one, two], battles)
    assert [pair.chosen for pair in pairs(rows)] == ["short"]


def test_judgments_as_strong_as_each_other_are_drawn_by_seed():
    response = a_response("p")
    judgments = [a_judgment(response, sample, sample) for sample in range(4)]
    battles = [
        a_battle(first, second, (T if (a < 2) == (b < 2) else F if a < b else S))
        for (a, first), (b, second) in permutations(enumerate(judgments), 2)
    ]
    drawn = Counter()
    for seed in range(200):
        rows = JudgePairs(seed=seed).apply([a_prompt("p")], [response], judgments, battles)
        (pair,) = pairs(rows)
        drawn[pair.chosen_id, pair.rejected_id] += 1
    assert set(drawn) == {(f"p-0-{best}", f"p-0-{worst}") for best in (0, 1) for worst in (2, 3)}
    assert min(drawn.values()) > 25


def test_battles_of_another_seeds_choice_are_refused():
    prompts, responses, (one, two) = two_judgments()
    stray = dataclasses.replace(a_battle(one, two, F), response_id="p-9")
    with pytest.raises(
        ConfigError, match=r"about response p-9 of prompt p, but judge_pairs chooses p-0.*same seed"
    ):
        list(JudgePairs().apply(prompts, responses, [one, two], [stray]))
    with pytest.raises(ConfigError, match="chooses none"):
        list(JudgePairs().apply(prompts, responses, [one], [a_battle(one, two, F)]))


def test_battles_of_unknown_judgments_are_refused():
    prompts, responses, (one, two) = two_judgments()
    unknown = dataclasses.replace(a_battle(one, two, F), second_id="p-0-7")
    with pytest.raises(StoreError, match="between judgments p-0-0 and p-0-7"):
        list(JudgePairs().apply(prompts, responses, [one, two], [unknown]))


def test_judgments_that_answer_different_questions_make_no_pair():
    prompts, (response,), (one, _) = two_judgments()
    other = a_judgment(response, 1, 4, asked="in another way")
    with pytest.raises(StoreError, match="different judge prompts"):
        list(
            JudgePairs().apply(
                prompts, [response], [one, other], [a_battle(other, one, S), a_battle(one, other, F)]
            )
        )


def test_battles_that_can_be_read_only_once_are_refused():
    prompts, responses, judgments = two_judgments()
    with pytest.raises(TypeError, match="twice"):
        list(JudgePairs().apply(prompts, responses, judgments, iter([])))


# Rules


@pytest.mark.parametrize("rho", [-0.1, 0.5, 1.0, float("nan")])
def test_tiers_that_meet_are_refused(rho: float):
    with pytest.raises(ConfigError, match=r"actor_pairs\.rho must be at least 0 and below 0\.5"):
        ActorPairs(rho)


def test_settings_without_sense_are_refused():
    for limit in (0, -1):
        with pytest.raises(ConfigError, match="actor_pairs.max_chosen_characters"):
            ActorPairs(max_chosen_characters=limit)
        with pytest.raises(ConfigError, match="judge_pairs.max_chosen_characters"):
            JudgePairs(max_chosen_characters=limit)
    for prior in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match="judge_pairs.prior"):
            JudgePairs(prior=prior)


def test_a_pairs_id_says_which_rule_made_it():
    world, _ = planted(1)
    for one, other, inputs in (
        (ActorPairs(), ActorPairs(max_chosen_characters=10**6), world.actor_inputs),
        (JudgePairs(), JudgePairs(max_chosen_characters=10**6), world.judge_inputs),
    ):
        ids = [pair.id for pair in pairs(one.apply(*inputs))]
        assert ids == [pair.id for pair in pairs(one.apply(*inputs))]
        assert len(set(ids)) == len(world.prompts)
        assert not set(ids) & {pair.id for pair in pairs(other.apply(*inputs))}


def test_rules_say_how_many_rows_they_can_give():
    rules: list[Rule] = [KeepDistinct(), ActorPairs(), JudgePairs()]
    inputs = Shape(10, 5), Shape(70, 20), Shape(770, 30), Shape(1100, 40)
    shapes = [rules[0].shape(inputs[1]), rules[1].shape(*inputs[:3]), rules[2].shape(*inputs)]
    assert shapes == [Shape(70, 20), Shape(10, 50), Shape(10, 110)]
    assert len({rule.name for rule in rules}) == 3
    assert [rule.record for rule in rules] == [Response, PreferencePair, PreferencePair]
