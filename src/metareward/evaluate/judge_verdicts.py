"""Verdicts that stand in a file: LLMBar's judge runs, MT-Bench votes, PandaLM's judges, or one row a pair."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metareward.errors import DataError
from metareward.evaluate import benchmark_verdicts as benchmarks
from metareward.evaluate import judge_pairs
from metareward.evaluate.jsonrows import Row, complain, read_rows
from metareward.evaluate.judge_data import labels_of
from metareward.evaluate.judge_pairs import Judged
from metareward.evaluate.pair_forms import require_certain
from metareward.evaluate.votes import agreement_of
from metareward.stats.agreement import cohen_kappa

_WANTED = (
    'verdicts are rows {"label", "verdicts"} (1, 2 or "tie"; of both orders, told of the same first), '
    'LLMBar\'s {"subset", "winners_order1", "winners_order2_unswapped"}, MT-Bench votes {"judge", '
    '"model_a", "model_b", "winner"}, or those of PandaLM, JudgeBench, Auto-J or RM-Bench'
)
_SAID = {1: 1.0, "1": 1.0, 2: 0.0, "2": 0.0, 0: 0.5, "0": 0.5, "tie": 0.5, None: None, "None": None}
_PANDALM = {"gpt35": "gpt_result", "pandalm7b": "pandalm_result"}


def score_file(
    path: Path,
    pairs: Path | None = None,
    against: Path | None = None,
    seed: int = 0,
    swapped: Path | None = None,
) -> dict[str, Any]:
    """The numbers of every judge in a file of verdicts.

    pairs: the benchmark's own pairs where those hold the labels; LLMBar's are looked for beside the verdicts.
    against: votes of others, for MT-Bench votes. swapped: Auto-J's outputs on the swapped pairs. Raises
    DataError, with counts, where a file does not fit.
    """
    rows = read_rows(path)
    if all({"judgments", "label"} <= row.keys() for row in rows):
        return {"benchmark": "judgebench", **benchmarks.judge_bench(path, rows, seed)}
    if all(row.keys() == {"output"} for row in rows):
        return {"benchmark": "auto-j", **benchmarks.auto_j(path, rows, pairs, swapped, seed)}
    if all("score_chosen" in row and "score_rejected" in row for row in rows):
        return {"benchmark": "rm-bench", **benchmarks.rm_bench(path, rows)}
    if all("pandalm_result" in row or "gpt_result" in row for row in rows):
        return {"benchmark": "pandalm", **benchmarks.pandalm(path, rows, pairs, seed)}
    if all({"results", "label"} <= row.keys() for row in rows):
        run = _llmbar_run(*benchmarks.llmbar_result(path, rows), {}, seed)
        return {"benchmark": "llmbar", "runs": [run]}
    if all("winners_order1" in row for row in rows):
        return {"benchmark": "llmbar", "runs": llmbar(path, rows, pairs or _beside(path), seed)}
    if all({"judge", "model_a", "model_b", "winner"} <= row.keys() for row in rows):
        return {"benchmark": "mt-bench votes", **agreement_of(path, rows, against)}
    if all("annotator1" in row for row in rows):
        return {"benchmark": "pandalm", "judges": _pandalm(path, rows, seed)}
    return {"benchmark": "pairs", **judge_pairs.score(_plain(path, rows), seed)}


def compare_files(ours: Path, theirs: Path, seed: int = 0) -> dict[str, Any]:
    """The paired difference in accuracy of two files of verdicts on the same pairs, `ours` minus `theirs`."""
    first, second = (_plain(path, read_rows(path)) for path in (ours, theirs))
    return judge_pairs.compared(first, second, seed)


def llmbar(path: Path, rows: Sequence[Row], pairs: Path, seed: int = 0) -> list[dict[str, Any]]:
    """Each run with the statistics that LLMBar publishes, under its names, and ours beside them."""
    labels = labels_of(pairs)
    faults = [
        (fault, f"row {number}") for number, row in enumerate(rows, 1) if (fault := _run_fault(row, labels))
    ]
    complain(path, faults, len(rows), f"The pairs in {pairs} have the subsets {', '.join(sorted(labels))}.")
    runs = []
    for row in rows:
        gold, first, second = labels[row["subset"]], row["winners_order1"], row["winners_order2_unswapped"]
        about = {name: row[name] for name in ("subset", "judge", "prompt") if name in row}
        runs.append(_llmbar_run(gold, first, second, about, seed))
    return runs


def _llmbar_run(
    gold: Sequence[int], first: Sequence[Any], second: Sequence[Any], about: Row, seed: int
) -> dict[str, Any]:
    judged = [_judged(label, a, b) for label, a, b in zip(gold, first, second, strict=True)]
    return {**about, "statistics": llmbar_statistics(gold, first, second), **judge_pairs.score(judged, seed)}


def llmbar_statistics(gold: Sequence[int], first: Sequence[Any], second: Sequence[Any]) -> dict[str, Any]:
    """LLMBar's own statistics, in its words. False: as shown first; True: swapped, told of the same first.

    An unread verdict (None) is wrong there. Its kappa_False and kappa_True compare labels of 1 and 2 with
    verdicts of which "2" was turned into 0, so they are far below Cohen's kappa; ours is `kappa`.
    """
    labels, n = [str(label) for label in gold], len(gold)
    right = [sum(a == b for a, b in zip(side, labels, strict=True)) for side in (first, second)]
    both = sum(a == b == label for a, b, label in zip(first, second, labels, strict=True))
    equal = sum(a == b for a, b in zip(first, second, strict=True))
    sides = [[1 if verdict == "1" else 0 for verdict in side] for side in (first, second)]
    kappas = [cohen_kappa(side, list(gold)) for side in sides]
    return {
        "correct_False": _counted(right[0], n),
        "correct_True": _counted(right[1], n),
        "correct_average": f"{sum(right) / 2 / n * 100}%",
        "correct_both": _counted(both, n),
        "equal": _counted(equal, n),
        "kappa_False": kappas[0],
        "kappa_True": kappas[1],
        "kappa_average": None if None in kappas else sum(kappa for kappa in kappas if kappa is not None) / 2,
        "kappa_agreement": cohen_kappa(*sides),
    }


def _counted(count: int, total: int) -> str:
    return f"{count} / {total} = {count / total * 100}%"


def _run_fault(row: Row, labels: Mapping[str, Sequence[int]]) -> str | None:
    first, second = row.get("winners_order1"), row.get("winners_order2_unswapped")
    if not isinstance(first, list) or not isinstance(second, list):
        return "lack the winners of one order"
    gold = labels.get(str(row.get("subset")))
    if gold is None:
        return "are of a subset that the pairs do not have"
    if not len(first) == len(second) == len(gold):
        return "have another number of winners than their subset has pairs"
    known = all(map(_is_said, (*first, *second)))
    return None if known else "have a winner that is not 1, 2, tie or None"


def _is_said(verdict: Any) -> bool:
    plain = isinstance(verdict, str | int | None) and not isinstance(verdict, bool)
    return plain and verdict in _SAID


def _judged(label: Any, first: Any, second: Any) -> Judged:
    straight, swapped = _SAID[first], _SAID[second]
    unread = (straight is None) + (swapped is None)
    return Judged(_SAID[label] or 0.0, straight, swapped, unread=unread)


def _beside(path: Path) -> Path:
    """LLMBar's pairs, where they lie in the directory of the verdicts."""
    for other in sorted(path.parent.glob("*.jsonl")):
        if other != path and other.is_file():
            with other.open(encoding="utf-8", errors="replace") as lines:
                head = lines.readline(2**20)
            if '"output_1"' in head and '"label"' in head:
                return other
    raise DataError(
        f"{path}: these verdicts need LLMBar's pairs with their labels; name the file with --pairs"
    )


