"""Settings that can make no pair are refused before anything is asked; likely slips are said."""

import dataclasses
import re
from contextlib import nullcontext
from typing import Any

import pytest

from metareward.engines.fake import fake
from metareward.errors import ConfigError
from metareward.events import Noticed
from metareward.models.base import Model
from metareward.paper import Paper
from metareward.recipes.cautions import cautions
from metareward.recipes.combined import Combined, combined
from metareward.recipes.cream import Cream, cream
from metareward.recipes.gate import Gate
from metareward.recipes.meta_rewarding import MetaRewarding, meta_rewarding
from metareward.recipes.self_rewarding import SelfRewarding, self_rewarding
from metareward.recipes.settings import Iteration
from metareward.recipes.temporal import Temporal, temporal
from metareward.records import Role
from metareward.run import Run
from metareward.sources import prompt_of
from metareward.stages.generate import Generate
from metareward.stages.judge import Judge
from metareward.train.dpo import DPO
from metareward.train.fake import FakeTrainer
from metareward.train.sft import SFT

RECIPES: dict[Any, Any] = {
    MetaRewarding: meta_rewarding,
    SelfRewarding: self_rewarding,
    Temporal: temporal,
    Cream: cream,
    Combined: combined,
}
EVERY = pytest.mark.parametrize("kind", RECIPES, ids=lambda kind: kind.__name__)
JUDGING = pytest.mark.parametrize("kind", [MetaRewarding, Combined], ids=lambda kind: kind.__name__)
ACTOR, JUDGE = Iteration(roles=(Role.ACTOR,)), Iteration(roles=(Role.JUDGE,))
MODEL = Model("m", "", "m")


def refused(says: str):
    return pytest.raises(ConfigError, match="^" + re.escape(says))


class TestRefused:
    @EVERY
    def test_one_response_makes_no_pair(self, kind):
        with refused("generate.samples is 1, and a pair of iterations[0] needs two different responses"):
            kind(generate=Generate(samples=1))

    @EVERY
    def test_greedy_responses_are_one(self, kind):
        with refused(
            "generate.temperature is 0, so the 4 responses to a prompt are the same and iterations[0]"
        ):
            kind(generate=Generate(samples=4, temperature=0))

    @JUDGING
    def test_one_judgment_holds_no_battle(self, kind):
        with refused("judge.samples is 1, and a battle of iterations[0] needs two judgments of a response"):
            kind(judge=Judge(samples=1))
        assert kind(judge=Judge(samples=1), iterations=(ACTOR,))

    @JUDGING
    def test_greedy_judgments_are_one(self, kind):
        for reading in ("free", "forced"):
            with refused("judge.temperature is 0, so the judgments of a response are the same"):
                kind(judge=Judge(temperature=0, reading=reading))
        assert kind(judge=Judge(temperature=0), iterations=(ACTOR,))

    @JUDGING
    def test_the_judge_alone_needs_one_response(self, kind):
        assert kind(generate=Generate(samples=1, temperature=0), iterations=(JUDGE,))
        with refused("generate.samples is 1, and a pair of iterations[0]"):
            kind(generate=Generate(samples=1), iterations=(ACTOR, JUDGE))

    @EVERY
    @pytest.mark.parametrize(("high", "margin"), [(1, 1.5), (5, 5.1), (10, 11)])
    def test_a_margin_wider_than_the_scale_leaves_no_pair(self, kind, high, margin):
        template = f"{{# verdict: Score, 0 to {high} #}}{{{{ conversation }}}} {{{{ response }}}} Score: N"
        told = f"iterations[0].min_score_margin is {margin:g}, and scores from 0 to {high} differ by at most"
        for given, refusal in ((margin, refused(told)), (high, nullcontext())):
            with refusal:
                kind(
                    judge=Judge(template=template),
                    iterations=(Iteration((Role.ACTOR,), min_score_margin=given),),
                )

    def test_past_responses_are_another_models(self):
        """After a warm-up of the judge the first model's response stands beside the present one's."""
        assert Combined(generate=Generate(samples=1), iterations=(JUDGE, ACTOR))
        with refused("generate.samples is 1, and a pair of iterations[1]"):
            MetaRewarding(generate=Generate(samples=1), iterations=(JUDGE, ACTOR))

    @pytest.mark.parametrize("kind", [SelfRewarding, Temporal, Cream], ids=lambda kind: kind.__name__)
    def test_a_recipe_without_a_judge_trains_none(self, kind):
        with refused("iterations[1].roles must have 'actor' in it: "):
            kind(iterations=(Iteration(), JUDGE))
        assert kind(iterations=(Iteration(),)), "both roles are what an iteration has by default"

    def test_attacks_may_stand_in_for_battles(self):
        gate = Gate(enabled=True, harden=True, samples=2)
        assert MetaRewarding(judge=Judge(samples=1), attack=gate)
        with refused("judge.temperature is 0"):
            MetaRewarding(judge=Judge(temperature=0), attack=gate)

    def test_defaults_are_possible(self):
        assert [kind() for kind in RECIPES]


