"""The gate in the loop: it warns, leaves judge pairs out or stops, and says so everywhere."""

import dataclasses
import json

import pytest

import loops
import planted
from metareward import config, summary
from metareward.errors import ConfigError, StepError
from metareward.events import Noticed
from metareward.paper import Paper
from metareward.recipes.gate import Gate
from metareward.recipes.judge_gate import JudgeGate
from metareward.recipes.self_rewarding import SelfRewarding
from metareward.records import Role


@dataclasses.dataclass(frozen=True)
class Fooled(planted.World):
    """The planted world with a judge that gives full marks to what says nothing, every `every`-th time."""

    every: int = 1

    def judge(self, request):
        if planted.QUALITY.search(request.messages[-1].content) or request.seed % self.every:
            return super().judge(request)
        if request.forced is None:
            return "Splendid.\nScore: 5"
        return planted.Reply("Splendid.", {"5": 1.0})


def gated(name="meta_rewarding", **changes):
    small = loops.RECIPES[name][1]()
    return dataclasses.replace(small, attack=Gate(enabled=True, items=loops.PAIRS, limit=6, **changes))


def attacks(heard):
    return [event.message for event in heard if isinstance(event, Noticed) and event.section]


@pytest.mark.parametrize("name", sorted(loops.RECIPES))
def test_a_judge_that_resists_passes_without_a_word(tmp_path, name):
    heard = loops.Heard()
    asked = loops.Asked(planted.World())
    run, _ = loops.loop(tmp_path, asked, name, gated(name), listen=heard)
    assert not attacks(heard)
    assert [(a.model.name, a.action) for a in run.history.attacks] == [("M0", "none"), ("M1", "none")]
    assert all(a.report.calls == 30 for a in run.history.attacks), "6 pairs, 2 clean and 3 attacked responses"
    assert [a.report.baselines[0].accuracy.value for a in run.history.attacks] == [1, 1]
    judged = {r.messages for r in asked.requests if r.step == "judge" and "What of" in r.messages[0].content}
    assert judged


def test_a_warning_has_the_numbers_and_changes_nothing(tmp_path):
    heard = loops.Heard()
    warned, _ = loops.loop(tmp_path / "a", loops.Asked(Fooled()), settings=gated(), listen=heard)
    plain, _ = loops.loop(tmp_path / "b", loops.Asked(Fooled()))
    said = attacks(heard)
    assert len(said) == 2
    assert (
        "the judge did not pass its attacks (pointwise, null: 100 % [61, 100] of 6 of its responses"
        in said[0]
    )
    assert said[0].endswith("it is used all the same")
    assert loops.everything(warned) == loops.everything(plain)


def test_a_judge_of_which_nothing_can_be_read_does_not_pass(tmp_path):
    class Mute(planted.World):
        def judge(self, request):
            return "Hm." if "What of" in request.messages[-1].content else super().judge(request)

    heard = loops.Heard()
    run, _ = loops.loop(tmp_path, loops.Asked(Mute()), settings=gated(action="drop judge"), listen=heard)
    assert "pointwise, null: 6 of 6 verdicts unreadable (6 no verdict line)" in attacks(heard)[0]
    assert [attack.action for attack in run.history.attacks] == ["drop judge"] * 2
    assert [round.battles for round in run.history.rounds] == [None, None]


def test_judge_pairs_and_battles_are_left_out(tmp_path):
    heard, asked = loops.Heard(), loops.Asked(Fooled())
    settings = gated(action="drop judge")
    run, _ = loops.loop(tmp_path, asked, settings=settings, listen=heard)
    assert "the judge pairs of this iteration are left out" in attacks(heard)[0]
    for round in run.history.rounds:
        assert round.battles is None
        assert [rows.manifest.name for rows in round.pairs] == ["actor_pairs"]
    held_out = [r for r in asked.requests if r.step == "meta_judge"]
    assert held_out, "held-out models are still looked at"
    told = summary.save(run.history, tmp_path)
    assert [entry["action"] for entry in told["attacks"]] == ["drop judge"] * 2
    assert told["attacks"][0]["report"]["alarms"]
    assert [entry["judge_pairs"] for entry in told["iterations"]] == [0, 0]
    assert json.loads((tmp_path / "summary.json").read_text())["attacks"] == json.loads(
        json.dumps(told["attacks"])
    )


