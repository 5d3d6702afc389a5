"""Untrusted text made fit to be shown: nothing in it moves a terminal, hides, or becomes markup.

What models and files say reaches a person through `plain` (a terminal) or `markdown` (a card), nowhere raw.
"""

import re
import unicodedata

_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, format (direction too), unpaired, line separators
_KEPT = "\n\t\u200c\u200d"  # joiners belong to scripts and emoji
_SAFE = re.compile(r"[\n\t -~]*")
_PUNCTUATION = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|[^\w\s,'()-]", re.ASCII)


def plain(text: str, limit: int | None = None) -> str:
    """Text as a terminal may show it: control, format and unpaired characters are written out (`\\x1b`).

    Line breaks, tabs and joiners stay. limit: most characters of the text; how many more there are is said.
    """
    if limit is not None and len(text) > limit:
        return f"{plain(text[:limit])}… ({len(text) - limit} more characters)"
    return text if _SAFE.fullmatch(text) else "".join(map(_shown, text))


def one_line(text: str, limit: int | None = None) -> str:
    """The same, line breaks and tabs written out as well."""
    return plain(text, limit).replace("\n", "\\n").replace("\t", "\\t")


def markdown(text: str) -> str:
    """Text within a line of Markdown, none of which is markup, HTML or a link.

    Every other mark than an underscore within a word and a few harmless ones gets a backslash.
    """
    shown = _PUNCTUATION.sub(lambda mark: f"\\{mark[0]}" if mark[0].isascii() else mark[0], one_line(text))
    return shown.replace("\\<", "&lt;").replace("\\&", "&amp;")


def code(text: str) -> str:
    """Text within a line of Markdown as code."""
    shown = one_line(text).replace("|", "\\|")
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    around = "`" * (longest + 1)
    return f"{around} {shown} {around}" if "`" in shown or not shown.strip() else f"{around}{shown}{around}"


def _shown(character: str) -> str:
    hidden = unicodedata.category(character) in _HIDDEN and character not in _KEPT
    return character.encode("unicode_escape").decode() if hidden else character
