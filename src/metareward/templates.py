"""Prompt templates: one strict pass over trusted text, with untrusted data kept inert.

A template is Jinja2 in a sandbox. Data is inserted as it is and never rendered again, an unknown name
is an error, and tags with which a template fences data are disarmed inside the data.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib import resources

from jinja2 import StrictUndefined, TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from metareward.errors import ConfigError
from metareward.records import Message

_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
)
_FENCES = ("conversation", "response", "judgment_a", "judgment_b")
_FENCE_TAG = re.compile(rf"<(\s*/?\s*(?:{'|'.join(_FENCES)})\s*)>", re.IGNORECASE)


def shipped(name: str) -> str:
    """The text of a template that ships with the package: `judge`, `judge_brief`, `meta_judge`, ..."""
    return resources.files("metareward").joinpath("prompts", f"{name}.txt").read_text(encoding="utf-8")


def check(template: str, required: Iterable[str], where: str) -> None:
    """Refuse a template that cannot be parsed or filled, or uses other names than the required ones."""
    if fault := _fault(template, frozenset(required)):
        raise ConfigError(f"{where}: {fault}")


@lru_cache(maxsize=64)
def _fault(template: str, required: frozenset[str]) -> str | None:
    """What is wrong with a template, found by parsing it and by filling it once, as a run would."""
    try:
        used = meta.find_undeclared_variables(_ENVIRONMENT.parse(template))
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        told = str(error).partition("\n")[0]
        return f"the template cannot be parsed: {told}{f' (line {line})' if line else ''}"
    if unknown := sorted(used - required):
        return f"unknown name {unknown[0]!r}; a template may use {', '.join(sorted(required))}"
    data = {name: f"<<{name} of the trial>>" for name in required}
    try:
        filled = render(template, **data)
    except Exception as error:  # noqa: BLE001 - a template can raise whatever its expressions do
        return f"the template cannot be filled: {type(error).__name__}: {error}"
    missing = sorted(name for name, text in data.items() if text not in filled)
    return f"the template never shows {{{{ {missing[0]} }}}}; add it" if missing else None


def render(template: str, **data: str) -> str:
    """Fill a template in one pass. Fencing tags inside the data are disarmed first."""
    fenced = {name: fence(text) for name, text in data.items()}
    return _ENVIRONMENT.from_string(template).render(**fenced).strip()


def fence(text: str) -> str:
    """Disarm our own fencing tags in untrusted text: `</response>` becomes `&lt;/response&gt;`."""
    return _FENCE_TAG.sub(r"&lt;\1&gt;", text)


def transcript(messages: Sequence[Message]) -> str:
    """A conversation as one text: a single user turn as it is, several turns with their roles."""
    if len(messages) == 1 and messages[0].role == "user":
        return messages[0].content
    return "\n\n".join(f"[{message.role}]\n{message.content}" for message in messages)
