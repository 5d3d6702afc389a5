"""Keeps what a model will be measured by out of what it is trained on, and says what was found."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from metareward.evaluate.base import Evaluation
from metareward.evaluate.chosen import Evaluate, items_of
from metareward.evaluate.contamination import Overlap, overlaps, same_text
from metareward.records import Prompt
from metareward.sources import load_prompts


def contaminated(
    prompts: Sequence[Prompt], settings: Evaluate, evaluations: Iterable[Evaluation], base: Path
) -> list[Overlap]:
    """The prompts that equal or nearly equal an item of an evaluation, or of the files in `against`.

    Raises DataError if such a file cannot be read.
    """
    items = items_of(evaluations)
    for name in settings.against:
        loaded = load_prompts(name, base=base).prompts
        items[name] = [message.content for prompt in loaded for message in prompt.messages]
    return list(overlaps(prompts, items, settings.threshold)) if items else []


def without(prompts: Sequence[Prompt], found: Iterable[Overlap]) -> list[Prompt]:
    """The prompts that are not among those found."""
    harmed = {overlap.prompt_id for overlap in found}
    return [prompt for prompt in prompts if prompt.id not in harmed]


def said(found: Sequence[Overlap], dropped: bool) -> str:
    """One sentence with the counts and the nearest example."""
    counts = Counter(overlap.evaluation for overlap in found)
    each = ", ".join(f"{count} of {name}" for name, count in sorted(counts.items()))
    worst = max(found, key=lambda overlap: overlap.similarity)
    then = "left out" if dropped else "kept, as [evaluate] contaminated says"
    return (
        f"{len(found)} prompts equal or nearly equal evaluation items ({each}) and are {then}; for example "
        f"{worst.source or worst.prompt_id} ({worst.similarity:.0%} of an item of {worst.evaluation})"
    )


def copied_templates(method: Any, evaluations: Iterable[Evaluation]) -> list[str]:
    """A sentence for each of the recipe's judge templates that equals or nearly equals an evaluator's.

    A judge that is trained on the words of the evaluator's prompt learns to please that evaluator.
    """
    ours = _templates(method)
    return [
        f"the template of {name} is nearly that of {evaluation.name}'s judge: the run trains towards its own "
        "evaluation; use another template for one of them"
        for evaluation in evaluations
        for theirs in _templates(evaluation).values()
        for name, text in ours.items()
        if same_text(text, theirs)
    ]


def _templates(holder: Any) -> dict[str, str]:
    stages = {field.name: getattr(holder, field.name) for field in fields(holder)}
    found = {name: getattr(stage, "template", None) for name, stage in stages.items()}
    return {name: text for name, text in found.items() if isinstance(text, str)}
