"""Every chat template that TRL ships, through the audit: a table of what it says, which docs/ has, too."""

import re
from functools import cache
from pathlib import Path

import pytest

from metareward.engines.audit import Audit, with_template
from metareward.engines.probes import probe
from metareward.errors import ModelError
from stub_tokenizers import stub

trl = pytest.importorskip("trl")
FOLDER = Path(trl.__file__).parent / "chat_templates"
DOCUMENT = Path(__file__).parent.parent / "docs" / "model-audit.md"
NAMES = sorted(path.stem for path in FOLDER.glob("*.jinja"))


@cache
def audited(name: str) -> Audit:
    """What the audit says of a template, with a tokenizer that knows the control tokens it spells."""
    try:
        tokenizer = stub((FOLDER / f"{name}.jinja").read_text(encoding="utf-8"))
        return with_template(Audit(name, ""), name, tokenizer, probe(tokenizer))
    except ModelError as error:
        return Audit(name, "").refusing(str(error))


def row(name: str) -> str:
    """A line of the table."""
    found = audited(name)
    if found.ends is None:
        return f"| {name} | cannot be rendered: {_short(found.problems[0])} | | | | |"
    turns = (
        "all" if found.keeps_every_turn else "; ".join(f"{k}: {v}" for k, v in (found.loses or {}).items())
    )
    refuses = ", ".join(found.refuses or ()) or "-"
    said = [
        "date" if found.uses_date else "",
        "opens reasoning" if found.opens_reasoning else "",
        "drops earlier reasoning" if found.drops_reasoning else "",
        "no generation prompt" if not found.generation_prompt else "",
    ]
    header = _code(found.header or "")
    cells = [name, _code(found.ends[0]), header, turns, refuses, ", ".join(filter(None, said))]
    return f"| {' | '.join(cells)} |"


def table() -> str:
    """The table of the document."""
    head = "| template | a turn ends in | an answer begins behind | turns kept | refused | else |"
    return "\n".join([head, "|---|---|---|---|---|---|", *map(row, NAMES)])


def _code(text: str) -> str:
    return f"`{text!r}`".replace("|", "\\|")


def _short(sentence: str) -> str:
    return re.sub(r"\s+", " ", sentence).replace("|", "\\|")[:90]


def test_trl_ships_what_the_table_has() -> None:
    assert len(NAMES) == 72


def test_the_table_in_the_docs_is_what_the_audit_says() -> None:
    """`PYTHONPATH=tests python -m test_audit_templates` writes it."""
    assert table() in DOCUMENT.read_text(encoding="utf-8")


def test_what_is_known_of_these_models_is_what_the_audit_says() -> None:
    """By hand, from the models' own cards and generation configs: not from this code."""
    ends = {
        "qwen3": "<|im_end|>",
        "llama3_2": "<|eot_id|>",
        "gemma3": "<end_of_turn>",
        "phi3": "<|end|>",
        "gptoss": "<|return|>",
        "deepseekv3": "<｜end▁of▁sentence｜>",
    }
    assert {name: (audited(name).ends or ("",))[0] for name in ends} == ends
    dated = {name for name in NAMES if audited(name).uses_date}
    assert {"llama3_2", "gptoss"} <= dated
    opening = {name for name in NAMES if audited(name).opens_reasoning}
    assert {"deepseek_r1_distill", "qwen3_5_think"} <= opening
    assert not opening & {"qwen3", "qwen2_5", "llama3", "gemma3"}
    assert not [name for name in NAMES if audited(name).generation_prompt is False]


if __name__ == "__main__":
    before, _, _ = DOCUMENT.read_text(encoding="utf-8").partition("| template |")
    DOCUMENT.write_text(before + table() + "\n", encoding="utf-8")
