"""Self-improving alignment with a co-evolving judge.

The names below are the public interface. They are loaded when first used, so that `import metareward`
needs neither PyTorch nor transformers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metareward.attack.attack import attack_judge
    from metareward.attack.harden import AttackComparisonPairs, AttackPairs
    from metareward.attack.items import load_items
    from metareward.attack.report import AttackReport
    from metareward.attack.suite import Limits, Suite
    from metareward.engines.fake import fake
    from metareward.engines.transformers import open_transformers
    from metareward.errors import MetarewardError, UserError
    from metareward.evaluate.alpaca_ask import AlpacaEval
    from metareward.evaluate.alpaca_eval import LengthControl
    from metareward.evaluate.gsm8k import GSM8K
    from metareward.evaluate.ifeval import IFEval
    from metareward.evaluate.mt_ask import MTBench
    from metareward.events import print_progress
    from metareward.export import export_run
    from metareward.models import Model, resolve
    from metareward.recipes.combined import Combined, combined
    from metareward.recipes.cream import Cream, cream
    from metareward.recipes.eft import EFT, fine_tuned
    from metareward.recipes.gate import Gate
    from metareward.recipes.judge_gate import JudgeGate
    from metareward.recipes.meta_rewarding import MetaRewarding, meta_rewarding
    from metareward.recipes.self_rewarding import SelfRewarding, self_rewarding
    from metareward.recipes.settings import Iteration, Watch
    from metareward.recipes.temporal import Temporal, temporal
    from metareward.records import (
        Battle,
        Comparison,
        Demonstration,
        Dropped,
        Finish,
        Judgment,
        Message,
        Outcome,
        PreferencePair,
        Prompt,
        Rating,
        Response,
        Role,
    )
    from metareward.run import Run
    from metareward.sources import load_prompts, prompt_of, split_prompts
    from metareward.stages.compare import Compare
    from metareward.stages.generate import Generate
    from metareward.stages.judge import Judge
    from metareward.stages.meta_judge import MetaJudge
    from metareward.stages.pair import ActorPairs, KeepDistinct
    from metareward.stages.pair_judge import JudgePairs
    from metareward.stages.prefer import Prefer
    from metareward.stages.settle import Settle
    from metareward.summary import summarise
    from metareward.supervision import Supervision, SupervisionLevel
    from metareward.train.dpo import DPO, TrainMachine
    from metareward.train.fake import FakeTrainer
    from metareward.train.launch import launch
    from metareward.train.sft import SFT

_HOMES = {
    "attack.attack": ("attack_judge",),
    "attack.harden": ("AttackComparisonPairs", "AttackPairs"),
    "attack.items": ("load_items",),
    "attack.report": ("AttackReport",),
    "attack.suite": ("Limits", "Suite"),
    "engines.fake": ("fake",),
    "engines.transformers": ("open_transformers",),
    "errors": ("MetarewardError", "UserError"),
    "events": ("print_progress",),
    "evaluate.alpaca_ask": ("AlpacaEval",),
    "evaluate.alpaca_eval": ("LengthControl",),
    "evaluate.gsm8k": ("GSM8K",),
    "evaluate.ifeval": ("IFEval",),
    "evaluate.mt_ask": ("MTBench",),
    "export": ("export_run",),
    "models": ("Model", "resolve"),
    "recipes.eft": ("EFT", "fine_tuned"),
    "recipes.gate": ("Gate",),
    "recipes.judge_gate": ("JudgeGate",),
    "recipes.meta_rewarding": ("MetaRewarding", "meta_rewarding"),
    "recipes.self_rewarding": ("SelfRewarding", "self_rewarding"),
    "recipes.temporal": ("Temporal", "temporal"),
    "recipes.cream": ("Cream", "cream"),
    "recipes.combined": ("Combined", "combined"),
    "recipes.settings": ("Iteration", "Watch"),
    "records": (
        "Battle",
        "Comparison",
        "Demonstration",
        "Dropped",
        "Finish",
        "Judgment",
        "Message",
        "Outcome",
        "PreferencePair",
        "Prompt",
        "Rating",
        "Response",
        "Role",
    ),
    "run": ("Run",),
    "sources": ("load_prompts", "prompt_of", "split_prompts"),
    "stages.compare": ("Compare",),
    "stages.generate": ("Generate",),
    "stages.judge": ("Judge",),
    "stages.meta_judge": ("MetaJudge",),
    "stages.settle": ("Settle",),
    "stages.pair": ("ActorPairs", "KeepDistinct"),
    "stages.pair_judge": ("JudgePairs",),
    "stages.prefer": ("Prefer",),
    "summary": ("summarise",),
    "supervision": ("Supervision", "SupervisionLevel"),
    "train.dpo": ("DPO", "TrainMachine"),
    "train.fake": ("FakeTrainer",),
    "train.launch": ("launch",),
    "train.sft": ("SFT",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__version__ = "0.1.0"
__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'metareward' has no attribute {name!r}")
    return getattr(import_module(f"metareward.{_HOME[name]}"), name)
