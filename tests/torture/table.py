"""What every fault came to, kept as one JSON line each, so that a torture may be stopped and go on."""

import json
import platform
import subprocess
from collections import defaultdict
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """One fault. `again`: requests asked again because they were in flight. The rest must be 0."""

    kind: str
    phase: str
    point: str
    again: int = 0
    lost: int = 0
    duplicated: int = 0
    beyond: int = 0
    wrong: str = ""


@dataclass
class Sum:
    """A row of the table."""

    injected: int = 0
    resumed: int = 0
    asked_again_in_flight: int = 0
    rows_lost: int = 0
    rows_duplicated: int = 0
    paid_twice_beyond_in_flight: int = 0
    wrong_resumes: int = 0


class Book:
    """The outcomes in a file; what is in it is not done again."""

    def __init__(self, file: Path) -> None:
        self._file = file
        lines = file.read_text().splitlines() if file.exists() else []
        self.outcomes = [Outcome(**json.loads(line)) for line in lines if line.endswith("}")]

    @property
    def points(self) -> set[str]:
        return {outcome.point for outcome in self.outcomes}

    def add(self, *outcomes: Outcome) -> None:
        with self._file.open("a") as out:
            for outcome in outcomes:
                self.outcomes.append(outcome)
                out.write(json.dumps(asdict(outcome)) + "\n")


def summed(outcomes: list[Outcome]) -> dict[tuple[str, str], Sum]:
    table: dict[tuple[str, str], Sum] = defaultdict(Sum)
    for outcome in outcomes:
        for key in ((outcome.kind, outcome.phase), ("all", "")):
            row = table[key]
            row.injected += 1
            row.resumed += not outcome.wrong
            row.wrong_resumes += bool(outcome.wrong)
            row.asked_again_in_flight += outcome.again
            row.rows_lost += outcome.lost
            row.rows_duplicated += outcome.duplicated
            row.paid_twice_beyond_in_flight += outcome.beyond
    return dict(sorted(table.items()))


def report(outcomes: list[Outcome], about: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The table as JSON and as Markdown."""
    rows = summed(outcomes)
    wrong = [asdict(outcome) for outcome in outcomes if outcome.wrong]
    plain = {
        **about,
        **surroundings(),
        "table": [{"kind": kind, "phase": phase, **asdict(row)} for (kind, phase), row in rows.items()],
        "violations": wrong,
    }
    names = [field.name for field in fields(Sum)]
    lines = ["| fault | phase | " + " | ".join(name.replace("_", " ") for name in names) + " |"]
    lines.append("|---|---|" + "---:|" * len(names))
    for (kind, phase), row in rows.items():
        lines.append(f"| {kind} | {phase} | " + " | ".join(str(getattr(row, name)) for name in names) + " |")
    return plain, "\n".join(lines) + "\n"


def surroundings() -> dict[str, Any]:
    here = Path(__file__).parent
    asked = subprocess.run(
        ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    packages = ("metareward", "pyarrow", "torch", "transformers", "trl")
    return {
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "revision": asked.stdout.strip() or None,
    }
