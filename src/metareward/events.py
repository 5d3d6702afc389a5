"""What a run says while it works. Library code emits events; only the command line draws bars."""

from collections.abc import Callable
from dataclasses import dataclass

from metareward.display import one_line


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step begins. `total` is the most it can have to do, `done` what earlier sessions left."""

    section: str
    step: str
    total: int
    done: int


@dataclass(frozen=True, slots=True)
class StepProgress:
    """A step has `done` of `total`; `tokens` were generated (or trained on) in this session."""

    section: str
    step: str
    done: int
    total: int
    tokens: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A step is whole. `reused` when an earlier session had done it; `note` says what was left out."""

    section: str
    step: str
    rows: int
    seconds: float
    reused: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something the user should know, such as a damaged file that was set aside."""

    section: str
    message: str


Event = StepStarted | StepProgress | StepFinished | Noticed
Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The listener that does not listen."""


def print_progress(event: Event) -> None:
    """A listener that prints a line when a step begins, when it is finished, and for what is noticed."""
    if isinstance(event, StepStarted):
        line = f"{event.section}: {event.step}, {event.done} of at most {event.total} done"
    elif isinstance(event, StepFinished):
        when = "kept from before" if event.reused else f"{event.seconds:.1f} s"
        note = f" ({event.note})" if event.note else ""
        line = f"{event.section}: {event.step}: {event.rows} rows, {when}{note}"
    elif isinstance(event, Noticed):
        line = f"{event.section}: {event.message}"
    else:
        return
    print(one_line(line.removeprefix(": ")), flush=True)
