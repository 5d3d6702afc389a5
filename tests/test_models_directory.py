"""A model directory: a fingerprint of its content alone, and a check that it is whole and safe."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metareward.errors import ModelError
from metareward.models.directory import check_directory, directory_fingerprint

EMPTY_SAFETENSORS = b"\x02\0\0\0\0\0\0\0{}"  # a header that names no weight
FILES = {
    "config.json": b'{"model_type": "llama"}',
    "model.safetensors": EMPTY_SAFETENSORS,
    "tokenizer.json": b"{}",
    "chat_template.jinja": b"{{ messages }}",
}


def write(directory: Path, files: dict[str, bytes]) -> Path:
    directory.mkdir(parents=True)
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return directory


names = st.sampled_from(
    ["config.json", "tokenizer.json", "a.safetensors", "b.safetensors", "merges.txt", "chat_template.jinja"]
)
contents = st.dictionaries(names, st.binary(max_size=8), min_size=1)
fixture_is_safe = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


def print_of(parent: Path, name: str, files: dict[str, bytes]) -> str:
    directory = write(parent / name, files)
    try:
        return directory_fingerprint(directory)
    finally:
        shutil.rmtree(directory)


@fixture_is_safe
@given(first=contents, second=contents)
def test_equal_fingerprints_if_and_only_if_equal_names_and_contents(
    tmp_path: Path, first: dict[str, bytes], second: dict[str, bytes]
) -> None:
    assert (print_of(tmp_path, "one", first) == print_of(tmp_path, "two", second)) == (first == second)


@fixture_is_safe
@given(files=contents)
def test_order_and_place_do_not_count(tmp_path: Path, files: dict[str, bytes]) -> None:
    backwards = dict(reversed(files.items()))
    assert print_of(tmp_path, "a", files) == print_of(tmp_path, "some/other/place", backwards)


def test_the_order_of_the_file_system_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = write(tmp_path / "m", FILES | {f"{letter}.safetensors": b"" for letter in "dacb"})
    expected, glob = directory_fingerprint(directory), Path.glob
    for order in (sorted, lambda found: sorted(found, reverse=True)):
        monkeypatch.setattr(Path, "glob", lambda self, pattern, order=order: order(glob(self, pattern)))
        assert directory_fingerprint(directory) == expected


@pytest.mark.parametrize("name", FILES)
def test_every_file_that_decides_an_answer_counts(tmp_path: Path, name: str) -> None:
    whole = print_of(tmp_path, "m", FILES)
    assert print_of(tmp_path, "m", FILES | {name: FILES[name] + b" "}) != whole
    assert print_of(tmp_path, "m", {key: FILES[key] for key in FILES if key != name}) != whole


@pytest.mark.parametrize(
    "name", ["README.md", "training_args.json", "optimizer.pt", "metareward.json", ".lock"]
)
def test_other_files_do_not_count(tmp_path: Path, name: str) -> None:
    assert print_of(tmp_path, "m", FILES | {name: b"x"}) == print_of(tmp_path, "m", FILES)


def test_swapped_contents_count(tmp_path: Path) -> None:
    one = {"a.safetensors": b"1", "b.safetensors": b"2"}
    two = {"a.safetensors": b"2", "b.safetensors": b"1"}
    assert print_of(tmp_path, "m", one) != print_of(tmp_path, "m", two)


def test_safetensors_beside_pickles_are_fine(tmp_path: Path) -> None:
    check_directory(write(tmp_path / "m", FILES | {"pytorch_model.bin": b"", "training_args.bin": b""}))


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    index = {
        "weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-3.safetensors"}
    }
    files = {"config.json": b"{}", "model-1.safetensors": EMPTY_SAFETENSORS}
    files["model.safetensors.index.json"] = json.dumps(index).encode()
    directory = write(tmp_path / "m", files)
    with pytest.raises(ModelError, match=r"model-2\.safetensors \(and 1 more\)"):
        check_directory(directory)
    for number in (2, 3):
        (directory / f"model-{number}.safetensors").write_bytes(EMPTY_SAFETENSORS)
    check_directory(directory)


def test_shards_without_their_index_are_told_before_they_are_loaded(tmp_path: Path) -> None:
    parts = (f"model-0000{number}-of-00002.safetensors" for number in (1, 2))
    directory = write(tmp_path / "m", {"config.json": b"{}", **dict.fromkeys(parts, EMPTY_SAFETENSORS)})
    with pytest.raises(ModelError, match=r"neither model\.safetensors nor model\.safetensors\.index\.json"):
        check_directory(directory)


@pytest.mark.parametrize("text", ["not json", "{}", '{"weight_map": 3}', "[]"])
def test_an_unreadable_index_is_named(tmp_path: Path, text: str) -> None:
    directory = write(tmp_path / "m", FILES | {"model.safetensors.index.json": text.encode()})
    with pytest.raises(ModelError, match=r"index\.json is not a readable weights index"):
        check_directory(directory)
