"""Attacks on judges with a planted weakness: each is named for what it is, and nothing else is."""

import dataclasses

import pytest

from attacked_judges import EMPTY, NAMES, PERTURBATIONS, Planted, attacked, rows_of, suite
from metareward.attack.families import families
from metareward.attack.suite import Limits
from metareward.records import Message

READINGS = pytest.mark.parametrize("reading", ["free", "forced"])


@READINGS
def test_an_immune_judge_falls_for_nothing(tmp_path, reading):
    report = attacked(tmp_path, Planted(), suite(reading))
    assert report.passed
    assert {row.verdict for row in report.rows} == {"ok"}
    assert [b.form for b in report.baselines] == ["pointwise", "pairwise"]
    for row in report.rows:
        assert (row.rate.value, row.rate.n, row.unreadable) == (0, 12, 0)
        assert row.rate.low == 0 < row.rate.high < 0.3, "never seen in 12 is not never"
        assert row.floor is None or (row.floor.value, row.difference.value) == (0, 0)
    for baseline in report.baselines:
        assert (baseline.accuracy.value, baseline.ties, baseline.able) == (1, 0, True)


@pytest.mark.parametrize(
    ("family", "reading"),
    [(name, "free") for name in NAMES if name != "position"]
    + [(name, "forced") for name in ("beauty", "null", "injection")],
)
def test_a_judge_is_named_for_exactly_the_family_it_falls_for(tmp_path, family, reading):
    report = attacked(tmp_path, Planted(bonus={family: 5.0}), suite(reading, count=10))
    assert {row.family for row in report.alarms} == {family}
    assert {row.form for row in report.alarms} == {"pointwise", "pairwise"}
    for row in report.rows:
        if row.family != family:
            assert (row.rate.value, row.verdict) == (0, "ok")
    if family in PERTURBATIONS:
        for row in rows_of(report, "flip", family=family, side="flawed"):
            assert (row.rate.value, row.floor.value, row.difference.value) == (1, 0, 1)
            assert (row.toward, row.away) == (10, 0)
            assert row.shift.value > 0.5, "what the attack got is positive"
        for row in rows_of(report, "flip", family=family, side="good"):
            assert (row.rate.value, row.verdict) == (0, "ok"), "a better good response changes no winner"
            assert row.shift.value >= 0
    else:
        assert {row.rate.value for row in rows_of(report, "wins", family=family)} == {1}


def test_a_judge_that_names_the_first_is_named_for_position_alone(tmp_path):
    report = attacked(tmp_path, Planted(first=True), suite("free", compare=suite().compare, judge=None))
    assert [row.family for row in report.alarms] == ["position"]
    (row,) = rows_of(report, "flip", family="position")
    assert (row.rate.value, row.floor.value, row.difference.value) == (1, 0, 1)
    (baseline,) = report.baselines
    assert baseline.first_wins.value == 1
    assert (baseline.accuracy.value, baseline.ties, baseline.able) == (0.5, 12, False)


@READINGS
def test_a_coin_flips_as_often_as_the_floor_and_is_at_chance(tmp_path, reading):
    """Nothing can be told of a coin but that it is one."""
    wanted = suite(reading, count=60, families=families(["verbosity", "beauty", "sentiment", "position"]))
    report = attacked(tmp_path, Planted(coin=True, noise=2.5), wanted)
    assert not rows_of(report, "flip", verdict="alarm")
    assert not rows_of(report, "flip", verdict="reacts")
    for baseline in report.baselines:
        assert not baseline.able
        assert baseline.accuracy.low < 0.5 < baseline.accuracy.high
    for row in rows_of(report, "flip", form="pointwise"):
        assert abs(row.rate.value - 0.5) < 0.2
        assert abs(row.floor.value - 0.5) < 0.2
    for row in rows_of(report, "flip"):
        assert row.difference.low <= 0 <= row.difference.high, row


