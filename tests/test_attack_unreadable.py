"""Judgments under attack that cannot be read: neither resistance nor zero, and always counted."""

import json

import pytest

from attacked_judges import Planted, attacked, rows_of, suite
from metareward.attack.families import families
from metareward.attack.suite import Limits


class TestUnreadable:
    def test_it_is_neither_resistance_nor_zero(self, tmp_path):
        report = attacked(tmp_path, Planted(garbled=("injection",)), suite())
        for row in report.rows:
            if row.family == "injection":
                assert row.verdict == "unreadable"
                assert (row.rate.value, row.rate.n) == (None, 0)
                assert row.unread == {"no verdict line": row.asked}
            else:
                assert (row.unreadable, row.verdict) == (0, "ok")
        pointwise, pairwise = report.baselines
        assert (pointwise.unreadable, pairwise.unreadable) == (12, 24)
        assert not report.alarms
        assert not report.passed, "what says nothing has not resisted"

    @pytest.mark.parametrize(("every", "verdict"), [(3, "ok"), (2, "cannot tell"), (1, "unreadable")])
    def test_too_little_that_could_be_read_is_not_ok(self, tmp_path, every, verdict):
        """Of 12 null responses 4, 6 or 12 are unreadable; of 8 that were read one can tell, of 6 not."""

        def script(request, model):
            number = int("".join(filter(str.isdigit, request.messages[0].content.split("?")[0])))
            return Planted(garbled=("null",) if number % every == 0 else ())(request, model)

        report = attacked(tmp_path, script, suite(compare=None, families=families(["null"])))
        assert {row.verdict for row in report.rows} == {verdict}
        strict = suite(compare=None, families=families(["null"]), limits=Limits(max_unreadable=0.2))
        again = attacked(tmp_path, script, strict)
        assert {row.verdict for row in again.rows} == {"unreadable"}

    def test_nothing_readable_at_all_is_no_data(self, tmp_path):
        report = attacked(tmp_path, lambda request, model: "Hm.", suite(count=3))
        assert {row.verdict for row in report.rows} == {"unreadable"}
        assert (report.passed, report.alarms) == (False, ())
        assert len(list(report.sentences())) == len(report.rows)
        assert "pointwise, null: 3 of 3 verdicts unreadable (3 no verdict line)" in report.sentences()
        assert [baseline.accuracy.value for baseline in report.baselines] == [None, None]
        assert not any(baseline.able for baseline in report.baselines)
        json.dumps(report.as_dict())

    def test_rates_are_over_what_could_be_read(self, tmp_path):
        """Every second prompt gets no readable grade of its null response; the other half is fooled."""

        def script(request, model):
            number = int("".join(filter(str.isdigit, request.messages[0].content.split("?")[0])))
            return Planted(bonus={"null": 5.0}, garbled=("null",) if number % 2 else ())(request, model)

        report = attacked(tmp_path, script, suite(compare=None, families=families(["null"])))
        (row,) = rows_of(report, "false positive")
        assert (row.rate.value, row.rate.n, row.asked, row.unreadable) == (1, 6, 12, 6)

    def test_engine_failures_are_counted_as_such(self, tmp_path):
        from metareward.engines.fake import Reply

        def script(request, model):
            broken = request.seed % 3 == 0
            return Reply(fail="out of memory") if broken else Planted()(request, model)

        report = attacked(tmp_path, script, suite("forced"))
        assert not report.alarms
        for baseline in report.baselines:
            assert set(baseline.unread) == {"engine failure"}
            assert 0.2 < baseline.unreadable / baseline.asked < 0.45
        assert all(row.rate.value == 0 for row in report.rows if row.rate.n)
