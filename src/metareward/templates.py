"""Prompt templates: one strict pass over trusted text, with untrusted data kept inert.

A template is Jinja2 in a sandbox. Data is inserted as it is and never rendered again, an unknown name
is an error, and tags with which a template fences data are disarmed inside the data.
"""

import re
from collections.abc import Iterable, Sequence
from importlib import resources

from jinja2 import StrictUndefined, TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from metareward.errors import ConfigError
from metareward.records import Message

_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
)
_FENCES = ("conversation", "response", "response_a", "response_b", "judgment_a", "judgment_b")
_FENCE_TAG = re.compile(rf"<(\s*/?\s*(?:{'|'.join(_FENCES)})\s*)>", re.IGNORECASE)


def shipped(name: str) -> str:
    """The text of a template that ships with the package: `judge`, `judge_brief`, `meta_judge`, ..."""
    return resources.files("metareward").joinpath("prompts", f"{name}.txt").read_text(encoding="utf-8")


def check(template: str, required: Iterable[str], where: str) -> None:
    """Refuse a template that cannot be parsed, uses unknown names, or leaves out a required one."""
    required = set(required)
    try:
        used = meta.find_undeclared_variables(_ENVIRONMENT.parse(template))
    except TemplateError as error:
        raise ConfigError(f"{where}: the template cannot be parsed: {error}") from None
    if unknown := sorted(used - required):
        raise ConfigError(f"{where}: unknown name {unknown[0]!r}; a template may use {sorted(required)}")
    if missing := sorted(required - used):
        raise ConfigError(f"{where}: the template never shows {{{{ {missing[0]} }}}}; add it")


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