class TestBatches:
    @EVERY
    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_there_is_one_for_each_iteration_before_anything_is_asked(self, tmp_path, kind, count):
        recipe = kind(iterations=(Iteration(), Iteration()))
        with Run(tmp_path, fake(), FakeTrainer()) as run:
            batches = [run.prompts([prompt_of("Why?")])] * count
            said = f"the recipe has 2 iterations and was given {count} batch"
            with refused(said):
                RECIPES[kind](run, MODEL, batches, recipe)
            assert [step.name for _, step in run.store.manifests()] == ["prompts"]

    def test_they_are_what_a_run_makes_of_prompts(self, tmp_path):
        with Run(tmp_path, fake(), FakeTrainer()) as run:
            with refused("batch 0 of the prompts must be what run.prompts(...) makes, not "):
                cream(run, MODEL, [[prompt_of("Why?")]], Cream(iterations=(ACTOR,)))  # type: ignore[list-item]

    @JUDGING
    def test_a_share_that_leaves_no_judge_pair(self, tmp_path, kind):
        """A share s beside A actor pairs leaves s / (1 - s) A: at .1 one of 9, none of 8."""
        paper = Paper(tmp_path)
        for count in (8, 9):
            recipe = kind(iterations=(Iteration(max_judge_share=0.1),))
            batches = [paper.unseen_prompts(count, 0)]
            if count == 9:
                assert RECIPES[kind](paper, MODEL, batches, recipe)
                continue
            with refused("iterations[0].max_judge_share is 0.1, which beside at most 8 actor pairs"):
                RECIPES[kind](paper, MODEL, batches, recipe)
            weighed = dataclasses.replace(recipe.iterations[0], judge_share_by="weight")
            assert RECIPES[kind](paper, MODEL, batches, dataclasses.replace(recipe, iterations=(weighed,)))


def said(recipe: Any, *sizes: int) -> list[str]:
    return list(cautions(recipe, sizes or (1000,) * len(recipe.iterations)))


