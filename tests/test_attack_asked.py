"""What an attack asks and tells: the floor beside it, nothing twice, its plan, and its report as data."""

import dataclasses
import json

import pytest

import loops
from attacked_judges import EMPTY, MODEL, Planted, attacked, rows_of, suite
from metareward.attack.attack import ask, attack_judge
from metareward.attack.families import families
from metareward.attack.suite import Suite, compared, graded
from metareward.engines.fake import fake
from metareward.paper import Paper
from metareward.run import Run
from metareward.train.fake import FakeTrainer


class TestFloor:
    def test_the_floor_is_asked_with_other_seeds_and_the_same_words(self):
        for battery, stage in (
            (graded(suite()), suite().judge),
            (compared(suite()), suite().compare),
        ):
            family = {case.id: case.family for case in battery.cases}
            asked: dict[str, dict[str, set]] = {"clean": {}, "rerun": {}}
            for question in stage.questions(MODEL, battery.prompts, battery.responses):
                name = next(family[part] for part in question.subject[1:] if part in family)
                if name in asked:
                    messages = question.request.messages[0].content
                    asked[name].setdefault(messages, set()).add(question.request.seed)
            assert asked["clean"].keys() == asked["rerun"].keys()
            assert len(asked["clean"]) == 24
            for words, seeds in asked["clean"].items():
                assert not seeds & asked["rerun"][words]

    def test_a_greedy_judge_has_no_noise(self, tmp_path):
        wanted = suite()
        judge = dataclasses.replace(wanted.judge, temperature=0.0)
        greedy = dataclasses.replace(wanted, judge=judge, compare=None)
        report = attacked(tmp_path, Planted(coin=True, noise=2.5), greedy)
        assert {row.floor.value for row in rows_of(report, "flip")} == {0}

    def test_without_perturbations_nothing_is_asked_twice(self):
        wanted = suite(families=families(EMPTY))
        assert len(graded(wanted).responses) == 12 * (2 + 3)
        assert {case.family for case in compared(wanted).cases} == {"clean", *EMPTY}


class TestRuns:
    def test_an_attack_goes_on_where_it_stopped_and_asks_nothing_twice(self, tmp_path):
        wanted = suite(count=4)
        broken = loops.Asked(Planted(), break_at=30)
        with pytest.raises(KeyboardInterrupt), Run(tmp_path, broken, FakeTrainer()) as run:
            attack_judge(run, MODEL, wanted)
        rest = loops.Asked(Planted())
        with Run(tmp_path, rest, FakeTrainer()) as run:
            report = attack_judge(run, MODEL, wanted)
        assert not {r.id for r in rest.requests} & set(broken.answered)
        assert len(rest.answered) + len(broken.answered) == report.calls
        again = loops.Asked(Planted())
        with Run(tmp_path, again, FakeTrainer()) as run:
            assert attack_judge(run, MODEL, wanted).as_dict() == report.as_dict()
        assert not again.opened

    def test_a_plan_counts_the_calls(self, tmp_path):
        wanted = suite(count=3, samples=2)
        paper = Paper(tmp_path)
        ask(paper, MODEL, wanted)
        planned = {step.step: step.calls for step in paper.steps}
        with Run(tmp_path, fake(Planted()), FakeTrainer()) as run:
            report = attack_judge(run, MODEL, wanted)
        assert planned == {"judge": 3 * (4 + 12 + 3) * 2, "compare": 3 * (2 + 12 + 3) * 2 * 2}
        assert sum(planned.values()) == report.calls

    def test_the_report_is_plain_data(self, tmp_path):
        report = attacked(tmp_path, Planted(bonus={"null": 5.0}), suite(count=12))
        plain = json.loads(json.dumps(report.as_dict()))
        assert plain["alarms"] == list(report.sentences())
        assert len(plain["alarms"]) == 3
        assert (
            "pointwise, null: 100 % [76, 100] of 12 of its responses reach the threshold" in plain["alarms"]
        )
        assert plain["rows"][0]["rate"]["n"] == 12
        assert plain["limits"]["threshold"] == 4.0


def test_a_suite_needs_a_form_and_items():
    from metareward.errors import ConfigError

    with pytest.raises(ConfigError, match=r"attack\.form"):
        Suite(judge=None, compare=None)
    with pytest.raises(ConfigError, match=r"attack\.items"):
        Suite(items=())
