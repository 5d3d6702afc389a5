"""Files of responses, one JSON object a line, joined to a benchmark's prompts; nothing is lost in silence.

A response that is missing, given twice or belongs to no prompt is an error with counts: a score over what
happens to be left would be another benchmark's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metareward.errors import DataError
from metareward.evaluate.jsonrows import numbered_rows
from metareward.reasoning import AUTO

_SHOWN = 60
_FORMS = (  # names that tell whose rows these are, most telling first
    ({"preference"}, "AlpacaEval annotations"),
    ({"instruction", "output"}, "AlpacaEval outputs"),
    ({"question_id", "games"}, "Arena-Hard judgments"),
    ({"question_id", "choices"}, "MT-Bench or Arena-Hard answers"),
    ({"question_id", "turns"}, "MT-Bench or Arena-Hard questions"),
    ({"instruction_id_list", "kwargs"}, "IFEval prompts"),
    ({"question", "answer"}, "GSM8K problems"),
    ({"question", "ground_truth"}, "GSM8K solutions"),
    ({"prompt", "response"}, "prompts and responses"),
    ({"messages"}, "chat conversations"),
)

Row = tuple[str, Mapping[str, Any]]
"""Where a row stands ("answers.jsonl:12"), and the row."""


@dataclass(frozen=True, slots=True)
class Given:
    """A response as a file gives it; None: the row is there and its response is null."""

    where: str
    prompt: str
    response: str | None


@dataclass(frozen=True)
class Joined:
    """Responses by prompt, and the prompts without one (only where that was allowed)."""

    responses: dict[str, str]
    missing: list[str]


@dataclass
class _Faults:
    """What is wrong with a file: how often, and where first."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, what: str, where: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1
        self.first.setdefault(what, where)

    def __str__(self) -> str:
        return "; ".join(f"{count} {what} (first: {self.first[what]})" for what, count in self.counts.items())


def read_rows(path: Path) -> list[Row]:
    """The objects of a JSON Lines file. DataError for one that is empty or cannot be read."""
    rows = numbered_rows(path)
    if not rows:
        raise DataError(f"{path}: the file is empty")
    return rows


def require_fields(rows: Sequence[Row], names: Sequence[str], what: str) -> None:
    """Raise a DataError, with counts, if rows lack a field; it says whose rows they seem to be."""
    lacking = [(where, row) for where, row in rows if not all(name in row for name in names)]
    if lacking:
        where, row = lacking[0]
        form = form_of(row)
        seems = f"; these look like {form}" if form else ""
        has = ", ".join(map(_brief, list(row)[:8]))
        raise DataError(
            f"{len(lacking)} of {len(rows)} rows are not {what}, which need {' and '.join(names)}{seems} "
            f"(first: {where}, which has {has or 'nothing'})"
        )


def form_of(row: Mapping[str, Any]) -> str | None:
    """What a row of these fields is, if it is of a known benchmark."""
    return next((form for names, form in _FORMS if names <= set(row)), None)


def join(
    given: Iterable[Given], prompts: Sequence[str], benchmark: str, *, allow_missing: bool = False
) -> Joined:
    """Match responses to prompts by their text.

    Raises DataError with all counts for prompts outside the set, prompts answered twice, responses that are
    null, and prompts without a response; the latter two are let pass, and counted, with `allow_missing`.
    """
    wanted, faults, responses, nulls = set(prompts), _Faults(), dict[str, str](), set[str]()
    for row in given:
        if row.prompt not in wanted:
            faults.add(f"prompts that are not among its {len(wanted)}", f"{row.where}, {_brief(row.prompt)}")
        elif row.prompt in responses or row.prompt in nulls:
            faults.add("prompts answered more than once", f"{row.where}, {_brief(row.prompt)}")
        elif row.response is None:
            nulls.add(row.prompt)
            if not allow_missing:
                faults.add("responses that are null or failed", row.where)
        else:
            responses[row.prompt] = row.response
    missing = [prompt for prompt in prompts if prompt not in responses]
    for prompt in missing:
        if not allow_missing and prompt not in nulls:
            faults.add("prompts without a response", _brief(prompt))
    if faults.counts or not responses:
        raise DataError(_complaint(faults, benchmark, bool(responses), len(missing)))
    return Joined(responses, missing)


def _complaint(faults: _Faults, benchmark: str, any_fits: bool, missing: int) -> str:
    text = f"the responses do not fit {benchmark}: {faults}" if faults.counts else ""
    if not any_fits:
        return (text or f"there is no response to {benchmark}") + "; not one response fits"
    only_missing = set(faults.counts) <= {"prompts without a response", "responses that are null or failed"}
    hint = f". With --allow-missing the rest is scored, and the {missing} are counted" if only_missing else ""
    return text + hint


def text_of(value: Any, where: str, name: str) -> str | None:
    """A field that must be a text, or None where it is null; DataError otherwise."""
    if value is None or isinstance(value, str):
        return value
    raise DataError(f"{where}: {name!r} must be a text, not {type(value).__name__} ({_brief(str(value))})")


def answer_of(value: Any, where: str, name: str) -> str | None:
    """The same of a model's response: its answer, without the reasoning that it may begin with."""
    text = text_of(value, where, name)
    return None if text is None else AUTO.answer(text)


def _brief(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= _SHOWN else line[: _SHOWN - 3] + "...")