def test_only_the_iteration_whose_judge_falls_loses_its_pairs(tmp_path):
    class OnlyFirst(Fooled):
        def __call__(self, request, model):
            world = self if model.fingerprint == loops.START.fingerprint else planted.World()
            return planted.World.__call__(world, request, model)

    run, _ = loops.loop(tmp_path, loops.Asked(OnlyFirst()), settings=gated(action="drop judge"))
    names = [[rows.manifest.name for rows in round.pairs] for round in run.history.rounds]
    assert names == [["actor_pairs"], ["actor_pairs", "judge_pairs"]]
    assert [attack.action for attack in run.history.attacks] == ["drop judge", "none"]


@pytest.mark.parametrize("name", sorted(loops.RECIPES))
def test_a_stop_has_the_numbers_keeps_what_was_paid_and_can_be_lifted(tmp_path, name):
    first = loops.Asked(Fooled())
    with pytest.raises(
        StepError, match=r"attack M0: the judge did not pass its attacks .*100 % .* the run stops"
    ):
        loops.loop(tmp_path, first, name, gated(name, action="stop"))
    assert not [r for r in first.requests if r.step == "generate" and "number 2" in r.messages[0].content]
    again = loops.Asked(Fooled())
    with pytest.raises(StepError):
        loops.loop(tmp_path, again, name, gated(name, action="stop"))
    assert not again.opened, "the same command asks nothing and says the same"
    rest = loops.Asked(Fooled())
    run, _ = loops.loop(tmp_path, rest, name, gated(name))
    assert not {r.id for r in first.requests} & {r.id for r in rest.requests}
    assert len(run.history.rounds) == 2


class TestPlan:
    def plan(self, directory, settings):
        paper = Paper(directory)
        many = planted.prompts(14)
        loops.RECIPES["meta_rewarding"][0](
            paper,
            loops.START,
            [paper.prompts(many[2:8]), paper.prompts(many[8:])],
            settings,
            paper.prompts(many[:2]),
        )
        return paper.steps

    def test_it_names_and_counts_the_attack(self, tmp_path):
        steps = [s for s in self.plan(tmp_path, gated()) if s.section.startswith("attack")]
        assert [(s.section, s.step, s.calls, s.state) for s in steps] == [
            ("attack M0", "judge", 30, "to do"),
            ("attack M1", "judge", 30, "to do"),
        ]
        assert not [s for s in self.plan(tmp_path, loops.small_meta()) if s.section.startswith("attack")]

    @pytest.mark.parametrize("action", ["warn", "drop judge"])
    def test_after_a_run_it_knows_what_the_run_did(self, tmp_path, action):
        settings = gated(action=action)
        loops.loop(tmp_path, loops.Asked(Fooled()), settings=settings)
        assert {step.state for step in self.plan(tmp_path, settings)} == {"done"}

    def test_it_goes_on_where_the_run_would_stop(self, tmp_path):
        settings = gated(action="stop")
        with pytest.raises(StepError):
            loops.loop(tmp_path, loops.Asked(Fooled()), settings=settings)
        states = [step.state for step in self.plan(tmp_path, settings) if step.section == "attack M0"]
        assert states == ["done"]


def test_what_a_judge_fell_for_is_trained_away(tmp_path):
    """Half of its judgments of empty responses are fooled: they join the judge pairs of the iteration."""
    settings = gated(harden=True, samples=4, families=("null",), max_false_positives=0.9)
    run, _ = loops.loop(tmp_path, loops.Asked(Fooled(every=2)), settings=settings)
    told = summary.save(run.history, tmp_path)
    for round, entry in zip(run.history.rounds, told["iterations"], strict=True):
        made = {rows.manifest.name: rows for rows in round.pairs}
        assert list(made) == ["actor_pairs", "attack_pairs", "judge_pairs"]
        hard = made["attack_pairs"]
        assert len(hard) + sum(hard.manifest.dropped.values()) == 6
        assert len(hard) >= 3
        assert entry["attack_pairs"] == len(hard)
        assert entry["trained_pairs"] == sum(map(len, round.pairs))
        for pair in hard:
            assert pair.role is Role.JUDGE
            assert "Splendid" in pair.rejected
            assert "Splendid" not in pair.chosen


