"""Prompt templates: one strict pass over trusted text, with untrusted data kept inert.

A template is Jinja2 in a sandbox. Data is inserted as it is and never rendered again, an unknown name
is an error, and what a template puts around its data, tags of any name or lines, is disarmed inside the
data (see `fences`). Only the prompt shows the disarmed form; records keep the text as it was.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from importlib import resources

from jinja2 import StrictUndefined, Template, TemplateError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from metareward.errors import ConfigError
from metareward.fences import Fences, fences_around, roles
from metareward.reasoning import AUTO
from metareward.records import Message

_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
)
_TURNS = roles(("system", "user", "assistant"))


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
    data = {name: f"trial0of0{name}" for name in required}  # no spelling of any fence
    try:
        filled = render(template, **data)
    except ConfigError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - a template can raise whatever its expressions do
        return f"the template cannot be filled: {type(error).__name__}: {error}"
    missing = sorted(name for name, text in data.items() if text not in filled)
    return f"the template never shows {{{{ {missing[0]} }}}}; add it" if missing else None


def render(template: str, **data: str) -> str:
    """Fill a template in one pass. Spellings of its fences inside the data are disarmed first."""
    fenced = {name: disarm(template, text) for name, text in data.items()}
    try:
        return _compiled(template).render(**fenced).strip()
    except (TemplateError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise ConfigError(f"the template cannot be filled: {error}; mend what it computes") from None


@lru_cache(maxsize=1024)
def disarm(template: str, text: str) -> str:
    """The text with every spelling of the template's fences between ⟦ and ⟧, as a prompt shows it."""
    return _fences(template).disarm(text)


def transcript(messages: Sequence[Message]) -> str:
    """A conversation as one text: a single user turn as it is, several turns with their roles.

    Of an assistant's turn only the answer is shown, not the reasoning before it (between markers of
    `reasoning.KNOWN`). A line in a message that looks like the mark of a turn, such as `[user]`, is disarmed.
    """
    texts = [_TURNS.disarm(_said(message)) for message in messages]
    if len(messages) == 1 and messages[0].role == "user":
        return texts[0]
    return "\n\n".join(f"[{message.role}]\n{text}" for message, text in zip(messages, texts, strict=True))


def literal(template: str) -> list[str]:
    """What a template says itself, in pieces between the places where it shows data."""
    return [piece for piece in _pieces(_ENVIRONMENT.parse(template)) if piece is not None]


def _said(message: Message) -> str:
    return AUTO.answer(message.content) if message.role == "assistant" else message.content


@lru_cache(maxsize=64)
def _compiled(template: str) -> Template:
    return _ENVIRONMENT.from_string(template)


@lru_cache(maxsize=64)
def _fences(template: str) -> Fences:
    return fences_around(_pieces(_ENVIRONMENT.parse(template)))


def _pieces(tree: nodes.Template) -> Iterator[str | None]:
    """What a template writes, in order: its own texts, and None where it shows data."""
    for output in tree.find_all(nodes.Output):
        for node in output.nodes:
            yield from _written(node)


def _written(node: nodes.Node) -> Iterator[str | None]:
    if isinstance(node, nodes.Concat | nodes.Add):
        for part in node.iter_child_nodes():
            yield from _written(part)
    elif isinstance(node, nodes.TemplateData):
        yield node.data
    else:
        yield str(node.value) if isinstance(node, nodes.Const) else None
