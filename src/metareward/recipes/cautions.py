"""What of a recipe's settings is likely a slip, or likely to leave no pair: a sentence each."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from metareward.stages.base import text_tokens
from metareward.train.dpo import DPO
from metareward.train.sft import SFT

Range = tuple[float, float]
_USUAL: Mapping[str, Range] = {
    "beta": (0.01, 1.0),
    "nll_weight": (0.001, 10.0),
    "warmup_ratio": (0.0, 0.5),
    "weight_decay": (0.0, 1.0),
    "max_grad_norm": (0.01, 100.0),
    "epochs": (1, 50),
}
_PREFERENCES, _ANSWERS, _ADAPTERS = (1e-7, 1e-4), (1e-7, 5e-4), (1e-6, 2e-3)  # learning rates
_TEMPERATURES = (0.0, 2.0)  # above, samples are hardly language
_NEARLY_GREEDY = 0.05  # a temperature, or a top_p, up to which samples hardly differ
_ANSWER_TOKENS = 4  # fewer hold a word at most
_VERDICT_TOKENS = 5  # of a verdict line, with nothing before it
_SHORTEST = 25  # characters that a response or a judgment worth choosing may well have


def cautions(recipe: Any, sizes: Sequence[int]) -> Iterator[str]:
    """A sentence for each setting that is likely a slip, or likely to leave no pair.

    sizes: how many prompts each iteration has.
    """
    yield from unusual("dpo", recipe.dpo)
    for number, iteration in enumerate(recipe.iterations):
        if iteration.learning_rate is not None:
            yield from _out(
                f"iterations[{number}].learning_rate", iteration.learning_rate, _rates(recipe.dpo)
            )
    if recipe.eft.enabled:
        yield from unusual("eft.sft", recipe.eft.sft)
    for name in ("generate", "judge", "meta_judge"):
        if own := getattr(recipe, name, None):
            yield from _out(f"{name}.temperature", own.temperature, _TEMPERATURES)
    yield from _alike(recipe)
    yield from _short(recipe)
    yield from _few(recipe, sizes)


def unusual(where: str, training: DPO | SFT) -> Iterator[str]:
    """A sentence for each setting of a training that is far from what is usual."""
    yield from _out(f"{where}.learning_rate", training.learning_rate, _rates(training))
    for name, usual in _USUAL.items():
        if value := getattr(training, name, None):  # at 0 such a setting is off
            yield from _out(f"{where}.{name}", value, usual)


def _rates(training: DPO | SFT) -> Range:
    if isinstance(training, DPO):
        return _PREFERENCES
    return _ADAPTERS if training.lora_rank else _ANSWERS


def _out(name: str, value: float, usual: Range) -> Iterator[str]:
    low, high = usual
    if not low <= value <= high:
        yield f"{name} is {value:g}, and usual is {low:g} to {high:g}: is it a slip?"


def _alike(recipe: Any) -> Iterator[str]:
    """Samples that hardly differ, and such that do not differ at all."""
    judging = _judging(recipe)
    actor = any(iteration.trains_actor for iteration in recipe.iterations)
    for name, what, needed in (
        ("generate", "responses to a prompt", actor),
        ("judge", "judgments of a response", judging),
    ):
        own = getattr(recipe, name)
        if needed and own.samples > 1 and own.temperature and _nearly_greedy(own):
            yield (
                f"{name}.temperature is {own.temperature:g} with top_p {own.top_p:g}: the {own.samples} "
                f"{what} will hardly differ, and what does not differ makes no pair"
            )
    if recipe.judge.samples > 1 and recipe.judge.temperature == 0:
        count = recipe.judge.samples
        yield f"judge.temperature is 0: the {count} judgments of a response are one, paid for {count} times"
    if judging and recipe.judge.samples < 2:
        yield "judge.samples is 1: no battle can be held, and judge pairs come of failed attacks alone"
    if judging and recipe.judge_gate.action == "equal scores" and recipe.meta_judge.between == "different":
        yield (
            "judge_gate.action is 'equal scores' and meta_judge.between is 'different': once the gate fails, "
            "no judge pair is left"
        )


def _nearly_greedy(own: Any) -> bool:
    return min(own.temperature, own.top_p) <= _NEARLY_GREEDY


def _short(recipe: Any) -> Iterator[str]:
    """Limits that leave no room for what must be said."""
    for name in ("judge", "meta_judge"):
        own: Any = getattr(recipe, name, None)
        used = name == "judge" or _judging(recipe)
        if own is not None and used and own.reading == "free" and own.max_tokens < _VERDICT_TOKENS:
            yield (
                f"{name}.max_tokens is {own.max_tokens}, and a verdict line alone takes about "
                f"{_VERDICT_TOKENS}: hardly any can be read; raise it, or set reading = 'forced'"
            )
    actor = any(iteration.trains_actor for iteration in recipe.iterations)
    if actor and recipe.generate.max_tokens < _ANSWER_TOKENS:
        yield (
            f"generate.max_tokens is {recipe.generate.max_tokens}, which holds a word at most: the responses "
            "will be cut off, and hardly differ; raise it"
        )
    limits = {"max_response_characters": "trains_actor"}
    limits |= {"max_judgment_characters": "trains_judge"} if _judging(recipe) else {}
    for number, iteration in enumerate(recipe.iterations):
        for name, role in limits.items():
            limit = getattr(iteration, name)
            if limit is not None and limit < _SHORTEST and getattr(iteration, role):
                yield (
                    f"iterations[{number}].{name} is {limit}: hardly a {name.split('_')[1]} is so short, and "
                    "longer ones make no pair"
                )
    asked = text_tokens(recipe.judge.template)
    if _judging(recipe) and recipe.dpo.max_length <= asked:
        yield (
            f"dpo.max_length is {recipe.dpo.max_length} tokens, and the judge's template alone has about "
            f"{asked:.0f}: every judge pair would be left out as too long"
        )


def _few(recipe: Any, sizes: Sequence[int]) -> Iterator[str]:
    """Iterations with too few prompts for a batch, or for the judge gate; such that are alike said once."""
    small: dict[tuple[int, int], list[int]] = {}
    untold: dict[int, list[int]] = {}
    for number, (iteration, prompts) in enumerate(zip(recipe.iterations, sizes, strict=True)):
        judge = hasattr(recipe, "meta_judge") and iteration.trains_judge
        pairs = prompts * (iteration.trains_actor + judge)
        hardened = judge and recipe.attack.harden  # then the pairs of attacks come on top
        if not hardened and pairs < recipe.dpo.batch_size:
            small.setdefault((pairs, prompts), []).append(number)
        if judge and prompts < recipe.judge_gate.fewest:
            untold.setdefault(prompts, []).append(number)
    for (pairs, prompts), where in small.items():
        yield (
            f"dpo.batch_size is {recipe.dpo.batch_size}, and {_iterations(where)} can make at most "
            f"{number_of(pairs, 'pair')} of {number_of(prompts, 'prompt')}: every epoch is one step; lower "
            "it, or give more prompts"
        )
    for prompts, where in untold.items():
        yield (
            f"{_iterations(where)} can be judged on {number_of(prompts, 'prompt')}, fewer than "
            f"judge_gate.fewest ({recipe.judge_gate.fewest}): the judge gate can tell nothing there"
        )


def _iterations(numbers: Sequence[int]) -> str:
    return f"iteration{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"


def _judging(recipe: Any) -> bool:
    """Whether any iteration trains the judge on battles."""
    return hasattr(recipe, "meta_judge") and any(each.trains_judge for each in recipe.iterations)


def number_of(count: int, one: str, many: str = "") -> str:
    """How many of something, in words."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
