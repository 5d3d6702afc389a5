"""Files of others: only plain ones, of a bounded size, in UTF-8; and weights that are whole."""

import json
import os
import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward import files


def safetensors(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


WHOLE = safetensors({"a": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]}}, b"abc")


def test_a_text_is_read_with_and_without_a_mark(tmp_path):
    for content in (b"caf\xc3\xa9", b"\xef\xbb\xbfcaf\xc3\xa9"):
        (tmp_path / "f").write_bytes(content)
        assert files.read_text(tmp_path / "f") == "café"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("é".encode("utf-16"), "is UTF-16"),
        ("é".encode("utf-16-be"), None),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"PK\x03\x04", "zip"),
        (b"ok \xff", r"not UTF-8 \(byte 4"),
    ],
)
def test_what_it_seems_to_be_instead(content, said):
    if said is None:  # without a mark it may be any bytes
        return
    with pytest.raises(files.UnreadableError, match=said):
        files.decode(content)


def test_the_limit_counts_bytes_and_is_allowed_itself(tmp_path):
    (tmp_path / "f").write_bytes(b"x" * 10)
    assert files.read_text(tmp_path / "f", 10) == "x" * 10
    with pytest.raises(files.UnreadableError, match="more than 9 bytes"):
        files.read_text(tmp_path / "f", 9)


def test_a_pipe_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "f")
    with pytest.raises(files.UnreadableError, match="pipe or a device"):
        files.read_text(tmp_path / "f")
    assert files.safetensors_fault(tmp_path / "f") is not None


def test_a_link_to_a_plain_file_is_one(tmp_path):
    (tmp_path / "f").write_text("x")
    (tmp_path / "l").symlink_to("f")
    assert files.read_text(tmp_path / "l") == "x"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (WHOLE, None),
        (safetensors({}), None),
        (safetensors({"__metadata__": {"format": "pt"}}), None),
        (WHOLE[:-1], r"has 7\d bytes, and its header says"),
        (WHOLE + b"x", "and its header says"),
        (b"", "cut short"),
        (WHOLE[:20], "cut short"),
        (safetensors(b"{{{"), "header is damaged"),
        (safetensors([]), "header is damaged"),
        (safetensors({"a": 3}), "header is damaged"),
        (safetensors({"a": {"data_offsets": [0]}}), "header is damaged"),
        (b"<html>not found</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git LFS"),
        (b"\xff" * 100, "cut short"),
    ],
)
def test_weights_are_whole_or_their_fault_is_named(tmp_path, content, fault):

    (tmp_path / "w").write_bytes(content)
    found = files.safetensors_fault(tmp_path / "w")
    assert (found is None) == (fault is None), found
    assert fault is None or re.search(fault, found or "")


@given(st.integers(0, len(WHOLE) - 1))
def test_weights_cut_anywhere_are_found(tmp_path_factory, length):
    path = tmp_path_factory.mktemp("w") / "w"
    path.write_bytes(WHOLE[:length])
    assert files.safetensors_fault(path)


@given(st.binary(max_size=60))
def test_no_bytes_break_the_check_of_weights(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("w") / "w"
    path.write_bytes(content)
    files.safetensors_fault(path)
