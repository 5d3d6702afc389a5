"""What the gate's action "equal scores" makes of an iteration whose battles the scores decided."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import loops
from biased_judges import Biased, gated, looped, settings
from metareward import config, summary
from metareward.lab.conditions import CONDITIONS, Budget
from metareward.recipes.judge_gate import EQUAL_SCORES, Action, JudgeGate, hold
from metareward.recipes.judge_gate_action import decided
from metareward.recipes.settings import Iteration
from metareward.records import Battle, Dropped, Role
from metareward.stages.equal_scores import EqualScores
from metareward.stages.matching import stated
from metareward.stages.meta_judge import MetaJudge
from metareward.stats.bootstrap import Estimate

ROOT = Path(__file__).parent.parent
TO_HIGHER = Biased(higher=0.95)
ACTING = gated(EQUAL_SCORES)


def texts(rows: Any) -> list[tuple[str, str, str]]:
    return sorted((pair.prompt_id, pair.chosen, pair.rejected) for pair in rows)


def test_battles_of_one_score_are_kept_and_the_others_say_why(tmp_path: Path) -> None:
    (round,) = looped(tmp_path, TO_HIGHER, settings()).history.rounds
    score = {row.id: stated(row) for row in round.judgments}
    found = list(EqualScores().apply(round.prompts, round.responses, round.judgments, round.battles))
    kept = [row for row in found if isinstance(row, Battle)]
    dropped = {row.subject_id: row.reason for row in found if isinstance(row, Dropped)}
    assert len(kept) + len(dropped) == len(round.battles)
    assert len(kept) >= 20
    assert all(score[row.first_id] == score[row.second_id] for row in kept)
    assert set(dropped.values()) == {"different scores"}
    fought = {row.id: row for row in round.battles}
    assert all(score[fought[name].first_id] != score[fought[name].second_id] for name in dropped)
    assert all(fought[row.id] == row for row in kept)


@pytest.mark.parametrize("reading", ["free", "forced"])
def test_the_pairs_are_those_that_battles_of_equal_scores_alone_would_have_made(
    tmp_path: Path, reading: Any
) -> None:
    acted = looped(tmp_path / "a", TO_HIGHER, settings(reading=reading, judge_gate=JudgeGate(EQUAL_SCORES)))
    same = settings(reading=reading, meta_judge=MetaJudge(reading=reading, between="same"))
    from_the_start = looped(tmp_path / "b", TO_HIGHER, same)
    ours, theirs = (run.history.rounds[0].pairs[1] for run in (acted, from_the_start))
    assert texts(ours) == texts(theirs)
    assert len(texts(ours)) >= 10
    assert [gate.action for gate in acted.history.judge_gates] == [EQUAL_SCORES]


def test_nothing_more_is_asked_and_every_count_adds_up(tmp_path: Path) -> None:
    heard = loops.Heard()
    warned = looped(tmp_path / "a", TO_HIGHER, gated("warn"))
    asked = loops.Asked(TO_HIGHER)
    run, _ = loops.loop(tmp_path / "b", asked, settings=ACTING, prompts=24, listen=heard)
    ours, theirs = ([row.id for row in r.history.rounds[0].battles or ()] for r in (run, warned))
    held_out = {row.id for look in run.history.looks for row in look.battles or ()}
    assert ours == theirs
    assert {r.id for r in asked.requests if r.step == "meta_judge"} == held_out | set(ours)
    told = summary.save(run.history, tmp_path / "b")
    (entry,), (gate,) = told["iterations"], told["judge_gates"]
    (account,) = [account for account in entry["accounts"] if account["step"] == "judge_pairs"]
    assert account["given"] == account["kept"] + sum(account["left_out"].values()) == 24
    assert account["kept"] == entry["judge_pairs"] > 0
    assert (gate["action"], gate["left_out"], gate["passed"]) == (EQUAL_SCORES, 0, False)
    assert any("come of battles between equal scores alone" in str(getattr(e, "message", "")) for e in heard)


def test_where_nothing_fails_nothing_is_done(tmp_path: Path) -> None:
    fair, plain = (
        looped(tmp_path / name, Biased(), wanted) for name, wanted in (("a", ACTING), ("b", settings()))
    )
    assert [gate.action for gate in fair.history.judge_gates] == ["none"]
    assert texts(fair.history.rounds[0].pairs[1]) == texts(plain.history.rounds[0].pairs[1])


def test_an_iteration_of_the_judge_alone_without_equal_scores_leaves_the_model_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EqualScores, "apply", lambda self, *rows: iter(()))
    wanted = settings(judge_gate=JudgeGate(EQUAL_SCORES))
    alone = replace(wanted, iterations=(Iteration(roles=(Role.JUDGE,)),))
    heard = loops.Heard()
    run = looped(tmp_path, TO_HIGHER, alone, listen=heard)
    (round,) = run.history.rounds
    assert round.trained.fingerprint == loops.START.fingerprint
    assert any("no other pair is left" in str(getattr(event, "message", "")) for event in heard)


def test_it_is_sterner_than_a_warning_and_milder_than_leaving_out() -> None:
    high = {"score_preference": Estimate(0.9, 0.85, 0.95, 40)}
    cases: tuple[tuple[Action, tuple[str, ...], str], ...] = (
        ("warn", (), "warn"),
        (EQUAL_SCORES, (), EQUAL_SCORES),
        (EQUAL_SCORES, ("score_preference",), "stop judge"),
        ("drop judge", (), "drop judge"),
    )
    for action, stops, wanted in cases:
        gate = JudgeGate(action, stop_judge_when=stops)
        assert decided(gate, hold(gate, high, ())) == wanted


def test_the_example_is_the_condition_of_the_lab_with_its_own_limit() -> None:
    example: Any = config.load(ROOT / "examples/guarded.toml").method
    condition: Any = CONDITIONS["guarded"].settings(Budget(iterations=1), 0)
    assert example.judge_gate == replace(condition.judge_gate, max_score_margin=1.0)
    assert example.dpo.nll_weight == condition.dpo.nll_weight > 0
    assert example.meta_judge_by == condition.meta_judge_by == "first"
    assert {one.rho for one in (*example.iterations, *condition.iterations)} == {"auto"}
