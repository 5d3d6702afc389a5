"""Files of ranked responses in the planted world's own terms, where merit and length can be set apart."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from metareward.records import Demonstration, Message, Role


def row(prompt: int, quality: int, filler: int = 0) -> dict[str, Any]:
    """A response whose text says its quality; each filler makes it longer."""
    text = f"An answer of quality {quality}." + " Filler words follow here." * filler
    return {"prompt": f"Tell me about the number {prompt}.", "response": text, "quality": quality / 5}


def write(path: Path, rows: Iterable[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return str(path)


def usual(prompts: int) -> list[dict[str, Any]]:
    """Three responses a prompt; in two prompts of three the longer is the better, else the shorter."""
    rows = []
    for prompt in range(prompts):
        longer = prompt % 3 != 0
        for quality in (1, 3, 5):
            rows.append(row(prompt, quality, quality if longer else 6 - quality))
    return rows


def demonstration(
    number: int, prompt: int = 0, quality: float = 0.0, length: int = 100, score: float = 3, **changes: Any
) -> Demonstration:
    made = Demonstration(
        id=f"d{number}",
        role=Role.JUDGE,
        prompt_id=f"p{prompt}",
        response_id=f"r{number}",
        judgment_id=None,
        messages=(Message("user", f"Grade response {number}."),),
        text=f"Fine.\nScore: {score:g}",
        token_ids=None,
        score=score,
        quality=quality,
        length=length,
    )
    return type(made)(**{**{name: getattr(made, name) for name in made.__slots__}, **changes})
