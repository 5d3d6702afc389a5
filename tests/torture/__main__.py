"""`make torture`: the injection table. Stopped by --minutes it exits with 3 and goes on when run again."""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from torture.kills import Arena, Victim, scripts, zygote
from torture.points import Bench
from torture.table import Book, Outcome, report

UNFINISHED = 3


def main() -> int:
    """Do what is left, write the table, and exit with 1 if any promise was broken."""
    asked = _arguments()
    asked.state.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + 60 * asked.minutes
    book = Book(asked.state / "outcomes.jsonl")
    finished = _points(book, asked, until) and _kills(book, asked, until)
    about = {"seed": asked.seed, "date": datetime.now(UTC).date().isoformat(), "finished": finished}
    plain, table = report(book.outcomes, about)
    (asked.state / "table.json").write_text(json.dumps(plain, indent=1) + "\n")
    (asked.state / "table.md").write_text(table)
    print(table)
    for violation in plain["violations"]:
        print(f"VIOLATION {violation['point']}: {violation['wrong']}")
    if plain["violations"]:
        return 1
    return 0 if finished else UNFINISHED


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    parser.add_argument("--points", type=int, default=1200, help="faults on the fake engine; 0: all of them")
    parser.add_argument("--kills", type=int, default=60, help="real kills on the transformers engine")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after so long, to go on later")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state", type=Path, default=Path("torture-state"), help="what was done so far")
    return parser.parse_args()


def _points(book: Book, asked: argparse.Namespace, until: float) -> bool:
    memory = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    try:
        bench = Bench(place)
        done = book.points
        for point in bench.sample(asked.points or len(bench.points()), asked.seed):
            if " ".join(point) in done:
                continue
            if time.monotonic() > until:
                return False
            book.add(bench.outcome(point))
        return True
    finally:
        shutil.rmtree(place)


def _kills(book: Book, asked: argparse.Namespace, until: float) -> bool:
    done = {outcome.point.partition("/")[0] for outcome in book.outcomes if "/" in outcome.point}
    left = [
        n for n, _ in enumerate(scripts(asked.kills, random.Random(asked.seed))) if f"victim-{n}" not in done
    ]
    if not left:
        return True
    if time.monotonic() > until:
        return False
    arena = Arena(asked.state.resolve())
    with zygote() as forks:
        for number, script in enumerate(scripts(asked.kills, random.Random(asked.seed))):
            if number not in left:
                continue
            if time.monotonic() > until:
                return False
            shutil.rmtree(arena.place / f"victim-{number}", ignore_errors=True)
            victim = Victim(arena, forks, f"victim-{number}", random.Random(asked.seed + number))
            book.add(*tortured(victim, script, from_shell=number % 3 == 0))
    return True


def tortured(victim: Victim, script: list[tuple[str, str]], from_shell: bool) -> list[Outcome]:
    """Kill a run as a script says and let it finish. What is wrong in the end is the last kill's fault."""
    outcomes = [outcome for step in script if not victim.done and (outcome := victim.kill(*step))]
    assert outcomes, "no phase came"
    wrong, last = victim.finish(from_shell), outcomes[-1]
    found = [text for text in (*wrong, last.wrong) if text]
    return [*outcomes[:-1], replace(last, again=last.again + victim.again, wrong="; ".join(found))]


if __name__ == "__main__":
    sys.exit(main())
