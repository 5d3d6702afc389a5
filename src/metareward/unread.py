"""Verdicts that cannot be read, noticed while there is something left to save."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from metareward.display import one_line
from metareward.errors import StepError
from metareward.records import Battle, Comparison, Finish, Judgment, Outcome
from metareward.stats.proportions import wilson

FEWEST_READ = 0.05
FIRST = 64  # verdicts before anything is concluded
_SHOWN = 80  # characters of what a judge wrote last
_UNWATCHED = ("evaluation fine-tuning", "attack")  # here a judge that cannot be read is a result

_REMEDY = (
    "See what the judge wrote with `metareward parse`. Then change what it is asked (the template must "
    "ask for "
    "a verdict line, and declare another label or scale at its beginning), raise max_tokens where "
    "judgments are "
    'cut off, or set reading = "forced" in [{table}], which is always readable. To go on all the same, set '
    "fewest_read = 0 in [machine]"
)


class Watch:
    """Counts the verdicts that one step reads from free text, and ends it where hardly any can be read.

    The rule: from the 64th on, a step ends when the upper end of the 95 % interval (Wilson) of the share that
    was read lies below `fewest`. Failures of an engine do not count.
    """

    def __init__(self, stage: Any, section: str, fewest: float) -> None:
        kind = stage.record in (Judgment, Battle, Comparison)
        free = kind and getattr(stage, "reading", "") == "free"
        self._on = free and fewest > 0 and not section.startswith(_UNWATCHED)
        self._name, self._section, self._fewest = stage.name, section, fewest
        self._read = self._total = 0
        self._reasons: Counter[str] = Counter()
        self._example = ""

    def remember(self, records: Iterable[Any]) -> None:
        """What earlier sessions were answered: it counts, so that an ended step is not paid for once more."""
        for record in records if self._on else ():
            self.put(record)

    def put(self, record: Any) -> None:
        """One record that was read from an answer."""
        if not self._on or record.finish is Finish.FAILED:
            return
        self._total += 1
        reason = _reason(record)
        if reason is None:
            self._read += 1
            return
        self._reasons[reason] += 1
        self._example = self._example or ending(record.text)

    @property
    def note(self) -> str:
        """What a progress line says; nothing while most can be read."""
        if not self._reasons or self._read >= self._total / 2:
            return ""
        return f"{self._total - self._read} of {self._total} verdicts unread, one ends in {self._example}"

    def check(self) -> None:
        """StepError where so few can be read that the rest is not worth paying for."""
        if not self._on or self._total < FIRST or self._read >= self._fewest * self._total:
            return
        if wilson(self._read, self._total)[1] >= self._fewest:
            return
        reasons = ", ".join(f"{count} {reason}" for reason, count in self._reasons.most_common())
        raise StepError(
            f"{self._section}: {self._name}: of the first {self._total} answers {self._read} have a "
            f"verdict that "
            f"can be read ({100 * self._read / self._total:.0f} %): {reasons}. One ends in "
            f"{self._example}. What "
            f"was answered is stored. {_REMEDY.format(table=self._name)}"
        )


def ending(text: str) -> str:
    """The end of a text, in quotation marks on one line and fit to be shown."""
    end = text.rstrip()[-_SHOWN:]
    more = "…" if len(end) < len(text.rstrip()) else ""
    return f"'{more}{one_line(end)}'" if end else "nothing at all"


def _reason(record: Any) -> str | None:
    if isinstance(record, Judgment):
        return record.unread
    if record.outcome is not Outcome.UNREADABLE:
        return None
    return "cut off" if record.finish is Finish.LENGTH else "without a winner"
