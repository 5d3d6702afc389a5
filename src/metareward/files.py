"""Files that someone else wrote: plain files only, of a bounded size, as UTF-8; whatever else is named.

A pipe or a device can wait or flow for ever, so none is opened.
"""

import gzip
import json
import stat
import zlib
from pathlib import Path

MOST_BYTES = 64 * 2**20
_MAGIC = {
    b"\x1f\x8b": "is compressed (gzip): unpack it first",
    b"\x28\xb5\x2f\xfd": "is compressed (zstd): unpack it first",
    b"PK\x03\x04": "is compressed (zip): unpack it first",
    b"\xff\xfe": "is UTF-16: save it as UTF-8",
    b"\xfe\xff": "is UTF-16: save it as UTF-8",
}
_POINTER = b"version https://git-lfs"
_PAGES = (b"<!doctype", b"<html", b"<?xml")
_LENGTH = 8  # a safetensors file begins with the length of its header, as 8 little-endian bytes


class UnreadableError(ValueError):
    """Why a file cannot be used, and what to do: the rest of a sentence that begins with its path."""


def check_plain(path: Path) -> None:
    """Raise UnreadableError unless `path` leads to a plain file."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        link = "is a link that leads nowhere" if path.is_symlink() else "there is no such file"
        raise UnreadableError(link) from None
    except (OSError, ValueError) as error:
        raise UnreadableError(f"cannot be read: {_reason(error)}") from None
    if stat.S_ISDIR(mode):
        raise UnreadableError("is a directory; name a file")
    if not stat.S_ISREG(mode):
        raise UnreadableError("is a pipe or a device; save what it gives in a file and name that")


def read_text(path: Path, most_bytes: int = MOST_BYTES) -> str:
    """The text of a plain file, without a byte-order mark; UnreadableError if there is none to be had."""
    return decode(read_bytes(path, most_bytes))


def read_bytes(path: Path, most_bytes: int = MOST_BYTES, unpack: bool = False) -> bytes:
    """The bytes of a plain file; UnreadableError if it cannot be read or has too many.

    unpack: give what a file of gzip holds, which must not be more than `most_bytes` either.
    """
    check_plain(path)
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
        if unpack and data.startswith(b"\x1f\x8b") and len(data) <= most_bytes:
            with gzip.open(path) as packed:
                data = packed.read(most_bytes + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UnreadableError(f"cannot be unpacked as gzip: {error}; fetch the file again") from None
    except OSError as error:
        raise UnreadableError(f"cannot be read: {_reason(error)}") from None
    if len(data) > most_bytes:
        raise UnreadableError(f"has more than {most_bytes:,} bytes; is it the right file?")
    return data


def check_encoding(data: bytes) -> None:
    """UnreadableError if bytes begin like something that is no UTF-8: packed files, UTF-16."""
    for magic, what in _MAGIC.items():
        if data.startswith(magic):
            raise UnreadableError(what)


def decode(data: bytes) -> str:
    """UTF-8, with or without a byte-order mark; UnreadableError says what it seems to be instead."""
    check_encoding(data)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = f"byte {error.start + 1}: {error.reason}"
        raise UnreadableError(f"not UTF-8 ({place}); save it as UTF-8") from None


def safetensors_fault(path: Path) -> str | None:
    """Why a safetensors file is damaged, from its header and its length alone; None if it is whole."""
    try:
        check_plain(path)
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(_LENGTH)
            length = int.from_bytes(start, "little")
            if len(start) < _LENGTH or _LENGTH + length > size:
                return _not_safetensors(start + file.read(32))
            header = json.loads(file.read(length))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        expected = _LENGTH + length + max(ends, default=0)
    except UnreadableError as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {_reason(error)}"
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return "its header is damaged"
    return None if size == expected else f"has {size:,} bytes, and its header says {expected:,}"


def _not_safetensors(start: bytes) -> str:
    if start.startswith(_POINTER):
        return "is a pointer of git LFS, not the weights themselves (git lfs pull fetches them)"
    if start.lstrip().lower().startswith(_PAGES):
        return "is a web page, not weights: the download went wrong"
    return "is cut short, or not in the safetensors format"


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
