"""The moment that chat templates are told: a run's start, on whatever day and in whatever process it goes on.

Some templates write the date into every prompt (`strftime_now`). With the date of each day, one row would
have several prompts, and training would not be on what was sampled.
"""

import os
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from metareward import disk
from metareward.errors import ConfigError, ModelError, StoreError
from metareward.provenance.records import records

FILE = "clock.json"
VARIABLE = "METAREWARD_NOW"  # tells a child process the moment of its parent
_NAME = "strftime_now"

_moment: datetime | None = None


def now() -> datetime:
    """The moment for all templates of this process, in local time: `fix`ed, told by the parent, or the first
    call's.
    """
    global _moment
    if _moment is None:
        _moment = _told() or _real()
    return _moment


def fix(directory: Path) -> datetime:
    """The moment a run began, from its directory, where it is stored now if it was not; from here on `now`.

    Where nothing is stored (a run of an earlier version, a damaged file) the start of the first session on
    record counts. Raises StoreError if the disk refuses.
    """
    global _moment
    known = _stored(directory / FILE)
    if known is None:
        known = _first_session(directory) or _real()
        disk.write_checked(directory / FILE, {"now": known.isoformat()})
    _moment = known
    return known


def for_child() -> dict[str, str]:
    """What a child process needs in its environment to tell templates the same moment."""
    return {VARIABLE: now().isoformat()}


def steady(template: str) -> None:
    """Give the compiled form that transformers keeps of a template this clock, and take chance from it.

    A template that draws at random raises ModelError when it is rendered.
    """
    from transformers.utils import chat_template_utils

    environment: Any = chat_template_utils._compile_jinja_template(template).environment
    environment.globals[_NAME] = _strftime
    environment.globals["lipsum"] = partial(_refuse, "lipsum()")
    environment.filters["random"] = partial(_refuse, "random")


def at(moment: datetime, call: Callable[[], str]) -> str:
    """What a call gives at another moment."""
    global _moment
    before, _moment = _moment, moment
    try:
        return call()
    finally:
        _moment = before


def _strftime(form: str) -> str:
    return now().strftime(form)


def _refuse(what: str, *_: Any, **__: Any) -> str:
    raise ModelError(
        f"the chat template draws at random ({what}), so a conversation would be another prompt each time it "
        "is read. Take that out of chat_template.jinja, or take another model."
    )


def _real() -> datetime:
    return datetime.now().replace(microsecond=0)


def _told() -> datetime | None:
    told = os.environ.get(VARIABLE)
    try:
        return datetime.fromisoformat(told) if told else None
    except ValueError:
        raise ConfigError(
            f"{VARIABLE} is {told!r}; it must be a date and time like 2026-11-29T12:00:00"
        ) from None


def _stored(file: Path) -> datetime | None:
    try:
        return datetime.fromisoformat(disk.read_checked(file)["now"])
    except (StoreError, KeyError, TypeError, ValueError):
        return None


def _first_session(directory: Path) -> datetime | None:
    for record in records(directory):
        try:
            return datetime.fromisoformat(record.facts["started"]).astimezone().replace(tzinfo=None)
        except (KeyError, TypeError, ValueError):
            continue
    return None
