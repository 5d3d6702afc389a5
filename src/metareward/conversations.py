"""A row of a file of prompts as a conversation: every known form, every column that belongs to the prompt.

A column that belongs to the prompt is used where its place in it is certain, and named where it is not: none
is left out without a word.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from metareward.records import Message
from metareward.rows import BadRow, kind
from metareward.settings import one_of, shown

COLUMNS = ("prompt", "messages", "conversations", "conversation", "instruction")
"""Where a row may keep its prompt, the first that holds something counts."""
SYSTEM = ("system", "system_prompt", "system_message")
ADDED = ("input", "context")
"""What is said below an instruction, as Alpaca does it."""
FORMS = (
    'a row is {"prompt": text or messages}, {"messages": [...]}, {"conversations": [{"from", "value"}]}, '
    '{"instruction": text, "input": text}, or a text alone'
)
_BESIDE = (*SYSTEM, "history", *ADDED, "tools")
_PICTURES = ("image", "images", "video", "videos", "audio", "audios")
_WRITTEN = re.compile(r"""\s*\[\s*\{\s*["'](?:role|from|content|value)["']\s*:""")  # messages, as a text
_ROLES = ("system", "user", "assistant")
_SAME_ROLE = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant"}
_SAME_ROLE |= {"model": "assistant", "developer": "system"}
_OF_TOOLS = ("tool", "function", "function_call", "function_response", "observation", "ipython")
_BEGUN = ("prompt", "instruction")  # texts that `input` and `context` belong below
_TOOLS = "tool conversation"
_ODD_TURN = "a turn of another form"
_NO_TEXT = "a column that is no text"
_NOT_TEXT = "pictures or sound"
_NO_PLACE = "a column without a certain place"
_COLUMNS_SHOWN = 8
_NEAR = 0.7  # so that "question" is not taken for a slip of "conversation"


def needed(column: str | None) -> tuple[str, ...]:
    """The columns that a row's prompt may stand in."""
    return (column, *_BESIDE) if column else (*COLUMNS, *_BESIDE, *_PICTURES)


def conversation_of(row: Any, column: str | None, where: str) -> list[Message]:
    """The turns that wait for an answer. BadRow, with the place, where the row cannot be used.

    column: where the prompt stands, if the user says so; then other columns that could hold one do not count.
    """
    if isinstance(row, str) and column is None:
        return [Message("user", row)]
    if not isinstance(row, Mapping):
        wanted = FORMS if column is None else f"a row must be an object with a column {shown(column)}"
        raise BadRow("not a row of prompts", f"{where}: {kind(row)} is not a prompt; {wanted}")
    name = column or _first(COLUMNS, lambda name: _holds(row.get(name))) or _first(COLUMNS, row.__contains__)
    if name is None or name not in row:
        raise BadRow("no prompt column", f"{where}: {_missing(column, list(row))}")
    if name == "instruction" and column is None and not isinstance(row[name], str):
        raise BadRow(_NO_TEXT, f"{where}: {name!r} must be a text, not {kind(row[name])}")
    turns = _turns(row[name], name, where)
    if column is None:
        turns = _agreed(turns, name, row, where)
    return _completed(turns, name, row, column, where)


def beside(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a row keeps of a prompt in other columns than the prompt's own, pictures and tools with it."""
    return {name: row[name] for name in (*_BESIDE, *_PICTURES) if _holds(row.get(name))}


def unused_columns(row: Any, column: str | None) -> list[str]:
    """Columns of a row that seem to belong to the prompt but stand beside a column that the user named."""
    if column is None or not isinstance(row, Mapping):
        return []
    begun = column in _BEGUN and isinstance(row.get(column), str)
    added = [name for name in ADDED if not (begun and isinstance(row.get(name), str))]
    return [name for name in (*added, "tools", *_PICTURES) if name != column and _holds(row.get(name))]


def _first(names: Iterable[str], holds: Callable[[str], object]) -> str | None:
    return next((name for name in names if holds(name)), None)


def _completed(
    turns: list[Message], name: str, row: Mapping[str, Any], column: str | None, where: str
) -> list[Message]:
    """The turns with what other columns add to them: system, history, input and context."""
    if column is None and _holds(row.get("tools")):
        raise BadRow(_TOOLS, f"{where}: 'tools' stands beside {name!r}, and tools are not supported")
    if column is None and (picture := _first(_PICTURES, lambda name: _holds(row.get(name)))):
        told = f"{where}: {picture!r} stands beside {name!r}, and only text is taken; set column = {name!r}"
        raise BadRow(_NOT_TEXT, f"{told} in [prompts] to ask without it")
    alone = isinstance(row[name], str) and len(turns) == 1
    if alone and name in _BEGUN:
        turns = [Message("user", _with_added(turns[0].content, name, row, column, where))]
    elif column is None:
        for beside in (beside for beside in ADDED if _holds(row.get(beside))):
            if not _says(turns, row[beside]):
                raise BadRow(
                    _NO_PLACE,
                    f"{where}: {beside!r} stands beside {name!r}, where it has no certain place; put "
                    f"it into one of them, or set column = {name!r} in [prompts] to leave it out",
                )
    turns = [*_history(row.get("history"), name, alone, where), *turns] if name != "history" else turns
    return _with_system(turns, name, row, where)


def _with_added(text: str, name: str, row: Mapping[str, Any], column: str | None, where: str) -> str:
    """Below the text what `input` and `context` say, if a whole prompt does not say it already."""
    parts = [text]
    for beside in ADDED:
        said = row.get(beside)
        if isinstance(said, str):
            known = name == "prompt" and said.strip() in text
            parts += [said] if text.strip() and said.strip() and not known else []
        elif column is None and said is not None:
            raise BadRow(_NO_TEXT, f"{where}: {beside!r} must be a text, not {kind(said)}")
    return "\n\n".join(dict.fromkeys(parts))


def _with_system(turns: list[Message], column: str, row: Mapping[str, Any], where: str) -> list[Message]:
    for name in SYSTEM:
        said = row.get(name) if name != column else None
        if said is None:
            continue
        if not isinstance(said, str):
            raise BadRow(_NO_TEXT, f"{where}: {name!r} must be a text, not {kind(said)}")
        first = turns[0] if turns and turns[0].role == "system" else None
        if not said.strip() or (first and first.content.strip() == said.strip()):
            continue
        if first:
            raise BadRow(
                "two system prompts",
                f"{where}: {name!r} and the system's turn that is there already differ; remove one of them",
            )
        turns = [Message("system", said), *turns]
    return turns


def _history(value: Any, name: str, alone: bool, where: str) -> list[Message]:
    """Earlier turns, as Alpaca's files keep them: pairs of what was asked and what was answered."""
    if not _holds(value):
        return []
    if not alone:
        raise BadRow(
            _NO_PLACE,
            f"{where}: 'history' stands beside {name!r}, which has turns of its own; keep them in one column",
        )
    if not isinstance(value, list):
        raise BadRow(
            "a history of another form",
            f"{where}: 'history' must be a list of [question, answer] pairs, not {kind(value)}",
        )
    if all(isinstance(turn, Mapping) for turn in value):
        return [turn_of(given, f"{where}: history {number}") for number, given in enumerate(value, 1)]
    turns: list[Message] = []
    for number, pair in enumerate(value, 1):
        texts = isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(t, str) for t in pair)
        if not texts:
            raise BadRow(
                "a history of another form",
                f"{where}: history {number} must be two texts, [question, answer], not {shown(pair)}",
            )
        turns += [Message("user", pair[0]), Message("assistant", pair[1])]
    return turns


def _agreed(turns: list[Message], name: str, row: Mapping[str, Any], where: str) -> list[Message]:
    """The turns, or longer ones of another column that end in them; columns that differ are refused."""
    for other in COLUMNS:
        if other == name or not isinstance(row.get(other), str | list) or not _holds(row[other]):
            continue
        if other == "instruction" and _says(turns, row[other]):
            continue
        others = _turns(row[other], other, where)
        if turns == others[len(others) - len(turns) :]:
            turns = others
        elif others != turns[len(turns) - len(others) :]:
            raise BadRow(
                "prompt columns that differ",
                f"{where}: {name!r} and {other!r} hold different prompts; remove one, or name the one that "
                f"counts with column = {name!r} in [prompts]",
            )
    return turns


def _says(turns: Sequence[Message], text: Any) -> bool:
    """Whether a prompt holds an instruction, as those do that were made of one by a template."""
    return isinstance(text, str) and any(text.strip() in turn.content for turn in turns)


def _holds(value: Any) -> bool:
    """Whether a column says anything in this row."""
    return value not in (None, "", "[]", "null") and (not isinstance(value, list | dict) or bool(value))


def _missing(column: str | None, names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _COLUMNS_SHOWN} more" if len(names) > _COLUMNS_SHOWN else ""
    has = f"; there is {', '.join(map(shown, names[:_COLUMNS_SHOWN])) or 'nothing'}{more}"
    near = [n for one in ([column] if column else COLUMNS) for n in get_close_matches(one, names, 1, _NEAR)]
    hint = f"; did you mean {near[0]!r}?" if near else "."
    if column:
        return f"no column {shown(column)}{has}{hint} Mend column in [prompts]."
    known = one_of(name for name in COLUMNS if name != "conversation")
    return f"no column {known}{has}{hint} Name yours with [prompts] column."


def _turns(value: Any, name: str, where: str) -> list[Message]:
    if isinstance(value, str):
        value = _written(value, name, where)
    if isinstance(value, str):
        return [Message("user", value)]
    if value is None:
        raise BadRow("no prompt", f"{where}: {name!r} must be a text or a list of messages, not nothing")
    if not isinstance(value, list):
        raise BadRow(_NO_TEXT, f"{where}: {name!r} must be a text or a list of messages, not {kind(value)}")
    turns = [turn_of(given, f"{where}: message {number}") for number, given in enumerate(value, 1)]
    while turns and turns[-1].role == "assistant":  # an answer that the dataset brings along
        turns.pop()
    return turns


def _written(text: str, name: str, where: str) -> Any:
    """The turns that a text of such a column writes out, as in a table; any other text as it is."""
    if name in _BEGUN or not _WRITTEN.match(text):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        told = f"{where}: {name!r} is a text that begins like a list of messages and is no JSON"
        raise BadRow(_ODD_TURN, f"{told}; write it with json.dumps, or as a list") from None


def turn_of(turn: Any, where: str) -> Message:
    """A turn as {"role", "content"}, or as ShareGPT's {"from", "value"}."""
    if not isinstance(turn, Mapping):
        raise BadRow(_ODD_TURN, f'{where}: must be {{"role": ..., "content": ...}}, not {kind(turn)}')
    names = ("from", "value") if "from" in turn and "role" not in turn else ("role", "content")
    role, content = (turn.get(name) for name in names)
    if not isinstance(role, str):
        raise BadRow(_ODD_TURN, f"{where}: {names[0]!r} must be a text, not {kind(role)}")
    if role in _OF_TOOLS or any(_holds(turn.get(name)) for name in ("tool_calls", "function_call")):
        raise BadRow(_TOOLS, f"{where}: a turn of tools ({shown(role)}), which are not supported")
    role = _SAME_ROLE.get(role, role) if names[0] == "from" or role == "developer" else role
    if role not in _ROLES:
        raise BadRow(
            "unknown role", f"{where}: unknown role {shown(role)}; a role is one of {', '.join(_ROLES)}"
        )
    return Message(role, _content(content, names[1], where))


def _content(content: Any, name: str, where: str) -> str:
    """A text, also one in parts; pictures and sound are refused by their name."""
    if isinstance(content, list) and content and all(isinstance(part, Mapping) for part in content):
        if other := next(_not_text(content), None):
            raise BadRow(_NOT_TEXT, f"{where}: a part of type {shown(other)}; only text is taken")
        if all(isinstance(part.get("text"), str) for part in content):
            return "".join(part["text"] for part in content)
    if not isinstance(content, str):
        raise BadRow(_ODD_TURN, f"{where}: {name!r} must be a text, not {kind(content)}")
    return content


def _not_text(parts: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    return (str(part.get("type")) for part in parts if part.get("type", "text") not in ("text", "input_text"))


def checked(turns: Sequence[Message], where: str) -> tuple[Message, ...]:
    """The turns of a prompt; BadRow if one is blank or the last is not the user's."""
    if not turns or turns[-1].role != "user":
        last = f"ends with the {turns[-1].role}" if turns else "has no turn that waits for an answer"
        raise BadRow(
            "no turn of the user at the end",
            f"{where}: the conversation {last}; a prompt must end in a turn of the user",
        )
    for turn in turns:
        if not turn.content.strip():
            raise BadRow(
                "empty prompt",
                f"{where}: empty prompt: the {turn.role}'s turn is blank; fill it or remove the row",
            )
    return tuple(turns)
