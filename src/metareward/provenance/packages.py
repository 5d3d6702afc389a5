"""The installed packages that results may depend on: everything that ours need, and what those need."""

import importlib.metadata
import re
from collections.abc import Iterator
from functools import cache

OURS = "metareward"
_NOT_OURS = ("dev", "plot")  # extras that no result depends on
_REQUIREMENT = re.compile(
    r"\s*(?P<name>[A-Za-z0-9][\w.-]*)\s*(?:\[(?P<extras>[^\]]*)\])?[^;]*(?:;(?P<marker>.*))?"
)
_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")


@cache
def versions() -> dict[str, str]:
    """Name and version of every installed package in the tree of our dependencies, sorted by name.

    A requirement counts when what it names is installed: markers of platform and version are not looked at.
    """
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(OURS, _own_extras())]
    while waiting:
        name, extras = waiting.pop()
        for extra in {"", *extras}:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            distribution = _installed(name)
            if distribution is not None:
                found[name] = distribution.version
                waiting += _needed(distribution, extra)
    return dict(sorted(found.items()))


def _own_extras() -> tuple[str, ...]:
    distribution = _installed(OURS)
    extras = distribution.metadata.get_all("Provides-Extra") or [] if distribution else []
    return tuple(extra for extra in extras if extra not in _NOT_OURS)


def _needed(
    distribution: importlib.metadata.Distribution, extra: str
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What a distribution needs by itself (extra ""), or for one of its extras."""
    for text in distribution.requires or []:
        match = _REQUIREMENT.match(text)
        asked_by = _EXTRA.findall(match["marker"] or "") if match else []
        if match and (extra in asked_by if extra else not asked_by):
            extras = tuple(part.strip() for part in (match["extras"] or "").split(",") if part.strip())
            yield _canonical(match["name"]), extras


def _installed(name: str) -> importlib.metadata.Distribution | None:
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
