"""Files of prompts that tests write, and what comes of reading them."""

import json
from pathlib import Path
from typing import Any

import pytest

from metareward.errors import DataError
from metareward.sources import load_prompts

USER = {"role": "user", "content": "Hello?"}
SYSTEM = {"role": "system", "content": "Be brief."}
ANSWER = {"role": "assistant", "content": "Hi!"}


def lines(folder: Path, *rows: Any, name: str = "p.jsonl") -> str:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder / name)


def texts(source: str, **options: Any) -> list[list[tuple[str, str]]]:
    return [[(m.role, m.content) for m in p.messages] for p in load_prompts(source, **options).prompts]


def refuse(source: str, *said: str, **options: Any) -> None:
    with pytest.raises(DataError) as caught:
        load_prompts(source, **options)
    for part in said:
        assert part in str(caught.value)
