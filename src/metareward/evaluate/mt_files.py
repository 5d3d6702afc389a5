"""Files of MT-Bench in its own forms: questions, answers, references, and judgments of both kinds."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metareward.errors import DataError
from metareward.evaluate.jsonrows import Row, complain, read_rows
from metareward.evaluate.mt_bench import HIGHEST, LOWEST, TURNS, Match, Rated, score_matches, score_ratings
from metareward.reasoning import AUTO

_SINGLE = {"question_id", "model", "turn", "score"}
_PAIR = {"question_id", "model_1", "model_2", "g1_winner", "g2_winner", "turn"}
_WON = {"model_1": 1.0, "model_2": 0.0, "tie": 0.5, "error": None}
_OTHER = "are of another form"
_QUESTIONS = 'Questions have rows {"question_id", "category", "turns": [first, second]}'
_ANSWERS = 'Answers have rows {"question_id", "choices": [{"turns": [first, second]}]}'
_JUDGMENTS = (
    'A file of single judgments has rows {"question_id", "model", "turn", "judge", "score"}, where -1 is an '
    'unread one; of pairwise judgments {"question_id", "model_1", "model_2", "g1_winner", "g2_winner", '
    '"turn", "judge"}, where a winner is model_1, model_2, tie or error; votes with one winner are for '
    "`metareward eval judge --verdicts`"
)


@dataclass(frozen=True)
class TwoTurns:
    """A question of the benchmark: what the user says first, and then whatever was answered."""

    id: str
    category: str
    turns: tuple[str, str]


def read_questions(path: Path) -> tuple[TwoTurns, ...]:
    """The questions of a file, in its order. Raises DataError, with counts, for rows of another form."""
    rows = read_rows(path)
    faults = _faults(rows, lambda row: _turns_fault(row.get("turns"), row, "category"))
    complain(path, [*faults, *_repeats(rows, lambda row: str(row.get("question_id")))], len(rows), _QUESTIONS)
    complain(path, _repeats(rows, lambda row: tuple(row["turns"])), len(rows), "Each must be asked once.")
    return tuple(TwoTurns(str(row["question_id"]), row["category"], _two(row["turns"])) for row in rows)


def read_answers(path: Path) -> dict[str, tuple[str, str]]:
    """A model's answers, or references, to both turns by question id. DataError has counts."""
    rows = read_rows(path)
    faults = _faults(rows, lambda row: _turns_fault(_choice(row), row))
    complain(path, [*faults, *_repeats(rows, lambda row: str(row.get("question_id")))], len(rows), _ANSWERS)
    return {str(row["question_id"]): _two([AUTO.answer(turn) for turn in _choice(row)]) for row in rows}


def score_file(
    path: Path, questions: Collection[TwoTurns] = (), allow_missing: bool = False, seed: int = 0
) -> dict[str, Any]:
    """Every model in a file of judgments, single or pairwise; in categories, if the questions are given.

    Each model must be judged on both turns of every question: of those given, or of all in the file.
    Raises DataError, with counts, where that is not so (unless `allow_missing`), where rows are of another
    form, or repeat one another, and where they are of several judges.
    """
    rows = read_rows(path)
    single = any("score" in row for row in rows)
    fault = _single_fault if single else _pair_fault
    complain(path, _faults(rows, fault), len(rows), _JUDGMENTS)
    _one_judge(path, rows)
    known = {question.id: question.category for question in questions}
    strange = [
        ("have a question_id that is not among the questions", _place(n, row))
        for n, row in enumerate(rows, 1)
        if known and str(row["question_id"]) not in known
    ]
    names = ("model",) if single else ("model_1", "model_2")
    rows, repeated = _latest(rows, lambda row: (_asked(row), frozenset(row[name] for name in names)), single)
    repeats = _repeats(rows, lambda row: (_asked(row), frozenset(row[name] for name in names)))
    complain(path, [*strange, *repeats], len(rows), "Each is to be judged once, on these questions.")
    wanted = {(one, turn) for one in known for turn in TURNS} or {_asked(row) for row in rows}
    found = _single(rows, known) if single else _pairs(rows, known)
    missing = _missing(path, found, wanted, allow_missing)
    score: Callable[..., dict[str, Any]] = score_ratings if single else score_matches
    models = {name: _scored(path, name, found[name], score, seed) for name in sorted(found)}
    models = {name: {**one, "missing": missing[name]} for name, one in models.items()}
    told = {"repeated": repeated} if repeated else {}
    return {"benchmark": "mt-bench", "form": "single" if single else "pairwise", **told, "models": models}


def _scored(path: Path, name: str, rows: Any, score: Callable[..., dict[str, Any]], seed: int) -> Any:
    try:
        return score(rows, seed)
    except DataError as error:
        raise DataError(f"{path}: {name}: {error}") from None