class TestSaid:
    @EVERY
    def test_nothing_of_the_defaults(self, kind):
        assert said(kind()) == []

    @pytest.mark.parametrize(
        ("dpo", "says"),
        [
            (DPO(learning_rate=5), "dpo.learning_rate is 5, and usual is 1e-07 to 0.0001: is it a slip?"),
            (
                DPO(learning_rate=5e-9),
                "dpo.learning_rate is 5e-09, and usual is 1e-07 to 0.0001: is it a slip?",
            ),
            (DPO(epochs=1000), "dpo.epochs is 1000, and usual is 1 to 50: is it a slip?"),
            (DPO(beta=10), "dpo.beta is 10, and usual is 0.01 to 1: is it a slip?"),
            (DPO(beta=1e-4), "dpo.beta is 0.0001, and usual is 0.01 to 1: is it a slip?"),
            (DPO(nll_weight=200), "dpo.nll_weight is 200, and usual is 0.001 to 10: is it a slip?"),
            (DPO(warmup_ratio=0.9), "dpo.warmup_ratio is 0.9, and usual is 0 to 0.5: is it a slip?"),
            (DPO(weight_decay=10), "dpo.weight_decay is 10, and usual is 0 to 1: is it a slip?"),
        ],
    )
    def test_a_setting_far_from_what_is_usual(self, dpo, says):
        assert said(MetaRewarding(dpo=dpo)) == [says]

    def test_the_ends_of_what_is_usual_are_usual(self):
        for dpo in (DPO(learning_rate=1e-7, beta=0.01), DPO(learning_rate=1e-4, beta=1.0, nll_weight=1.0)):
            assert said(SelfRewarding(dpo=dpo)) == []

    def test_an_iterations_own_rate(self):
        recipe = MetaRewarding(iterations=(Iteration(), Iteration(learning_rate=0.5)))
        assert said(recipe) == [
            "iterations[1].learning_rate is 0.5, and usual is 1e-07 to 0.0001: is it a slip?"
        ]

    @pytest.mark.parametrize(("rank", "usual"), [(0, "1e-07 to 0.0005"), (16, "1e-06 to 0.002")])
    def test_fine_tuning_by_adapters_takes_higher_rates(self, rank, usual):
        recipe = MetaRewarding()
        eft = dataclasses.replace(
            recipe.eft, enabled=True, source="x.jsonl", sft=SFT(learning_rate=0.1, lora_rank=rank)
        )
        (told,) = said(dataclasses.replace(recipe, eft=eft))
        assert told == f"eft.sft.learning_rate is 0.1, and usual is {usual}: is it a slip?"
        off = dataclasses.replace(eft, enabled=False)
        assert said(dataclasses.replace(recipe, eft=off)) == []

    def test_a_batch_larger_than_the_pairs(self):
        """15 prompts make at most 15 pairs of each role: a batch of 32 is never full, one of 30 is."""
        first, both = Iteration(roles=(Role.ACTOR,)), Iteration()
        recipe = MetaRewarding(iterations=(both, first, first))
        assert said(recipe, 15, 15, 400) == [
            "dpo.batch_size is 32, and iteration 0 can make at most 30 pairs of 15 prompts: every "
            "epoch is one step; lower it, or give more prompts",
            "dpo.batch_size is 32, and iteration 1 can make at most 15 pairs of 15 prompts: every "
            "epoch is one step; lower it, or give more prompts",
        ]
        assert said(dataclasses.replace(recipe, dpo=DPO(batch_size=15)), 15, 15, 400) == []
        assert "iterations 0, 1 can make at most 1 pair of 1 prompt:" in said(SelfRewarding(), 1, 1)[0]

    def test_prompts_too_few_for_the_judge_gate(self):
        recipe = MetaRewarding(iterations=(Iteration(), Iteration(), ACTOR), dpo=DPO(batch_size=2))
        assert said(recipe, 9, 10, 9) == [
            "iteration 0 can be judged on 9 prompts, fewer than judge_gate.fewest (10): the judge gate can "
            "tell nothing there"
        ]

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"generate": Generate(temperature=0.01)}, "generate.temperature is 0.01 with top_p 0.95: the 7"),
            (
                {"generate": Generate(top_p=0.01)},
                "generate.temperature is 0.8 with top_p 0.01: the 7 responses",
            ),
            (
                {"judge": Judge(temperature=0.02)},
                "judge.temperature is 0.02 with top_p 0.95: the 11 judgments",
            ),
            (
                {"generate": Generate(temperature=50)},
                "generate.temperature is 50, and usual is 0 to 2: is it a slip?",
            ),
            (
                {"generate": Generate(max_tokens=3)},
                "generate.max_tokens is 3, which holds a word at most: the responses will be cut off",
            ),
            ({"judge": Judge(max_tokens=3)}, "judge.max_tokens is 3, and a verdict line alone takes about 5"),
            ({"dpo": DPO(max_length=64)}, "dpo.max_length is 64 tokens, and the judge's template alone has"),
            (
                {"iterations": (Iteration(max_judgment_characters=7),)},
                "iterations[0].max_judgment_characters is 7: hardly a judgment is so short",
            ),
            (
                {"iterations": (Iteration(max_response_characters=3),)},
                "iterations[0].max_response_characters is 3: hardly a response is so short",
            ),
        ],
    )
    def test_what_hardly_leaves_a_pair(self, changes, says):
        (told,) = said(MetaRewarding(**changes))
        assert told.startswith(says)

    def test_judgments_paid_for_many_times(self):
        recipe = SelfRewarding(judge=Judge(samples=3, temperature=0))
        assert said(recipe) == [
            "judge.temperature is 0: the 3 judgments of a response are one, paid for 3 times"
        ]
        assert said(SelfRewarding(judge=Judge(samples=1, temperature=0))) == []


class TestHeard:
    """A plan keeps what is said of the settings, and a run says it before it asks anything."""

    RECIPE = SelfRewarding(Generate(samples=2), Judge(samples=2), DPO(learning_rate=5.0), iterations=(ACTOR,))
    EXPECTED = (*cautions(RECIPE, (3,)),)

    def test_by_a_run(self, tmp_path):
        heard: list[Any] = []
        with Run(tmp_path, fake(), FakeTrainer(), listen=heard.append) as run:
            batch = run.prompts([prompt_of(text) for text in ("Why?", "How?", "What?")])
            self_rewarding(run, MODEL, [batch], self.RECIPE)
        assert [event.message for event in heard[:2] if isinstance(event, Noticed)] == [*self.EXPECTED]
        assert len(self.EXPECTED) == 2

    def test_by_a_plan(self, tmp_path):
        paper = Paper(tmp_path)
        self_rewarding(paper, MODEL, [paper.unseen_prompts(3, 0)], self.RECIPE)
        assert paper.warnings == paper.as_dict()["warnings"] == [*self.EXPECTED]
        with paper.within("iteration 0"):
            paper.warn("what steps found is the run's to say")
        assert len(paper.warnings) == len(self.EXPECTED)