def test_a_judge_whose_pairs_are_left_out_is_hardened_all_the_same(tmp_path):
    settings = gated(
        harden=True,
        samples=4,
        families=("null",),
        action="drop judge",
        threshold=1.0,
        max_false_positives=0.0,
    )
    run, _ = loops.loop(tmp_path, loops.Asked(Fooled(every=2)), settings=settings)
    assert [[rows.manifest.name for rows in round.pairs] for round in run.history.rounds] == [
        ["actor_pairs", "attack_pairs"]
    ] * 2


def test_the_judge_gate_leaves_out_its_own_pairs_and_not_what_the_judge_fell_for(tmp_path):
    settings = gated(harden=True, samples=4, families=("null",), max_false_positives=0.9)
    gate = JudgeGate("drop judge", fewest=1000, cannot_tell="fail")
    settings = dataclasses.replace(settings, judge_gate=gate)
    run, _ = loops.loop(tmp_path, loops.Asked(Fooled(every=2)), settings=settings)
    for round in run.history.rounds:
        assert [rows.manifest.name for rows in round.pairs] == ["actor_pairs", "attack_pairs"]
        assert [rows.manifest.name for rows in round.left_out] == ["judge_pairs"]


class TestSettings:
    def load(self, directory, text, recipe="meta_rewarding"):
        path = directory / "c.toml"
        path.write_text(f'recipe = "{recipe}"\nseed = 3\n[attack]\n{text}')
        return config.load(path)

    def test_it_is_off_unless_asked_for(self):
        for recipe, _ in config.RECIPES.values():
            assert recipe().attack == Gate()
            assert not recipe().attack.enabled

    def test_from_a_config(self, tmp_path):
        text = 'enabled = true\naction = "drop judge"\nlimit = 4\nitems = "p.jsonl"\nfamilies = ["null"]'
        gate = self.load(tmp_path, text).method.attack
        assert gate == Gate(
            enabled=True,
            action="drop judge",
            limit=4,
            items=str(tmp_path / "p.jsonl"),
            families=("null",),
            seed=3,
        )

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('action = "shrug"', r"attack\.action"),
            ("limit = 0", r"attack\.limit must be at least 1"),
            ("samples = 0", r"attack\.samples"),
            ('families = ["nul"]', "'nul' is not a family"),
            ("families = []", "at least one family"),
            ('families = ["position"]', "free of 'position'"),
            ("threshold = 6.0", r"attack\.threshold"),
            ("max_wins = 1.5", r"attack\.max_wins"),
            ("enabled = true\nharden = true", r"attack\.samples must be at least 2 to harden"),
            ("harden = true\nsamples = 2", r"attack\.enabled must be true to harden"),
            ("enabeld = true", "did you mean 'enabled'"),
        ],
    )
    def test_mistakes_are_named(self, tmp_path, text, message):
        with pytest.raises(ConfigError, match=message):
            self.load(tmp_path, text)

    @pytest.mark.parametrize("text", ['action = "drop judge"', "enabled = true\nharden = true\nsamples = 2"])
    def test_a_recipe_that_trains_no_judge_says_so(self, tmp_path, text):
        with pytest.raises(ConfigError, match="no judge"):
            self.load(tmp_path, text, "self_rewarding")
        assert self.load(tmp_path, 'enabled = true\naction = "stop"', "self_rewarding").method.attack.enabled

    def test_the_recipes_own_judge_is_what_is_attacked(self):
        judge = dataclasses.replace(SelfRewarding().judge, reading="forced", max_tokens=7)
        attacked = Gate(enabled=True, items=loops.PAIRS, samples=2).suite(judge)
        assert attacked.judge == dataclasses.replace(judge, samples=2)
        assert attacked.compare is None
