"""Judge training that the judge gate ends for the rest of a run: no battles, no judge pairs, all counted."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

import loops
import planted
from biased_judges import Biased
from metareward import config, summary
from metareward.cli.render_gates import gate_rows
from metareward.errors import ConfigError, StepError
from metareward.events import Noticed
from metareward.history import Gated, History
from metareward.paper import Paper
from metareward.recipes.gate import Gate
from metareward.recipes.judge_gate import LEFT_OUT, GateReport, JudgeGate
from metareward.recipes.settings import Iteration, Watch
from metareward.records import Role
from metareward.stages.judge import Judge
from metareward.stages.meta_judge import MetaJudge

TO_HIGHER = Biased(higher=0.95)
BOTH = Iteration(rho=0.2)
JUDGE_ONLY = Iteration(roles=(Role.JUDGE,))
ALIKE = JudgeGate(max_alike=0.8, stop_judge_when=("alike",))
RECIPES = ("meta_rewarding", "combined")
SAME_WORDS = "The answer says what was asked for in plain words and there is nothing more to say of it here"


class AlikeLater(Biased):
    """From the second model on a judge writes the same judgment of a response, but for a mark at its end.

    So battles are decided by the mark alone, which is a draw: there is nothing else to tell apart.
    """

    def __call__(self, request, model):
        if request.step == "judge" and model.fingerprint != loops.START.fingerprint:
            return self.same(request)
        return Biased.__call__(self, request, model)

    def same(self, request):
        quality = int((planted.QUALITY.findall(request.messages[-1].content) or ["0"])[-1])
        return f"{SAME_WORDS}, mark {request.seed % 10_000}.\nScore: {min(quality, 5)}"


def small(name: str, gate: JudgeGate = ALIKE, iterations: Any = (BOTH,) * 3, **changes: Any) -> Any:
    made = loops.RECIPES[name][1]()
    judge, meta = Judge(samples=4), MetaJudge(reading=made.meta_judge.reading)
    own = {"judge": judge, "meta_judge": meta, "judge_gate": gate, "iterations": tuple(iterations)}
    return dataclasses.replace(made, **(own | changes))


def looped(directory: Any, name: str, settings: Any, world: Any = None, **given: Any) -> tuple[Any, Any]:
    asked = loops.Asked(world or AlikeLater())
    run, _ = loops.loop(directory, asked, name, settings, prompts=12, **given)
    return run, asked


def plan(directory: Any, name: str, settings: Any) -> list[Any]:
    count = len(settings.iterations)
    many, paper = planted.prompts(12 * count + 2), Paper(directory)
    batches = [paper.prompts(many[2 + t * 12 :][:12]) for t in range(count)]
    loops.RECIPES[name][0](paper, loops.START, batches, settings, paper.prompts(many[:2]))
    return paper.steps


def names(run: Any) -> list[list[str]]:
    return [[rows.manifest.name for rows in round.pairs] for round in run.history.rounds]


def actions(run: Any) -> list[tuple[int, str]]:
    return [(gate.iteration, gate.action) for gate in run.history.judge_gates]


def noticed(heard: Any) -> list[str]:
    return [event.message for event in heard if isinstance(event, Noticed)]


@dataclasses.dataclass
class Whole:
    """A finished loop of three iterations, in the second of which judgments have become alike."""

    name: str
    directory: Path
    planned: list[Any]
    run: Any
    asked: loops.Asked
    heard: loops.Heard


@pytest.fixture(scope="module", params=RECIPES)
def whole(request, tmp_path_factory) -> Whole:
    name, directory, heard = request.param, tmp_path_factory.mktemp("whole"), loops.Heard()
    planned = plan(directory, name, small(name))
    run, asked = looped(directory, name, small(name), listen=heard)
    return Whole(name, directory, planned, run, asked, heard)


class TestAlikeJudgments:
    def test_judge_training_ends_where_judgments_become_alike(self, whole):
        run, asked, heard = whole.run, whole.asked, whole.heard
        assert actions(run) == [(0, "none"), (1, "stop judge")]
        first, second = (gate.report.as_dict()["alike"] for gate in run.history.judge_gates)
        assert first["value"] < 0.5 < 0.8 < second["lower"]
        assert [list_[1:] for list_ in names(run)] == [["judge_pairs"], [], []]
        assert all(list_[:1] == ["actor_pairs"] for list_ in names(run)), "the actor is trained throughout"
        assert [round.battles is not None for round in run.history.rounds] == [True, True, False]
        last = {answer.id for answer in run.history.rounds[2].responses}
        assert last
        held_out = {row.id for look in run.history.looks for row in look.battles}
        fought = {battle.id for round in run.history.rounds[:2] for battle in round.battles}
        assert {r.id for r in asked.requests if r.step == "meta_judge"} <= held_out | fought
        (said,) = [message for message in noticed(heard) if "judge gate" in message]
        assert re.search(r"9\d % \[9\d, 9\d\] of what two judgments in battle say is the same", said)
        assert said.endswith("and no judge is trained in the rest of the run")

    def test_everything_is_counted_and_said(self, whole):
        run = whole.run
        told = summary.save(run.history, whole.directory)
        assert told["judge_stopped"] == 1
        stopped, after = told["iterations"][1:]
        (left_out,) = run.history.rounds[1].left_out
        assert told["judge_gates"][1]["left_out"] == stopped["dropped"][LEFT_OUT] == len(left_out) > 8
        assert (stopped["judge_pairs"], stopped["judge_share_of_weight"]) == (0, 0)
        assert (after["battles"], after["judge_pairs"], after["judge_share_of_weight"]) == (0, 0, 0)
        assert after["trained_pairs"] == after["actor_pairs"] > 8
        assert LEFT_OUT not in after["dropped"]
        for entry in told["iterations"]:
            for account in entry["accounts"]:
                assert account["given"] == account["kept"] + sum(account["left_out"].values())
        assert not {"meta_judge", "judge_pairs"} & {account["step"] for account in after["accounts"]}
        assert dict(gate_rows(told))["judge gate"] == ["passed", "failed, judge stopped", "judge stopped"]

    def test_a_second_session_asks_nothing_and_says_the_same(self, whole):
        run, heard = whole.run, loops.Heard()
        again, asked = looped(whole.directory, whole.name, small(whole.name), listen=heard)
        assert noticed(heard) == noticed(whole.heard)
        assert not asked.opened
        assert [gate.report for gate in again.history.judge_gates] == [
            gate.report for gate in run.history.judge_gates
        ]
        assert actions(again) == actions(run)
        assert loops.everything(again) == loops.everything(run)

    @pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
    def test_a_run_that_was_broken_off_goes_on_as_if_it_had_not_been(self, tmp_path, whole, share):
        settings = small(whole.name)
        broken = loops.Asked(AlikeLater(), break_at=int(share * len(whole.asked.requests)))
        with pytest.raises(KeyboardInterrupt):
            loops.loop(tmp_path, broken, whole.name, settings, prompts=12)
        rest, _ = looped(tmp_path, whole.name, settings)
        assert actions(rest) == actions(whole.run)
        assert loops.everything(rest) == loops.everything(whole.run)

    def test_on_paper_only_what_is_certain_is_left_out(self, whole):
        def battles(steps: list[Any]) -> list[str]:
            return [s.section for s in steps if s.step == "meta_judge" and s.section.startswith("iteration")]

        assert battles(whole.planned) == ["iteration 0", "iteration 1", "iteration 2"]
        after = plan(whole.directory, whole.name, small(whole.name))
        assert battles(after) == ["iteration 0", "iteration 1"]
        assert {step.state for step in after} == {"done"}
        trained = {round.trained.fingerprint for round in whole.run.history.rounds}
        assert trained <= {step.key for step in after if step.step == "train"}
        assert sum(step.calls for step in after) < sum(step.calls for step in whole.planned)

    def test_a_plan_knows_it_before_the_iterations_to_come(self, whole):
        longer = small(whole.name, iterations=(BOTH,) * 4)
        steps = [s for s in plan(whole.directory, whole.name, longer) if s.section == "iteration 3"]
        assert "to do" in {step.state for step in steps}
        assert "meta_judge" not in {step.step for step in steps}


@pytest.mark.parametrize("name", RECIPES)
class TestOtherCourses:
    def test_an_iteration_of_the_judge_alone_is_then_skipped_or_stops_the_run(self, tmp_path, name):
        iterations, heard = (BOTH, BOTH, JUDGE_ONLY, BOTH), loops.Heard()
        run, _ = looped(tmp_path, name, small(name, iterations=iterations), listen=heard)
        assert [round.skipped for round in run.history.rounds] == [False, False, True, False]
        assert "no judge is trained any more and no other pair is left: M2 stays as it is" in noticed(heard)
        assert names(run)[2:] == [[], ["actor_pairs"]]
        told = summary.save(run.history, tmp_path)["iterations"]
        assert told[2]["skipped"]
        assert (told[2]["trained_pairs"], told[2]["judge_share_of_weight"]) == (0, None)
        assert {step.state for step in plan(tmp_path, name, small(name, iterations=iterations))} == {"done"}
        strict = small(name, dataclasses.replace(ALIKE, nothing_left="stop"), iterations)
        with pytest.raises(
            StepError, match=r"iteration 2: no judge is trained any more .* M2 stays as it is"
        ):
            looped(tmp_path, name, strict)

    def test_without_the_list_or_the_limit_the_judge_goes_on(self, tmp_path, name):
        for place, gate in (("off", JudgeGate()), ("warn", JudgeGate(max_alike=0.8))):
            run, _ = looped(tmp_path / place, name, small(name, gate, (BOTH,) * 2))
            assert all("judge_pairs" in list_ for list_ in names(run))
            assert summary.summarise(run.history, tmp_path / place)["judge_stopped"] is None


class TestActions:
    def test_any_failure_ends_judge_training_if_that_is_the_action(self, tmp_path):
        settings = small("meta_rewarding", JudgeGate("stop judge"))
        run, _ = looped(tmp_path, "meta_rewarding", settings, TO_HIGHER)
        assert actions(run) == [(0, "stop judge")]
        assert {signal.name for signal in run.history.judge_gates[0].report.failed} >= {"score_preference"}
        assert names(run) == [["actor_pairs"]] * 3

    def test_a_signal_that_is_not_listed_only_does_what_the_action_says(self, tmp_path):
        """The first model's meta-judge prefers the higher score; then judgments become alike."""

        class OnlyFirst(AlikeLater):
            def __call__(self, request, model):
                if request.step == "meta_judge" and model.fingerprint == loops.START.fingerprint:
                    return TO_HIGHER(request, model)
                return AlikeLater.__call__(self, request, model)

        gate = dataclasses.replace(ALIKE, action="drop judge")
        run, _ = looped(tmp_path, "meta_rewarding", small("meta_rewarding", gate), OnlyFirst())
        assert actions(run) == [(0, "drop judge"), (1, "stop judge")]
        assert [round.battles is not None for round in run.history.rounds] == [True, True, False]

    def test_with_all_battles_between_other_scores_there_is_always_something_to_tell_apart(self, tmp_path):
        settings = small("meta_rewarding", meta_judge=MetaJudge(between="different"))
        run, _ = looped(tmp_path, "meta_rewarding", settings, Biased())
        assert "alike" not in run.history.judge_gates[0].report.as_dict()

    def test_pairs_that_an_attack_left_are_left_out_as_well_and_none_are_made_after(self, tmp_path):
        class Fooled(AlikeLater):
            def judge(self, request):
                empty = "quality" not in request.messages[-1].content
                fooled = empty and request.seed % 2 == 0
                return "Splendid.\nScore: 5" if fooled else Biased.judge(self, request)

        attack = Gate(
            enabled=True,
            harden=True,
            items=loops.PAIRS,
            limit=2,
            samples=4,
            families=("null",),
            max_wins=0.99,
        )
        settings = small("meta_rewarding", JudgeGate("stop judge", max_top_share=0.001), attack=attack)
        run, _ = looped(tmp_path, "meta_rewarding", settings, Fooled())
        assert actions(run) == [(0, "stop judge")]
        first, *later = run.history.rounds
        assert [rows.manifest.name for rows in first.left_out] == ["attack_pairs", "judge_pairs"]
        assert all(len(rows) for rows in first.left_out)
        assert names(run) == [["actor_pairs"]] * 3
        assert not any(round.left_out for round in later)
        told = summary.save(run.history, tmp_path)
        accounts = {one["step"]: one for one in told["iterations"][0]["accounts"]}
        for step, rows in zip(("attack_pairs", "judge_pairs"), first.left_out, strict=True):
            assert accounts[step]["left_out"][LEFT_OUT] == len(rows)
            assert accounts[step]["given"] == sum(accounts[step]["left_out"].values())
        assert told["judge_gates"][0]["left_out"] == sum(map(len, first.left_out))

    def test_a_share_of_judge_pairs_does_not_need_any(self, tmp_path):
        iterations = [
            dataclasses.replace(BOTH, max_judge_share=0.3, judge_share_by=by)
            for by in ("weight", "weight", "weight", "sampling")
        ]
        run, _ = looped(tmp_path, "meta_rewarding", small("meta_rewarding", iterations=iterations))
        shares = [
            entry["judge_share_of_weight"] for entry in summary.summarise(run.history, tmp_path)["iterations"]
        ]
        assert shares == [pytest.approx(0.3), 0, 0, 0]

    def test_held_out_models_are_looked_at_to_the_end(self, tmp_path):
        settings = small("meta_rewarding", watch=Watch(1, 2, bank_prompts=0))
        run, _ = looped(tmp_path, "meta_rewarding", settings)
        assert all(look.battles is not None for look in run.history.looks)
        assert len(run.history.looks) == 4


