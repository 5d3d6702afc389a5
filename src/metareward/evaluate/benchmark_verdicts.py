"""Verdict files as benchmarks publish them, and the numbers that each publishes, under its own names."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metareward.errors import DataError
from metareward.evaluate import judge_pairs
from metareward.evaluate.jsonrows import Row, complain, read_rows
from metareward.evaluate.judge_pairs import Judged
from metareward.evaluate.pair_forms import FormError, label_in, majority, rm_bench_difficulty

_DECISIONS = {"A>B": 1.0, "B>A": 0.0, "A=B": 0.5}
_PARTS = {"mmlu-pro": "knowledge", "livebench-reasoning": "reasoning", "livebench-math": "math"}
_PARTS |= {"livecodebench": "coding"}
_PANDALM = {1: 1.0, "1": 1.0, 2: 0.0, "2": 0.0, 0: 0.5, "0": 0.5, "tie": 0.5}
_AUTO_J = {0: 1.0, 1: 0.0, 2: 0.5}
_DIFFICULTIES = ("easy", "normal", "hard")


def judge_bench(path: Path, rows: Sequence[Row], seed: int = 0) -> dict[str, Any]:
    """A judge's file of JudgeBench. `statistics`: the percentage it publishes, overall and of each part.

    A pair counts where the verdicts of both orders together are for the right side; ties, disagreement and
    what could not be read do not. Of a judge that was asked once, its one verdict decides.
    """
    complain(path, _faults(rows, _judge_bench_fault), len(rows), _JUDGE_BENCH)
    judged = [_judge_bench(row) for row in rows]
    right: dict[str, list[float]] = {"overall": []}
    for row, one in zip(rows, judged, strict=True):
        points = sum((verdict == one.better) - (verdict == 1 - one.better) for verdict in one.verdicts)
        for part in ("overall", _part(str(row.get("source", "")))):
            right.setdefault(part, []).append(float(points > 0))
    statistics = {part: 100 * sum(values) / len(values) for part, values in right.items()}
    return {"statistics": statistics, **judge_pairs.score(judged, seed)}


_JUDGE_BENCH = 'JudgeBench\'s have "label" and "judgments", one or two of {"decision": "A>B", "B>A" or "A=B"}'


def _judge_bench_fault(row: Row) -> str | None:
    judgments = row.get("judgments")
    if not isinstance(judgments, list) or not 1 <= len(judgments) <= 2:
        return "have not one or two judgments"
    if not all(judgment is None or isinstance(judgment, Mapping) for judgment in judgments):
        return "have a judgment of another form"
    if any((judgment or {}).get("decision") not in (*_DECISIONS, None) for judgment in judgments):
        return "have a decision that is none of A>B, B>A, A=B"
    return None if row["label"] in ("A>B", "B>A") else "have a label that is neither A>B nor B>A"


def _judge_bench(row: Row) -> Judged:
    said = [_DECISIONS.get((judgment or {}).get("decision", "")) for judgment in row["judgments"]]
    swapped = None if len(said) < 2 or said[1] is None else 1 - said[1]
    texts = (row.get("response_A"), row.get("response_B"))
    lengths = (len(str(texts[0])), len(str(texts[1]))) if None not in texts else None
    cluster, source = str(row.get("question", "")), str(row.get("source", ""))
    unread = sum(verdict is None for verdict in said)
    return Judged(_DECISIONS[row["label"]], said[0], swapped, source, lengths, cluster, unread=unread)


def _part(source: str) -> str:
    return next((name for start, name in _PARTS.items() if source.startswith(start)), source or "other")


def auto_j(
    path: Path, rows: Sequence[Row], pairs: Path | None, swapped: Path | None, seed: int = 0
) -> dict[str, Any]:
    """Outputs on Auto-J's pairs (0: the first, 1: the second, 2: a tie), told of what was shown first.

    pairs: its test data, with the labels. swapped: the outputs with both responses swapped. `statistics`:
    the agreement and, with `swapped`, the consistency that it publishes, in percent; then a pair agrees
    where both orders do.
    """
    if pairs is None:
        raise DataError(f"{path}: Auto-J's outputs need its test data with the labels; name it with --pairs")
    source, other = read_rows(pairs), read_rows(swapped) if swapped else None
    complain(pairs, _faults(source, _auto_j_source_fault), len(source), 'pairs have a "label" of 0, 1 or 2')
    for file, found in ((path, rows), (swapped, other)):
        if found is not None and len(found) != len(source):
            raise DataError(f"{file}: {len(found)} outputs, and {pairs} has {len(source)} pairs; give all")
        if file is not None and found is not None:
            complain(file, _faults(found, _auto_j_fault), len(found), "an output is 0, 1 or 2")
    judged = []
    for number, (row, given) in enumerate(zip(source, rows, strict=True)):
        second = None if other is None else 1 - _AUTO_J[other[number]["output"]]
        lengths = (len(str(row.get("response 1", ""))), len(str(row.get("response 2", ""))))
        about = (str(row.get("scenario", "")), lengths, str(row.get("prompt", "")))
        judged.append(Judged(_AUTO_J[row["label"]], _AUTO_J[given["output"]], second, *about))
    agree = [all(verdict == one.better for verdict in one.verdicts) for one in judged]
    statistics = {"agreement": round(100 * sum(agree) / len(agree), 2)}
    if other is not None:
        same = sum(one.straight == one.swapped for one in judged)
        statistics["consistency"] = round(100 * same / len(judged), 2)
    return {"statistics": statistics, **judge_pairs.score(judged, seed)}


def _auto_j_source_fault(row: Row) -> str | None:
    return _label_fault(row.get("label"), _AUTO_J)


def _auto_j_fault(row: Row) -> str | None:
    return _label_fault(row.get("output"), _AUTO_J)


def pandalm(path: Path, rows: Sequence[Row], pairs: Path | None, seed: int = 0) -> dict[str, Any]:
    """A judge's results on PandaLM's test set, whose labels are in `pairs`; both are joined by `idx`."""
    if pairs is None:
        raise DataError(f"{path}: PandaLM's results need its test set with the labels; name it with --pairs")
    known = {str(row.get("idx")): row for row in read_rows(pairs)}
    counts = Counter(str(row.get("idx")) for row in rows)
    faults = []
    for number, row in enumerate(rows, 1):
        idx = str(row.get("idx"))
        fault = (
            "are not of the test set" if idx not in known else "repeat an idx" if counts[idx] > 1 else None
        )
        faults += [(fault, f"row {number}")] if fault else []
    complain(path, faults, len(rows), f'The test set is {pairs}, with "idx" and "annotator1", ...')
    name = next(name for name in ("pandalm_result", "gpt_result") if name in rows[0])
    return pandalm_judged([(known[str(row["idx"])], row.get(name)) for row in rows], pairs, seed)


def pandalm_judged(pairs: Sequence[tuple[Row, Any]], path: Path, seed: int) -> dict[str, Any]:
    """The numbers of one judge's results, each beside the row of the test set that it is about."""
    judged, faults = [], []
    for number, (row, result) in enumerate(pairs, 1):
        try:
            better = majority([row[key] for key in sorted(row) if key.startswith("annotator")])
        except (FormError, ValueError) as error:
            faults.append((str(error) or "have no annotators", f"row {number}"))
            continue
        plain = result.strip().lower() if isinstance(result, str) else result
        said = _PANDALM.get(plain) if isinstance(plain, int | str) and not isinstance(plain, bool) else None
        lengths = (len(str(row.get("response1"))), len(str(row.get("response2"))))
        category = str(row.get("motivation_app", ""))
        judged.append(Judged(better, said, None, category, lengths, unread=int(said is None)))
    complain(path, faults, len(pairs), "an annotator says 1, 2 or 0 (equal)")
    return judge_pairs.score(judged, seed)


