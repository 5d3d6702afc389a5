"""Files of Arena-Hard: battles already weighted, or a judge's games in the old or new form."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metareward.errors import DataError
from metareward.evaluate.arena_hard import Fought, Games, Method, battles_of
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
        complain(path, _faults(rows), len(rows), _WANTED)
        return [_fought(row) for row in rows], 0
    complain(path, _game_faults(rows), len(rows), _WANTED)
    fought, unread = battles_of([_games(row) for row in rows], baseline, method)
    if not fought:
        raise DataError(f"{path}: none of {2 * len(rows)} games has a verdict that can be read")
    return fought, unread


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


def _game_faults(rows: Sequence[Row]) -> list[tuple[str, str]]:
    found = []
    for number, row in enumerate(rows, 1):
        games = row.get("games")
        if not isinstance(row.get("model"), str) or not isinstance(games, list):
            has = ", ".join(str(name)[:20] for name in list(row)[:6])
            found.append(("are of another form", f"row {number}, which has {has}"))
        elif len(games) != 2 or not all(game is None or isinstance(game, Mapping) for game in games):
            found.append(("have not two games", f"row {number}"))
    return found


def _games(row: Row) -> Games:
    first, second = (_label(game) for game in row["games"])
    return Games(str(row.get("question_id", row.get("uid", ""))), row["model"], first, second)


def _label(game: Mapping[str, Any] | None) -> str | None:
    verdict = None if game is None else game.get("score")
    return verdict if isinstance(verdict, str) else None
