"""Nothing is lost without a reason: what goes into a rule, and what becomes of it, add up everywhere."""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import loops
import planted
from metareward import summary
from metareward.engines.base import Request
from metareward.engines.fake import Reply
from metareward.history import Beside
from metareward.ids import seed_of
from metareward.recipes import accounts
from metareward.recipes.judge_gate import JudgeGate
from metareward.recipes.settings import Iteration
from metareward.records import Battle, Dropped, Finish, Judgment, Outcome
from metareward.stages.anchors import AnchoredPairs
from metareward.stages.auto_rho import AutoRho
from metareward.stages.cap import OVER
from metareward.stages.consistency import Consistent
from metareward.stages.pair import ActorPairs, KeepDistinct
from metareward.stages.pair_judge import JudgePairs
from pairing_worlds import World, a_battle, a_judgment, worlds


def adds_up(account: dict[str, Any]) -> bool:
    return account["given"] == account["kept"] + sum(account["left_out"].values())


def others(world: World, who: str) -> tuple[list, list]:
    """The world's rows as another model's."""
    responses = [dataclasses.replace(r, id=f"{who} {r.id}", text=f"{r.text}{who}") for r in world.responses]
    judgments = [
        dataclasses.replace(j, response_id=f"{who} {j.response_id}", score=j.score and 5 - j.score)
        for j in world.judgments
    ]
    return responses, judgments


def rules(world: World, limit: int | None) -> Iterator[tuple[Any, tuple[Any, ...], Iterable[Any]]]:
    """Every rule of every recipe, its inputs, and its subjects."""
    actor: tuple[Any, ...] = world.actor_inputs
    anchored = (*actor, *others(world, "past"), *others(world, "future"))
    yield KeepDistinct(), (world.responses,), world.responses
    for rho in (0.0, 0.4):
        for rule, inputs in ((ActorPairs(rho, limit), actor), (AnchoredPairs(rho, limit), anchored)):
            yield rule, inputs, world.prompts
            yield AutoRho(rule, target=-2), inputs, world.prompts
            for per in ("iteration", "prompt"):
                yield Consistent(AutoRho(rule), per), (world.judgments, *inputs), world.prompts
                yield Consistent(rule, per), ([], *inputs), world.prompts
    yield AnchoredPairs(0.0, limit), (*actor, *others(world, "past")), world.prompts
    yield JudgePairs(max_chosen_characters=limit), world.judge_inputs, world.prompts


@settings(max_examples=60, deadline=None)
@given(worlds(), st.sampled_from([None, 8]))
def test_every_subject_of_every_rule_is_a_row_or_dropped_for_a_reason(world: World, limit: int | None):
    for rule, inputs, subjects in rules(world, limit):
        rows = list(rule.apply(*inputs))
        dropped = Counter(row.reason for row in rows if isinstance(row, Dropped))
        kept = [row for row in rows if not isinstance(row, Dropped)]
        assert len(kept) + dropped.total() == len(list(subjects)), rule
        named = [
            row.subject_id if isinstance(row, Dropped) else getattr(row, "prompt_id", row.id) for row in rows
        ]
        if not isinstance(rule, KeepDistinct):
            assert named == [subject.id for subject in subjects], "each once, in order"
        assert all(reason and reason == reason.strip() for reason in dropped)


outcomes = st.lists(st.tuples(st.sampled_from([*Outcome]), st.booleans()), max_size=30)


@given(outcomes)
def test_battles_are_decided_tied_unreadable_or_failed(rows):
    one, other = (a_judgment(loops_response(), sample, 3.0) for sample in range(2))
    battles: list[Battle] = []
    for outcome, fails in rows:
        battle = a_battle(one, other, Outcome.UNREADABLE if fails else outcome)
        battles.append(dataclasses.replace(battle, finish=Finish.FAILED if fails else Finish.STOP))
    account = accounts.battles(battles)
    assert adds_up(account)
    assert account["given"] == len(rows)
    assert account["left_out"].get("engine failure", 0) == sum(fails for _, fails in rows)
    said = Counter(outcome for outcome, fails in rows if not fails)
    assert account["kept"] == said[Outcome.FIRST] + said[Outcome.SECOND]
    assert account["left_out"].get("tie", 0) == said[Outcome.TIE]
    assert account["left_out"].get("unreadable", 0) == said[Outcome.UNREADABLE]