class TestHistory:
    def gated(self, iteration, action):
        return Gated(iteration, loops.START, action, GateReport(()))

    def test_the_first_stop_is_the_one_that_counts(self):
        history = History()
        assert history.judge_stopped is None
        history.judge_gates += [self.gated(0, "none"), self.gated(1, "drop judge")]
        assert history.judge_stopped is None
        history.judge_gates += [self.gated(2, "stop judge"), self.gated(3, "stop judge")]
        assert history.judge_stopped == 2

    def test_iteration_zero_counts(self):
        assert History(judge_gates=[self.gated(0, "stop judge")]).judge_stopped == 0


class TestConfig:
    def load(self, directory, text):
        path = directory / "c.toml"
        path.write_text(text)
        return config.load(path).method.judge_gate

    @pytest.mark.parametrize("recipe", ["meta_rewarding", "combined"])
    def test_from_a_config(self, tmp_path, recipe):
        gate = self.load(
            tmp_path,
            f'recipe = "{recipe}"\n[judge_gate]\naction = "drop judge"\nmax_alike = 0.8\n'
            'stop_judge_when = ["alike", "bank"]\n',
        )
        assert gate == JudgeGate("drop judge", max_alike=0.8, stop_judge_when=("alike", "bank"))
        assert self.load(tmp_path, '[judge_gate]\naction = "stop judge"').action == "stop judge"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('stop_judge_when = ["likeness"]', "must be names among .*'likeness'"),
            (
                'stop_judge_when = ["alike"]',
                r"judge_gate\.max_alike must be other than 1, at which it is off",
            ),
            ('stop_judge_when = "alike"', r"judge_gate\.stop_judge_when must be a list"),
            ("max_alike = 2.0", r"judge_gate\.max_alike must be between 0 and 1"),
            ('stop_judge = ["alike"]', "did you mean 'stop_judge_when'"),
            ('action = "stop the judge"', r"judge_gate\.action"),
        ],
    )
    def test_mistakes_are_named(self, tmp_path, text, message):
        with pytest.raises(ConfigError, match=message):
            self.load(tmp_path, f"[judge_gate]\n{text}")

    def test_it_is_off_by_default(self):
        gate = JudgeGate()
        assert (gate.max_alike, gate.stop_judge_when, gate.action) == (1.0, (), "warn")