def _single(rows: Iterable[Row], categories: Mapping[str, str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in rows:
        question, turn = _asked(row)
        score = row["score"] if LOWEST <= row["score"] <= HIGHEST else None
        rated = Rated(question, turn, score, categories.get(question, ""))
        found.setdefault(row["model"], []).append(rated)
    return found


def _pairs(rows: Iterable[Row], categories: Mapping[str, str]) -> dict[str, list[Any]]:
    """Each match twice, as either model sees it."""
    found: dict[str, list[Any]] = {}
    for row in rows:
        question, turn = _asked(row)
        one, two = _WON[row["g1_winner"]], _WON[row["g2_winner"]]
        category = categories.get(question, "")
        flipped = tuple(None if won is None else 1 - won for won in (two, one))
        found.setdefault(row["model_1"], []).append(Match(question, turn, (one, two), category))
        found.setdefault(row["model_2"], []).append(Match(question, turn, flipped, category))  # type: ignore[arg-type]
    return found


def _missing(
    path: Path, found: Mapping[str, list[Any]], wanted: set[tuple[str, int]], allowed: bool
) -> dict[str, int]:
    """How many turns of each model nobody judged."""
    missing = {name: len(wanted - {(row.question, row.turn) for row in rows}) for name, rows in found.items()}
    if any(missing.values()) and not allowed:
        said = ", ".join(f"{count} of {name}" for name, count in sorted(missing.items()) if count)
        raise DataError(
            f"{path}: of {len(wanted)} turns these have no judgment: {said}. With --allow-missing the rest "
            "is scored, and they are counted"
        )
    return missing


def _one_judge(path: Path, rows: Sequence[Row]) -> None:
    judges = Counter(_judge(row) for row in rows)
    if len(judges) > 1:
        said = ", ".join(f"{count} by {name}" for name, count in judges.most_common(4))
        raise DataError(
            f"{path}: the judgments are of {len(judges)} judges ({said}); score one judge's at a time"
        )


def _judge(row: Row) -> str:
    """The judge's name, without that of the prompt it was given."""
    judge = row.get("judge", "")
    return str(judge[0]) if isinstance(judge, list) and judge else str(judge)


def _asked(row: Row) -> tuple[str, int]:
    return str(row["question_id"]), row["turn"]


def _single_fault(row: Row) -> str | None:
    if not row.keys() >= _SINGLE:
        return _OTHER
    score = row["score"]
    if not isinstance(row["model"], str) or not row["model"]:
        return "name no model"
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        return "have a score that is no number"
    return None if row["turn"] in TURNS else "have a turn that is not 1 or 2"


def _pair_fault(row: Row) -> str | None:
    if not row.keys() >= _PAIR:
        return _OTHER
    names = [row["model_1"], row["model_2"]]
    if not all(isinstance(name, str) and name for name in names) or names[0] == names[1]:
        return "name no two models"
    if not all(isinstance(row[game], str) and row[game] in _WON for game in ("g1_winner", "g2_winner")):
        return f"have a winner that is not one of {', '.join(_WON)}"
    return None if row["turn"] in TURNS else "have a turn that is not 1 or 2"


def _turns_fault(turns: Any, row: Row, *texts: str) -> str | None:
    if "question_id" not in row or turns is None:
        return _OTHER
    if any(not isinstance(row.get(name), str) for name in texts):
        return f"have no {' and '.join(texts)}"
    whole = isinstance(turns, list) and len(turns) == len(TURNS) and all(isinstance(t, str) for t in turns)
    if not whole:
        return "have not two turns"
    return "have a blank turn" if texts and not all(turn.strip() for turn in turns) else None


def _choice(row: Row) -> Any:
    """The turns of the first choice, which is the one that the benchmark judges."""
    try:
        return row["choices"][0]["turns"]
    except (KeyError, IndexError, TypeError):
        return None


def _two(turns: Sequence[str]) -> tuple[str, str]:
    return turns[0], turns[1]


def _fields(row: Row) -> str:
    return ", ".join(str(name)[:20] for name in list(row)[:8]) or "no fields"


def _place(number: int, row: Row) -> str:
    return f"row {number}: {str(row.get('question_id'))[:20]}"


def _faults(rows: Sequence[Row], fault: Callable[[Row], str | None]) -> list[tuple[str, str]]:
    found = ((fault(row), number, row) for number, row in enumerate(rows, 1))
    return [
        (said, f"row {number}" + (f", which has {_fields(row)}" if said is _OTHER else ""))
        for said, number, row in found
        if said
    ]


def _latest(rows: Sequence[Row], key: Callable[[Row], Any], single: bool) -> tuple[list[Row], int]:
    """Rows without those that are said again: FastChat appends, and its `tstamp` tells which is the newer.

    What is said again in the same way counts once also without a time; what is not is left for a complaint.
    """
    said = (lambda row: row["score"]) if single else (lambda row: [row[name] for name in sorted(_PAIR)])
    kept: list[Row] = []
    place: dict[Any, int] = {}
    for row in rows:
        at = place.setdefault(key(row), len(kept))
        if at == len(kept):
            kept.append(row)
            continue
        before, times = kept[at], [_time(kept[at]), _time(row)]
        if None not in times:
            kept[at] = row if times[1] >= times[0] else before  # type: ignore[operator]
        elif said(row) != said(before):
            kept.append(row)
    return kept, len(rows) - len(kept)


def _time(row: Row) -> float | None:
    found = row.get("tstamp")
    return float(found) if isinstance(found, int | float) and math.isfinite(found) else None


def _repeats(rows: Sequence[Row], key: Callable[[Row], Any]) -> list[tuple[str, str]]:
    seen: set[Any] = set()
    faults = []
    for number, row in enumerate(rows, 1):
        if (one := key(row)) in seen:
            faults.append(("repeat an earlier one", _place(number, row)))
        seen.add(one)
    return faults