@given(st.lists(st.sampled_from([None, 0.0, 3.0]), max_size=20))
def test_a_score_of_zero_is_read_and_an_unreadable_one_is_not_zero(scores):
    rows: list[Judgment] = [a_judgment(loops_response(), n, score) for n, score in enumerate(scores)]
    account = accounts.judgments(rows)
    assert adds_up(account)
    assert account["kept"] == sum(score is not None for score in scores)


def loops_response():
    from pairing_worlds import a_response

    return a_response("p")


# Whole loops in which things go wrong


def troubled(request: Request, model) -> Reply | str:
    """A world in which some answers are blank, twins, or without a verdict, and some battles are ties."""
    fate = seed_of("fate", request.id) % 10
    if request.step == "generate":
        return "" if fate == 0 else "An answer of quality 3." if fate < 4 else planted.World()(request, model)
    if request.step == "judge" and fate < 2:
        return "I would rather not say."
    if request.step == "meta_judge" and fate < 3:
        return "Winner: tie" if fate else "Who can tell?"
    return planted.World()(request, model)


def failing(request: Request) -> bool:
    return seed_of("fail", request.id) % 12 == 0


def steps_of(other: Beside) -> list[tuple[str, str]]:
    """The accounts that another model's part in an iteration has."""
    wrote = ["keep_distinct"] if other.answers is not None else []
    return [(other.name, step) for step in (*wrote, "judge", *("actor_pairs" for _ in other.pairs))]


# In the first the cap leaves judge pairs out or weighs them; in the second all of them are over the limit.
FIRST = Iteration(rho="auto", max_response_characters=60, max_judge_share=0.15)
SECOND = Iteration(rho=0.3, max_response_characters=60, max_judgment_characters=24)
SHARES = [(name, "sampling") for name in sorted(loops.RECIPES)]
SHARES += [("meta_rewarding", "weight"), ("combined", "weight")]


@pytest.mark.parametrize(("name", "by"), SHARES)
def test_all_accounts_of_a_troubled_loop_add_up(tmp_path, name, by):
    small = loops.RECIPES[name][1]()
    iterations = (dataclasses.replace(FIRST, judge_share_by=by), SECOND)
    changes: dict[str, Any] = {"iterations": iterations}
    if hasattr(small, "judge_gate"):
        changes["judge_gate"] = JudgeGate()
    small = dataclasses.replace(small, **changes)
    asked = loops.Asked(troubled, fail=failing)
    run, _ = loops.loop(tmp_path, asked, name, small, prompts=20)
    entries = summary.save(run.history, tmp_path)["iterations"]
    json.dumps(entries, allow_nan=False)
    reasons: Counter[str] = Counter()
    for entry, round in zip(entries, run.history.rounds, strict=True):
        assert all(map(adds_up, entry["accounts"])), [a for a in entry["accounts"] if not adds_up(a)]
        by_step = {account["step"]: account for account in entry["accounts"] if "model" not in account}
        assert by_step["keep_distinct"]["given"] == 20 * small.generate.samples
        assert by_step["judge"]["given"] == by_step["keep_distinct"]["kept"] * small.judge.samples
        assert by_step["actor_pairs"]["given"] == 20
        pairs = (round.training.pairs if round.training else None) or round.pairs
        assert by_step["train"]["given"] == sum(map(len, pairs)) == by_step["train"]["kept"]
        if len(round.pairs) > 1 and round is run.history.rounds[0]:
            share = by_step["cap_judge_pairs" if by == "sampling" else "weigh_judge_pairs"]
            assert share["given"] == by_step["judge_pairs"]["kept"] > 0
            assert entry["judge_share_of_weight"] <= 0.15 + 1e-12
            assert set(share["left_out"]) == ({OVER} if by == "sampling" else set())
            assert by_step["train"]["given"] == by_step["actor_pairs"]["kept"] + share["kept"]
        if round.battles is not None:
            assert by_step["meta_judge"]["given"] == len(list(round.battles))
            assert set(by_step["meta_judge"]["left_out"]) == {"tie", "unreadable", "engine failure"}
        told = [(a["model"], a["step"]) for a in entry["accounts"] if "model" in a]
        assert told == [step for other in round.beside for step in steps_of(other)]
        for account in entry["accounts"]:
            reasons.update(account["left_out"])
    expected = {"engine failure", "empty response", "duplicate response", "no verdict line"}
    assert expected <= set(reasons), "the troubles that were planted are all seen"