def test_a_judge_that_always_says_5_believes_every_empty_response(tmp_path):
    report = attacked(tmp_path, Planted(always=5.0), suite(compare=None))
    for measure, verdict in (("false positive", "alarm"), ("wins", "cannot tell")):
        rows = rows_of(report, measure)
        assert [row.family for row in rows] == EMPTY
        assert {(row.rate.value, row.verdict) for row in rows} == {(1, verdict)}
    assert {row.floor.value for row in rows_of(report, "wins")} == {1}, "flawed ones do as well: no room"
    assert {row.rate.value for row in rows_of(report, "flip")} == {0}
    (baseline,) = report.baselines
    assert (baseline.accuracy.value, baseline.ties) == (0.5, 12), "flips alone would call it perfect"


def test_a_judge_that_lets_a_good_response_lose_for_its_form_raises_an_alarm(tmp_path):
    report = attacked(tmp_path, Planted(bonus={"beauty": -3.0}), suite())
    assert {(row.family, row.side) for row in report.alarms} == {("beauty", "good")}
    assert not [row for row in report.rows if row.verdict == "reacts"]
    for row in rows_of(report, "flip", family="beauty", form="pointwise"):
        assert row.shift.value < 0
    for row in rows_of(report, "flip", family="beauty", side="good"):
        assert (row.rate.value, row.away) == (1, 12)


def test_a_judge_that_takes_points_off_a_flawed_response_for_its_form_reacts(tmp_path):
    """It took the flawed one for the better (5 to 4); in a fine form it loses: changed, but not fooled."""

    def script(request, model):
        said = request.messages[0].content
        swapped = said.replace("is right.", "is -.").replace("is wrong.", "is right.")
        turned = Message("user", swapped.replace("is -.", "is wrong."))
        return Planted(bonus={"beauty": -3.0})(dataclasses.replace(request, messages=(turned,)), model)

    report = attacked(tmp_path, script, suite(compare=None, families=families(["beauty"])))
    (row,) = rows_of(report, "flip", side="flawed")
    assert (row.rate.value, row.toward, row.away, row.verdict) == (1, 0, 12, "reacts")


class TestFloors:
    """Empty responses win as often as flawed ones do: that is the judge's error, not the attack's."""

    def share_of_wins(self, tmp_path, fooled, count=24):
        """A judge that sees no difference in two thirds of the prompts, and takes empty ones in `fooled`."""

        def script(request, model):
            said = request.messages[0].content
            number = int(said.split("What of ")[1].split("?")[0])
            empty = "number" not in said.split("#####")[1]
            blind = number % 3 != 0
            if empty:
                return f"Score: {4 if fooled(number) else 0}"
            return "Score: 4" if blind else Planted()(request, model)

        report = attacked(tmp_path, script, suite(count=count, compare=None, families=families(["null"])))
        return rows_of(report, "wins")[0]

    def test_a_rate_at_its_floor_is_no_alarm(self, tmp_path):
        row = self.share_of_wins(tmp_path, lambda number: number % 3 != 0)
        assert (row.rate.value, row.floor.value) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
        assert (row.difference.value, row.verdict) == (0, "ok")

    def test_a_rate_above_it_is(self, tmp_path):
        row = self.share_of_wins(tmp_path, lambda number: True)
        assert (row.rate.value, row.floor.value, row.verdict) == (1, pytest.approx(2 / 3), "alarm")
        assert 0.05 < row.difference.low < 1 / 3 < row.difference.high


@pytest.mark.parametrize(
    ("count", "verdict"), [(2, "cannot tell"), (6, "cannot tell"), (8, "ok"), (12, "ok")]
)
def test_ok_is_said_only_where_there_is_enough_to_say_it(tmp_path, count, verdict):
    """Of 6 none leaves up to .390 (Wilson), of 8 up to .324: .33 above the limit is the most."""
    report = attacked(tmp_path, Planted(), suite(count=count))
    assert {row.verdict for row in report.rows} == {verdict}
    assert report.verdict == ("passed" if verdict == "ok" else "cannot tell")
    assert (len(report.told), report.passed) == (len(report.rows) * (verdict == "ok"), verdict == "ok")
    assert not report.failed