def _plain(path: Path, rows: Sequence[Row]) -> list[Judged]:
    faults = [(fault, f"row {number}") for number, row in enumerate(rows, 1) if (fault := _row_fault(row))]
    complain(path, faults, len(rows), _WANTED)
    require_certain([row["label"] for row in rows], f"{path}: the labels")
    require_certain([verdict for row in rows for verdict in row["verdicts"]], f"{path}: the verdicts")
    found = []
    for row in rows:
        verdicts = [*row["verdicts"], "missing"][:2]
        straight, swapped = (_SAID.get(verdict) for verdict in verdicts)
        unread = sum(verdict in (None, "None") for verdict in verdicts)
        lengths = row.get("lengths")
        found.append(
            Judged(
                _SAID[row["label"]] or 0.0,
                straight,
                swapped,
                str(row.get("category", "")),
                None if lengths is None else (lengths[0], lengths[1]),
                str(row.get("prompt", "")),
                row.get("p_first"),
                unread,
            )
        )
    return found


def _row_fault(row: Row) -> str | None:
    verdicts, lengths = row.get("verdicts"), row.get("lengths")
    if "label" not in row or not isinstance(verdicts, list):
        return "are of another form"
    if not 1 <= len(verdicts) <= 2:
        return "have not one or two verdicts"
    if not all(map(_is_said, (row["label"], *verdicts))):
        return "have a label or a verdict that is not 1, 2, tie or None"
    if row["label"] in (None, "None"):
        return "have no label"
    whole = isinstance(lengths, list) and len(lengths) == 2 and all(isinstance(n, int) for n in lengths)
    return None if lengths is None or whole else "have lengths that are not two numbers"


def _pandalm(path: Path, rows: Sequence[Row], seed: int) -> dict[str, Any]:
    """Judges whose results stand beside the votes, as a text or as the judge's own row."""
    judges = [name for name in _PANDALM if all(name in row for row in rows)]
    if not judges:
        raise DataError(f"{path}: these rows of PandaLM hold no judge's verdicts ({', '.join(_PANDALM)})")
    found: dict[str, Any] = {}
    for name in judges:
        results = [
            row[name].get(_PANDALM[name]) if isinstance(row[name], Mapping) else row[name] for row in rows
        ]
        pairs = list(zip(rows, results, strict=True))
        found[name] = benchmarks.pandalm_judged(pairs, path, seed)
    return found
