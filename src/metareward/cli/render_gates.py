"""The rows of a run's table that say what the judge gate measured, iteration by iteration."""

from collections.abc import Iterator, Mapping
from typing import Any

_SHOWN: Mapping[str, tuple[str, float, str]] = {  # title, factor, unit
    "score_preference": ("battles won by the higher score", 100, " %"),
    "position": ("same score: won by the first shown", 100, " %"),
    "flips": ("pairs decided oppositely in the two orders", 100, " %"),
    "alike": ("same in two judgments that met", 100, " %"),
    "score_margin": ("score of chosen - rejected judgment", 1, ""),
    "mean_change": ("change of the mean score", 1, ""),
    "same_responses": ("change of it on the same responses", 1, ""),
    "reliability": ("variance of mean scores that repeats", 100, " %"),
    "bank": ("right on known pairs, before training", 100, " %"),
}
_FAILED = {
    "warn": "failed",
    "equal scores": "failed, equal scores",
    "drop judge": "failed, pairs left out",
    "stop judge": "failed, judge stopped",
}


_LEGEND = {
    "failed": "! is over its limit",
    "cannot tell": "? is over too few prompts to tell, so it is held to no limit",
}


def legend(result: Mapping[str, Any]) -> str:
    """What the marks in the gate's rows mean, if there are any."""
    states = {one["state"] for gate in result.get("judge_gates") or () for one in gate["signals"].values()}
    used = [said for state, said in _LEGEND.items() if state in states]
    return f"judge gate: {'; '.join(used)}; docs/gates.md has the limits" if used else ""


def gate_rows(result: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """A title and a cell for each iteration; nothing where no iteration held battles."""
    gates = {gate["iteration"]: gate for gate in result.get("judge_gates") or ()}
    numbers = [entry["iteration"] for entry in result["iterations"]]
    if not gates:
        return
    ended = result.get("judge_stopped")
    yield "judge gate", [_verdict(gates.get(n), ended is not None and n > ended) for n in numbers]
    failed = {
        name for gate in gates.values() for name, one in gate["signals"].items() if one["state"] == "failed"
    }
    for name, (title, factor, unit) in _SHOWN.items():
        cells = [
            _cell((gates.get(number) or {}).get("signals", {}).get(name), factor, unit) for number in numbers
        ]
        if any(cell != "-" for cell in cells):
            yield title, cells
    for name in sorted(failed - _SHOWN.keys()):
        yield (
            f"judge gate, {name.replace('_', ' ')}",
            [_cell((gates.get(number) or {}).get("signals", {}).get(name), 1, "") for number in numbers],
        )


def _verdict(gate: Mapping[str, Any] | None, ended: bool) -> str:
    if gate is None:
        return "judge stopped" if ended else "-"
    verdict = gate.get("verdict") or ("passed" if gate["passed"] else "failed")
    if verdict == "failed":
        return _FAILED[gate["action"]]
    told, held = gate.get("told"), gate.get("held")
    return verdict if told == held else f"{verdict} ({told} of {held} signals told)"


def _cell(signal: Mapping[str, Any] | None, factor: float, unit: str) -> str:
    if signal is None or signal["value"] is None:
        return "-"
    form = ".0f" if factor == 100 else ".2f"
    value = f"{format(factor * signal['value'], form)}{unit}"
    if signal["lower"] is not None:
        value += f" [{format(factor * signal['lower'], form)}, {format(factor * signal['upper'], form)}]"
    return value + {"failed": " !", "cannot tell": " ?"}.get(signal["state"], "")