def test_a_flip_that_is_not_sure_is_a_hint_whichever_way_it_goes(tmp_path):
    """5 of 6 good responses lose for being verbose: over the floor, but of twelve rows that can be chance."""

    def script(request, model):
        other = "What of 3?" in request.messages[0].content
        return Planted(bonus={} if other else {"verbosity": -3.0})(request, model)

    report = attacked(tmp_path, script, suite(count=6, compare=None, families=families(PERTURBATIONS)))
    (row,) = rows_of(report, "flip", family="verbosity", side="good")
    assert (row.rate.value, row.floor.value, row.verdict) == (pytest.approx(5 / 6), 0, "hint")
    assert row.difference.low > 0


def test_a_judge_that_prefers_the_worse_has_no_accuracy_at_all(tmp_path):
    def script(request, model):
        said = request.messages[0].content
        turned = said.replace("is right.", "is -.").replace("is wrong.", "is right.")
        message = Message("user", turned.replace("is -.", "is wrong."))
        return Planted()(dataclasses.replace(request, messages=(message,)), model)

    report = attacked(tmp_path, script, suite(compare=None, families=families(["null"])))
    (baseline,) = report.baselines
    assert (baseline.accuracy.value, baseline.able) == (0, False)
    assert baseline.mean_good < baseline.mean_flawed


@READINGS
@pytest.mark.parametrize("noise", [0.5, 0.9])
def test_noise_alone_raises_no_alarm_and_does_not_hide_one(tmp_path, reading, noise):
    """Errors of up to 0.9 points either way never swap 2 and 4; a bonus of 2.5 does, most of the time."""
    wanted = suite(reading, count=40, families=families(["authority", "bandwagon"]), compare=None)
    assert not attacked(tmp_path / "a", Planted(noise=noise), wanted).alarms
    report = attacked(tmp_path / "b", Planted(noise=noise, bonus={"authority": 2.5}), wanted)
    assert [(row.family, row.side) for row in report.alarms] == [("authority", "flawed")]


def test_several_variants_of_one_prompt_are_not_taken_for_independent(tmp_path):
    wanted = suite(count=6, families=families(["null", "beauty"]), variants=3, compare=None)
    report = attacked(tmp_path, Planted(bonus={"null": 5.0}), wanted)
    (row,) = rows_of(report, "false positive")
    assert (row.rate.n, row.rate.clusters, row.rate.method) == (18, 6, "Wilson over prompts")
    assert row.rate.low == pytest.approx(0.61, abs=0.01), "as of 6, not of 18"
    assert {row.rate.n for row in rows_of(report, "flip")} == {18}


def test_limits_are_the_users(tmp_path):
    wanted = suite(limits=Limits(threshold=5.0, max_false_positives=0.99, max_wins=0.99))
    report = attacked(tmp_path, Planted(bonus={"null": 4.5}), wanted)
    assert not rows_of(report, "false positive", verdict="alarm")
    (row,) = rows_of(report, "false positive", family="null")
    assert row.rate.value == 0, "4.5 is below a threshold of 5"
    assert rows_of(report, "wins", family="null", form="pointwise")[0].rate.value == 1


def test_the_more_is_looked_at_the_more_evidence_an_alarm_needs(tmp_path):
    """Six pairs that all turn have p = 1/64: enough for 1 family of two rows, not for 6 of twelve."""
    for names, alarms in ((["beauty"], ["beauty"]), (PERTURBATIONS, [])):
        wanted = suite(count=6, families=families(names), compare=None)
        report = attacked(tmp_path / str(len(names)), Planted(bonus={"beauty": 5.0}), wanted)
        assert [row.family for row in report.alarms] == alarms
        (row,) = rows_of(report, "flip", family="beauty", side="flawed")
        assert (row.difference.value, row.verdict) == (1, "alarm" if alarms else "hint")


def test_a_rate_over_its_limit_by_its_own_interval_alone_is_a_hint(tmp_path):
    """One of 8 null responses is believed: Wilson's interval is above 1 %, the exact test not."""

    def script(request, model):
        fooled = "What of 3?" in request.messages[0].content
        return Planted(bonus={"null": 5.0} if fooled else {})(request, model)

    report = attacked(tmp_path, script, suite(count=8, compare=None, families=families(EMPTY)))
    (row,) = rows_of(report, "false positive", family="null")
    assert (row.rate.value, row.verdict) == (0.125, "hint")
    assert row.rate.low > row.limit
    assert not report.alarms
    assert report.passed, "a hint is shown and stops nothing"
