"""Settings of conditions that a user changes: `dpo.beta=0.2`, for all that have it or for one by name."""

import dataclasses
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from metareward.errors import ConfigError
from metareward.lab.conditions import Budget, Condition
from metareward.overlay import near, overlay, typed
from metareward.settings import shown

_FORM = re.compile(r"(?:(?P<condition>[\w.-]+):)?(?P<key>\w+(?:\.\w+)?)\s*=\s*(?P<value>.*)", re.DOTALL)
_APART = ("evaluate", "eft", "attack", "watch")  # not of this world, or what it is measured with
_FIXED = ("seed", "template")  # by the comparison, and by what the base models were taught


@dataclass(frozen=True)
class Change:
    """One setting, TABLE.NAME or NAME, of one condition, or of all that have it where `condition` is None."""

    key: str
    value: Any
    condition: str | None = None


def read_change(given: str) -> Change:
    """`[CONDITION:]KEY=VALUE`, the value in TOML, or else taken as a text. ConfigError for another form."""
    match = _FORM.fullmatch(given.strip())
    if match is None:
        raise ConfigError(
            f"--set {shown(given)}: must be KEY=VALUE or CONDITION:KEY=VALUE, such as dpo.beta=0.2 or "
            "meta_rewarding:iterations.rho=0.35"
        )
    return Change(match["key"], _value(match["value"].strip()), match["condition"])


def changed(
    conditions: Mapping[str, Condition], changes: Sequence[Change], budget: Budget
) -> dict[str, Condition]:
    """The conditions with the changes made. Raises ConfigError if a change fits none of them, or is wrong."""
    made = dict(conditions)
    for change in changes:
        for name in _meant(change, made, budget):
            made[name] = _changed(name, made[name], change)
            made[name].settings(budget, 0)
    return made


def known(settings: Any) -> list[str]:
    """Every key that can be set."""
    return [key for field in dataclasses.fields(settings) for key in _keys(settings, field.name)]


def _value(text: str) -> Any:
    try:
        read = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return read["value"] if list(read) == ["value"] else text


def _meant(change: Change, conditions: Mapping[str, Condition], budget: Budget) -> list[str]:
    """The conditions that a change is for."""
    keys = {name: known(condition.settings(budget, 0)) for name, condition in conditions.items()}
    if change.condition is not None and change.condition not in keys:
        raise ConfigError(
            f"--set {change.condition}:{change.key}: {shown(change.condition)} is not among the chosen "
            f"conditions ({', '.join(keys)}){near(change.condition, keys)}"
        )
    asked = keys if change.condition is None else [change.condition]
    found = [name for name in asked if change.key in keys[name]]
    if not found:
        raise ConfigError(
            _unknown(change.key, list(asked), sorted({key for name in asked for key in keys[name]}))
        )
    return found


def _unknown(key: str, asked: list[str], every: list[str]) -> str:
    """Of a table that there is, its settings; else the tables, and what stands outside of them."""
    inside = [known for known in every if known.startswith(f"{key.partition('.')[0]}.")]
    outside = dict.fromkeys(re.sub(r"\..*", ".*", known) for known in every)
    return (
        f"--set {key}: none of {', '.join(asked)} has such a setting{near(key, every)}; there are "
        f"{', '.join(inside or outside)}"
    )


def _changed(name: str, condition: Condition, change: Change) -> Condition:
    def settings(budget: Budget, seed: int) -> Any:
        made = condition.settings(budget, seed)
        try:
            return _with(made, change)
        except ConfigError as error:
            hint = "" if change.condition else f"; to set it in one alone, write CONDITION:{change.key}=..."
            raise ConfigError(f"--set {change.key}, in {name}: {error}{hint}") from None

    return replace(condition, settings=settings)


def _with(settings: Any, change: Change) -> Any:
    part, _, name = change.key.partition(".")
    before = getattr(settings, part)
    if not name:
        return replace(settings, **{part: typed(type(before), change.value, part)})
    given = {name: change.value}
    if isinstance(before, tuple):
        return replace(settings, **{part: tuple(overlay(each, given, part) for each in before)})
    return replace(settings, **{part: overlay(before, given, part)})


def _keys(settings: Any, part: str) -> Iterable[str]:
    value = getattr(settings, part)
    each = value[0] if isinstance(value, tuple) and value else value
    if part in _APART:
        return []
    if not dataclasses.is_dataclass(each):
        return [part]
    return [f"{part}.{field.name}" for field in dataclasses.fields(each) if field.name not in _FIXED]
