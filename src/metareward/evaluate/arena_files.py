"""Files of Arena-Hard: battles already weighted, or a judge's games in the old or new form."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metareward import display
from metareward.errors import DataError
from metareward.evaluate.arena_hard import WEIGHT, Fought, Games, Method, battles_of, is_verdict
from metareward.evaluate.jsonrows import Row, complain, read_rows

_WON = {"model_a": 1.0, "model_b": 0.0, "tie": 0.5, "tie (bothbad)": 0.5}
_WANTED = (
    'A file of battles has rows {"model_a", "model_b", "winner"}, a file of judgments rows {"model", '
    '"games"} with two games each.'
)


def read_battles(path: Path, baseline: str, method: Method) -> tuple[list[Fought], int]:
    """The battles of a file, and how many games in it were unread. Raises DataError, with counts."""
    rows = read_rows(path)
    if all({"model_a", "model_b", "winner"} <= row.keys() for row in rows):
        complain(path, [*_faults(rows), *_repeated_battles(rows)], len(rows), _WANTED)
        _require_one(path, rows)
        return [_fought(row) for row in rows], 0
    complain(path, _game_faults(rows, baseline), len(rows), _WANTED)
    _require_one(path, rows)
    fought, unread = battles_of(_distinct(path, [_games(row) for row in rows]), baseline, method)
    if not fought:
        raise DataError(f"{path}: none of {2 * len(rows)} games has a verdict that can be read")
    return fought, unread


def _require_one(path: Path, rows: Sequence[Row]) -> None:
    """Battles of several judges or categories are several results; which baseline fits is told by each."""
    for name in ("judge", "category", "baseline"):
        counts = Counter(str(row[name]) for row in rows if isinstance(row.get(name), str))
        if len(counts) > 1:
            said = ", ".join(
                f"{display.one_line(value, 40)} ({count})" for value, count in counts.most_common(4)
            )
            raise DataError(
                f"{path}: the rows are of {len(counts)} values of {name!r}: {said}; score one at a time"
            )


def _repeated_battles(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Two games of at most three battles each are all that two models fight over one question."""
    counts: Counter[Any] = Counter()
    faults = []
    for number, row in enumerate(rows, 1):
        question = row.get("question_id", row.get("uid"))
        if question is None:
            continue
        key = (str(question), *sorted((str(row["model_a"]), str(row["model_b"]))))
        counts[key] += 1
        if counts[key] > 2 * WEIGHT:
            faults.append(
                (f"are more than {2 * WEIGHT} battles of two models over one question", f"row {number}")
            )
    return faults


def _distinct(path: Path, games: Sequence[Games]) -> list[Games]:
    """Games that a file repeats count once; DataError where they are told in two ways."""
    found: dict[tuple[str, str], Games] = {}
    for number, game in enumerate(games, 1):
        before = found.setdefault(
            (game.question, game.model) if game.question else (f"row {number}", ""), game
        )
        if before != game:
            raise DataError(
                f"{path}: row {number} tells the games of {game.model!r} on question {game.question!r} "
                "otherwise than a row before it; keep one of them"
            )
    return list(found.values())


def _faults(rows: Sequence[Row]) -> list[tuple[str, str]]:
    found = []
    for number, row in enumerate(rows, 1):
        names = (row["model_a"], row["model_b"])
        if not all(isinstance(name, str) and name for name in names):
            found.append(("name no two models", f"row {number}"))
        elif names[0] == names[1]:
            found.append(("let a model fight itself", f"row {number}"))
        elif not isinstance(row["winner"], str) or row["winner"] not in _WON:
            found.append((f"have no winner among {', '.join(_WON)}", f"row {number}: {row['winner']!r:.30}"))
    return found


def _fought(row: Row) -> Fought:
    question = str(row.get("question_id", row.get("uid", "")))
    return Fought(row["model_a"], row["model_b"], _WON[row["winner"]], question)


def _game_faults(rows: Sequence[Row], baseline: str) -> list[tuple[str, str]]:
    found = []
    for number, row in enumerate(rows, 1):
        games = row.get("games")
        if not isinstance(row.get("model"), str) or not isinstance(games, list):
            has = ", ".join(str(name)[:20] for name in list(row)[:6])
            found.append(("are of another form", f"row {number}, which has {has}"))
        elif len(games) != 2 or not all(game is None or isinstance(game, Mapping) for game in games):
            found.append(("have not two games", f"row {number}"))
        elif row.get("baseline", baseline) != baseline:
            found.append((f"were not played against {baseline}", f"row {number}: {row['baseline']!r:.60}"))
        else:
            strange = [label for label in map(_label, games) if label is not None and not is_verdict(label)]
            place = f"row {number}: {strange[0]!r:.30}" if strange else ""
            found += [("have a verdict that is none of the benchmark's", place)] if strange else []
    return found


def _games(row: Row) -> Games:
    first, second = (_label(game) for game in row["games"])
    return Games(str(row.get("question_id", row.get("uid", ""))), row["model"], first, second)


def _label(game: Mapping[str, Any] | None) -> str | None:
    verdict = None if game is None else game.get("score")
    return verdict.strip("[] ").replace(" ", "") if isinstance(verdict, str) else None
