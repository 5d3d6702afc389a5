"""MT-Bench votes: how often two kinds of judges agree on the same pair of models and question.

Following the benchmark's own count (arXiv 2306.05685, table 5): one judge's vote on a pair is compared with
each vote of the other kind; "tie (inconsistent)" is a tie; without ties, votes that are ties are left out.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from metareward.errors import DataError
from metareward.evaluate.jsonrows import Row, complain, read_rows
from metareward.stats.bootstrap import mean_of_clusters

_WINNERS = ("model_a", "model_b", "tie", "tie (inconsistent)", "tie (bothbad)")
_OTHER = {"model_a": "model_b", "model_b": "model_a"}
_WANTED = f"A vote has a judge, two models, a question and a winner among {', '.join(_WINNERS)}."

Votes = dict[tuple[str, str, str, str], list[str]]
"""The votes of one kind of judge by (question, turn, model, other model), models in alphabetical order."""


def agreement_of(path: Path, rows: Sequence[Row], against: Path | None) -> dict[str, Any]:
    """Agreement of each kind of judge in a file with each in `against`, or with the others in the same file.

    Returns `agreement`: {"judge / judge": {"with_ties": {...}, "without_ties": {...}}}, each with its value
    in 0..1, counts, and a 95 % interval over questions. Raises DataError, with counts, for other rows or
    where no pair of models is common.
    """
    ours = _by_judge(path, rows)
    theirs = _by_judge(against, read_rows(against)) if against is not None else ours
    if against is not None:
        couples = [(one, other) for one in sorted(ours) for other in sorted(theirs)]
    else:
        couples = [*combinations(sorted(ours), 2), *((one, one) for one in sorted(ours))]
    found = {}
    for one, other in couples:
        same = against is None and one == other
        both = _both_ways(ours[one], theirs[other], same)
        if both["with_ties"] is not None:
            found[f"{one} / {other}"] = both
    if not found:
        raise DataError(f"{path}: no pair of models was voted on by two judges on the same question and turn")
    return {"votes": len(rows), "agreement": found}


def _both_ways(ours: Votes, theirs: Votes, same: bool) -> dict[str, Any]:
    return {
        name: _agreement(ours, theirs, same, ties)
        for name, ties in (("with_ties", True), ("without_ties", False))
    }


def _agreement(ours: Votes, theirs: Votes, same: bool, ties: bool) -> dict[str, Any] | None:
    clusters: dict[str, list[float]] = {}
    for key, votes in ours.items():
        couples = combinations(votes, 2) if same else ((a, b) for a in votes for b in theirs.get(key, ()))
        agreed = [float(a == b) for a, b in couples if ties or "tie" not in (a, b)]
        if agreed:
            clusters.setdefault(key[0], []).extend(agreed)
    if not clusters:
        return None
    values = [value for cluster in clusters.values() for value in cluster]
    estimate = mean_of_clusters(list(clusters.values())).as_dict()
    return {**estimate, "agreed": int(sum(values)), "votes": len(values)}


def _by_judge(path: Path, rows: Iterable[Row]) -> dict[str, Votes]:
    rows = list(rows)
    faults = [(fault, f"row {number}") for number, row in enumerate(rows, 1) if (fault := _fault(row))]
    complain(path, faults, len(rows), _WANTED)
    found: dict[str, Votes] = {}
    for row in rows:
        key, winner = _vote(row)
        found.setdefault(_kind(row["judge"]), {}).setdefault(key, []).append(winner)
    return found


def _vote(row: Mapping[str, Any]) -> tuple[tuple[str, str, str, str], str]:
    one, other = row["model_a"], row["model_b"]
    winner = "tie" if "tie" in row["winner"] else row["winner"]
    if one > other:
        one, other, winner = other, one, _OTHER.get(winner, winner)
    return (str(row.get("question_id")), str(row.get("turn", 1)), one, other), winner


def _kind(judge: Any) -> str:
    """Experts, authors, or the judge's own name."""
    name = "-".join(map(str, judge)) if isinstance(judge, list) else str(judge)
    return next((kind for kind in ("expert", "author") if name.startswith(kind)), name)


def _fault(row: Row) -> str | None:
    if not {"judge", "model_a", "model_b", "winner"} <= row.keys():
        return "are no votes"
    if not isinstance(row["model_a"], str) or not isinstance(row["model_b"], str):
        return "name no two models"
    return None if row["winner"] in _WINNERS else "have another winner"
