"""Prompt templates: one strict pass over trusted text, with untrusted data kept inert.

A template is Jinja2 in a sandbox. Data is inserted as it is and never rendered again, an unknown name
is an error, and what a template puts around its data, tags of any name or lines, is disarmed inside the
data (see `fences`). Only the prompt shows the disarmed form; records keep the text as it was.

A template that asks for another verdict than `Score: 0` to `5`, or than `Winner: A` or `B`, says so in a
comment at its very beginning: `{# verdict: Rating, 1 to 10 #}`, `{# verdict: Better, A or B #}`. A template
that shows judgments without their scores says in the same place how these are written:
`{# judgments: Rating, 1 to 10 #}`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from importlib import resources

from jinja2 import StrictUndefined, Template, TemplateError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from metareward.errors import ConfigError
from metareward.fences import Fences, fences_around, roles
from metareward.readers import WINNER, Scale, asked_for, check_label
from metareward.reasoning import AUTO
from metareward.records import Message

_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
)
_TURNS = roles(("system", "user", "assistant"))
_COMMENT = re.compile(r"\s*\{#-?\s*(verdict|judgments)\b([^#]{0,200})#\}")
_ANYWHERE = re.compile(r"\{#-?\s*(?:verdict|judgments)\s*:")
_SCORED = re.compile(r"\s*:\s*([^,]{1,60}?)\s*,\s*([0-9]{1,6})\s+to\s+([0-9]{1,6})\s*-?")
_WON = re.compile(r"\s*:\s*([^,]{1,60}?)\s*,\s*A or B\s*-?")
_SCALE = re.compile(
    r"(?:scor|rat|grad|scale|points?|mark)[^\n]{0,40}?(?:\b(?:[0-9]{1,2} ?(?:-|–|to|and|through) ?|out of )"
    r"(7|10|20|100)\b|/ ?(7|10|20|100)\b)",
    re.IGNORECASE,
)
_TO_FIVE = re.compile(
    r"(?:\b[0-9] ?(?:-|–|to|and|through) ?|out of |/ ?)(?:5|five)\b|\b(?:5|five)[- ]points?\b", re.I
)
_FORMS = "{# verdict: Rating, 1 to 10 #}, {# verdict: Better, A or B #} or {# judgments: Rating, 1 to 10 #}"


def shipped(name: str) -> str:
    """The text of a template that ships with the package: `judge`, `judge_brief`, `meta_judge`, ..."""
    return resources.files("metareward").joinpath("prompts", f"{name}.txt").read_text(encoding="utf-8")


def check(template: str, required: Iterable[str], where: str, verdict: str = "") -> None:
    """Refuse a template that cannot be parsed or filled, or uses other names than the required ones.

    verdict: what its head may declare: "score", "winner", or nothing, where the verdict's form is fixed.
    """
    if fault := _fault(template, frozenset(required)) or _head_fault(template, verdict):
        raise ConfigError(f"{where}: {fault}")


def scale_of(template: str) -> Scale:
    """The label and the scale of the score that a judge's template asks for."""
    return _scale(_declared(template).get("verdict"))


def shown_scale_of(template: str) -> Scale:
    """The label and the scale of the scores in the judgments that a template shows."""
    return _scale(_declared(template).get("judgments"))


def winner_label_of(template: str) -> str:
    """What a template between two texts has the verdict called."""
    found = _WON.fullmatch(_declared(template).get("verdict", ""))
    return found[1] if found else WINNER


def other_scale(template: str, where: str) -> str | None:
    """One sentence if a judge's template declares no scale and speaks of another one than 0 to 5."""
    said, scale = _own_words(template), scale_of(template)
    other = _SCALE.search(said)
    if not other or scale != Scale() or _TO_FIVE.search(said):
        return None
    return (
        f"{where} speaks of a scale to {other[1] or other[2]} and declares none, so scores are read "
        f"from {scale.span}; declare it at the beginning of the template, as in {_FORMS}"
    )


def unasked(template: str, where: str, verdict: str) -> str | None:
    """One sentence if a template never asks for the verdict line that is read, or speaks of another scale.

    None if it does; it can still be used, for a model may have learnt to write the line unasked.
    """
    said = _own_words(template)
    scale, label = scale_of(template), winner_label_of(template)
    if verdict == "score":
        label = scale.label
        if other := other_scale(template, where):
            return other
    if asked_for(said, label, verdict) & {label.casefold(), ""}:
        return None
    form = f"{label}: <number from {scale.span}>" if verdict == "score" else f"{label}: <A or B>"
    return (
        f"{where} never asks for a line {form!r}, so a free reading will hardly find a verdict; ask for "
        f"it in "
        f"the template, or declare what it asks for at its beginning, as in {_FORMS}"
    )


def _own_words(template: str) -> str:
    return "".join(piece or " " for piece in _pieces(_ENVIRONMENT.parse(template)))


@lru_cache(maxsize=64)
def _declared(template: str) -> dict[str, str]:
    """What the comments at the beginning of a template declare, by their first words."""
    found: dict[str, str] = {}
    while comment := _COMMENT.match(template):
        found[comment[1]] = comment[2]
        template = template[comment.end() :]
    return found


def _scale(said: str | None) -> Scale:
    found = _SCORED.fullmatch(said or "")
    return Scale(found[1], int(found[2]), int(found[3])) if found else Scale()


def _head_fault(template: str, verdict: str) -> str | None:
    declared = _declared(template)
    if len(_ANYWHERE.findall(template)) != len(declared):
        return (
            f"a verdict is declared once, in a comment at the very beginning of the template, as in {_FORMS}"
        )
    allowed = {"score": {"verdict"}, "winner": {"verdict", "judgments"}}.get(verdict, set())
    if verdict == "score" and "verdict" not in declared:
        asked = asked_for(_own_words(template), Scale().label, verdict)
        if asked and not asked & {Scale().label.casefold(), ""}:
            return (
                f"it asks for the line {sorted(asked)[0].capitalize()!r} and does not say on what scale; "
                f"declare "
                f"both in a comment at the very beginning of the template, as in {_FORMS}"
            )
    for name, said in declared.items():
        if name not in allowed:
            return f"the form of what is read here is fixed; take the comment {{# {name} ... #}} out"
        form = _WON if (name, verdict) == ("verdict", "winner") else _SCORED
        match = form.fullmatch(said)
        if match is None:
            return f"cannot read the comment {{# {name}{said.rstrip()} #}}; such comments are {_FORMS}"
        try:
            check_label(match[1])
            _scale(said)
        except ConfigError as error:
            return str(error)
    return None


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
