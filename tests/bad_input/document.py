"""Writes docs/bad-input.md from the cases: `python -m bad_input.document`, with tests/ on PYTHONPATH."""

from pathlib import Path

from bad_input import ALL, GROUPS
from bad_input.case import Case

FILE = Path(__file__).parents[2] / "docs" / "bad-input.md"
_SHOWN = 30
HEAD = """# What happens when something is wrong

Whatever a user can get wrong gets one message on standard error: where, what, and what to do. No traceback,
nothing paid for lost. The exit status is 2 for a user's mistake, 1 for anything else that stops a command
(a damaged file, a full disk, a fault of ours, which alone comes with a traceback, for the report), and 130
when told to stop. Settings, prompts and models are all checked before the first request to a model.

The {count} kinds below are carried out by `tests/test_bad_input.py`, which also keeps this page equal to
them (`PYTHONPATH=tests python -m bad_input.document` writes it). In a message, … stands for what differs;
a long word of one letter is shortened.
"""


def page() -> str:
    """The whole page."""
    tables = [f"## {group}\n\n{_table(cases)}" for group, cases in GROUPS.items()]
    return "\n".join([HEAD.format(count=len(ALL)), *tables])


def _table(cases: list[Case]) -> str:
    lines = ["| What is wrong | Command | Message | Exit |", "| --- | --- | --- | --- |"]
    for case in cases:
        what = case.what.replace("|", "\\|")
        lines.append(f"| {what} | {_code(case.command)} | {_code(case.says)} | {case.code} |")
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    """Inline code whatever is in it, on one line of a table."""
    text = _short(text).encode("unicode_escape").decode() if not _short(text).isprintable() else _short(text)
    ticks = "``" if "`" in text else "`"
    pad = " " if ticks == "``" else ""
    return f"{ticks}{pad}{text}{pad}{ticks}".replace("|", "\\|")


def _short(text: str) -> str:
    return " ".join(
        word if len(set(word)) > 3 or len(word) < _SHOWN else f"{word[:3]}…" for word in text.split(" ")
    )


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")
