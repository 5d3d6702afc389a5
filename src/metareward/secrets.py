"""Keys come from the environment and stay there: nothing that looks like one is written or shown.

Texts of ours hold none. `scrub` stands at the few doors where texts of other libraries (error messages,
tracebacks, a training's log) enter our files and the console.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO, cast

from metareward.errors import ConfigError

MASK = "[secret]"
_SHORTEST = 6  # characters; a shorter value of the environment would mask half of any text
_WORDS = {"key", "apikey", "token", "secret", "password", "passwd", "passphrase", "credentials", "pat"}
_HARMLESS = re.compile(r"(?i)true|false|none|null|[\d.]+")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_URL = re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,20}://)[^\s/?#\"'<>]*@")
_ASSIGNED = re.compile(
    r"(?i)\b((?:api[_-]?key|apikey|access[_-]?key|(?:access|auth)[_-]?token|token|secret|password|passwd)"
    r"(?:[\"']\s*:\s*|[\"']?\s?=\s?))([\"']?)(?!\[secret\])[^\s\"'&,;)\]}]{6,}"
)
_BEARER = re.compile(
    r"(?i)\b(bearer\s+(?=\S*\d)|authorization[\"']?\s*[:=]\s*[\"']?\w+\s+)(?!\[secret\])[\w.~+/-]{8,}=*"
)
_SHAPES = re.compile(
    r"""\b(?:
      sk-[A-Za-z0-9_-]{16,}                       # OpenAI, Anthropic and many that copy them
    | hf_[A-Za-z0-9]{16,}                         # Hugging Face
    | gh[pousr]_[A-Za-z0-9]{20,} | github_pat_\w{20,} | glpat-[\w-]{16,}
    | (?:AKIA|ASIA)[0-9A-Z]{16} | AIza[\w-]{30,}  # clouds
    | xox[abeprs]-[\w-]{10,} | nvapi-[\w-]{20,} | gsk_[A-Za-z0-9]{20,} | r8_[A-Za-z0-9]{20,} | pypi-[\w-]{20,}
    | eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*          # JSON web tokens
    )""",
    re.VERBOSE,
)
_PRIVATE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)


def looks_secret(name: str) -> bool:
    """Whether a setting or variable of this name holds a secret: one of its words is key, token, ..."""
    return any(word.lower() in _WORDS for word in _WORD.findall(name))


def scrub(text: str, environment: Mapping[str, str] | None = None) -> str:
    """A text without secrets: values of secret-looking variables, credentials in URLs, known forms of keys.

    environment: os.environ if not given.
    """
    known = _values(tuple((os.environ if environment is None else environment).items()))
    if known is not None:
        text = known.sub(MASK, text)
    text = _PRIVATE.sub(MASK, text)
    text = _URL.sub(rf"\1{MASK}@", text)
    text = _BEARER.sub(rf"\1{MASK}", text)
    text = _ASSIGNED.sub(rf"\1\2{MASK}", text)
    return _SHAPES.sub(MASK, text)


def scrub_file(path: Path) -> None:
    """Scrub a text file where it lies; bytes that are no UTF-8 stay as they are."""
    if not path.is_file():
        return
    before = path.read_bytes()
    after = scrub(before.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    if after != before:
        aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        aside.write_bytes(after)
        aside.replace(path)


def lines_with_secrets(text: str) -> list[int]:
    """The numbers of the lines (from 1) that hold a secret."""
    return [number for number, line in enumerate(text.splitlines(), 1) if scrub(line) != line]


def refuse_secrets(text: str, given: Mapping[str, Any], where: str = "") -> None:
    """ConfigError if a config holds a secret, in its text or as a setting (`given`) of such a name.

    The message names places, never what stands there.
    """
    named = list(secret_settings(given))
    lines = lines_with_secrets(text)
    if named or lines:
        places = ", ".join(map(repr, named)) if named else f"{where}line {lines[0]}"
        raise ConfigError(
            f"{places} looks like a secret (a key, token or password). A config is copied into runs and "
            "exports, so it may hold none: remove it here, set it as an environment variable of the library "
            "that wants it (such as HF_TOKEN), and change it if this file was ever shared"
        )


def secret_settings(given: Any, where: str = "") -> Iterator[str]:
    """Dotted names of settings that look like secrets, in plain data."""
    if isinstance(given, Mapping):
        for name, value in given.items():
            place = f"{where}.{name}".lstrip(".")
            if looks_secret(str(name)):
                yield place
            yield from secret_settings(value, place)
    elif isinstance(given, list):
        for number, value in enumerate(given):
            yield from secret_settings(value, f"{where}[{number}]")


class Scrubbing:
    """A text stream that scrubs what is written to it; everything else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text without its secrets; returns the length that was given."""
        self._stream.write(scrub(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def scrub_output() -> None:
    """From here on, what this process writes to its output and error streams is scrubbed."""
    sys.stdout, sys.stderr = cast(TextIO, Scrubbing(sys.stdout)), cast(TextIO, Scrubbing(sys.stderr))


@lru_cache(maxsize=4)
def _values(environment: tuple[tuple[str, str], ...]) -> re.Pattern[str] | None:
    """A pattern of the secret values, the longest first, as written and as a repr or JSON would show them."""
    found = {value.strip() for name, value in environment if looks_secret(name) and _telling(value.strip())}
    found |= {line for value in found for line in value.splitlines() if len(line) >= 2 * _SHORTEST}
    found |= {value.encode("unicode_escape").decode() for value in found}
    if not found:
        return None
    return re.compile("|".join(map(re.escape, sorted(found, key=len, reverse=True))))


def _telling(value: str) -> bool:
    """Whether a value is worth hiding: not a flag, a number or the path of a file that is there."""
    if len(value) < _SHORTEST or _HARMLESS.fullmatch(value):
        return False
    return not (value.startswith("/") and os.path.exists(value))  # noqa: PTH110 - it may be no path at all