def llmbar_result(path: Path, rows: Sequence[Row]) -> tuple[list[int], list[Any], list[Any]]:
    """The labels, and the winners as shown and swapped, of LLMBar's own `result.json`."""
    complain(path, _faults(rows, _llmbar_fault), len(rows), _LLMBAR)
    asked = [row["results"][-1] for row in rows]  # earlier ones are drafts, metrics and references
    sides = [[one[order].get("winner") for one in asked] for order in ("swap = False", "swap = True")]
    return [row["label"] for row in rows], sides[0], sides[1]


_LLMBAR = 'LLMBar\'s results have "label" and "results": [{"swap = False": {"winner"}, "swap = True": ...}]'


def _llmbar_fault(row: Row) -> str | None:
    results = row.get("results")
    one = results[-1] if isinstance(results, list) and results else None
    if not isinstance(one, Mapping):
        return "have no result"
    for order in ("swap = False", "swap = True"):
        winner = one[order].get("winner", "missing") if isinstance(one.get(order), Mapping) else "missing"
        if winner not in ("1", "2", "tie", "None", None):
            return "have no winner of 1, 2, tie or None in one order"
    return _label_fault(row.get("label"), {1: 1.0, 2: 0.0})


def rm_bench(path: Path, rows: Sequence[Row]) -> dict[str, Any]:
    """A reward model's scores on RM-Bench: its accuracies on easy, normal and hard comparisons, in percent.

    Of several domains each has its own, and all are means over the domains, as it publishes them.
    """
    wanted = 'RM-Bench\'s have three "score_chosen" and three "score_rejected"'
    complain(path, _faults(rows, _scores_fault), len(rows), wanted)
    domains: dict[str, list[Row]] = {}
    for row in rows:
        domains.setdefault(str(row.get("domain", "")).partition("-")[0], []).append(row)
    found = {name: _by_difficulty(group) for name, group in sorted(domains.items())}
    means = {name: _mean(one[name] for one in found.values()) for name in _DIFFICULTIES}
    averages = {name: _mean(one.values()) for name, one in found.items() if name}
    return {"n": len(rows), "statistics": {**averages, **means, "overall": _mean(means.values())}}


def _by_difficulty(rows: Sequence[Row]) -> dict[str, float]:
    shares: dict[str, list[float]] = {name: [] for name in _DIFFICULTIES}
    for row in rows:
        for place, chosen in enumerate(row["score_chosen"]):
            for other, rejected in enumerate(row["score_rejected"]):
                shares[rm_bench_difficulty(place, other)].append(float(chosen > rejected))
    return {name: 100 * _mean(values) for name, values in shares.items()}


def _scores_fault(row: Row) -> str | None:
    sides = [row.get("score_chosen"), row.get("score_rejected")]
    for side in sides:
        numbers = isinstance(side, list) and len(side) == 3
        if not numbers or not all(isinstance(n, int | float) and not isinstance(n, bool) for n in side):  # type: ignore[union-attr]
            return "have not three numbers on each side"
    return None


def _mean(values: Any) -> float:
    values = list(values)
    return sum(values) / len(values)


def _label_fault(value: Any, known: Mapping[Any, float]) -> str | None:
    try:
        label_in(value, known)
    except FormError as error:
        return str(error)
    return None


def _faults(rows: Sequence[Row], fault: Any) -> list[tuple[str, str]]:
    return [(said, f"row {number}") for number, row in enumerate(rows, 1) if (said := fault(row))]
