"""A run's directory from a stranger is read as data or refused in one sentence, and leads nowhere else."""

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import loops
import planted
from metareward import cli, disk
from metareward.errors import MetarewardError, StoreError
from metareward.export import export_run
from metareward.ids import file_digest
from metareward.show import explain
from metareward.store import Store, verify
from metareward.store.artifact import Manifest
from metareward.store.confine import check_confined


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("made") / "run"
    loop(root)
    return root


@pytest.fixture
def run(made, tmp_path) -> Path:
    shutil.copytree(made, tmp_path / "run")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.parquet").write_bytes(b"secret")
    return tmp_path / "run"


def readers_of(run: Path) -> list[tuple[str, Any]]:
    """All that one does with a run one was given."""
    return [
        ("verify", lambda: list(verify(run))),
        ("show", lambda: explain(Store(run), "abcdef1234")),
        ("export", lambda: export_run(run, run.parent / "exported")),
        ("resume", lambda: loop(run)),
    ]


def loop(root: Path) -> None:
    settings = loops.small_meta(iterations=loops.TWO[:1])
    loops.loop(root, loops.Asked(planted.World()), settings=settings, prompts=3)


def manifest_of(run: Path, name: str) -> Path:
    return next(
        path for path in sorted(run.glob("artifacts/*/manifest.json")) if path.parent.name.startswith(name)
    )


def outside(run: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in (run.parent / "outside").rglob("*") if p.is_file()}


LINKS = {
    "a part": lambda run: next(run.glob("artifacts/responses*/*.parquet"), next(run.rglob("*.parquet"))),
    "a manifest": lambda run: manifest_of(run, "generate"),
    "an artifact": lambda run: manifest_of(run, "judge").parent,
    "a model": lambda run: next(run.glob("models/*")),
    "the lock": lambda run: run / "lock",
    "the config": lambda run: run / "config.toml",
    "a stray file": lambda run: manifest_of(run, "judge").parent / ".1.tmp",
}


@pytest.mark.parametrize("what", LINKS)
def test_a_link_out_of_the_run_is_refused_by_all_who_read_it(run, what):
    place = LINKS[what](run)
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.symlink_to(run.parent / "outside")
    before = outside(run)
    for _, use in readers_of(run):
        with pytest.raises(StoreError, match="a link or special file"):
            use()
    assert outside(run) == before
    assert not (run.parent / "exported").exists()


def test_a_pipe_is_not_waited_for(run):
    os.mkfifo(manifest_of(run, "judge").parent / "rows-000000000-000000000-0123456789abcdef.parquet")
    for _, use in readers_of(run):
        with pytest.raises(StoreError, match="special file"):
            use()


def test_a_claimed_run_directory_is_checked_before_its_lock_is_written(tmp_path):
    from types import SimpleNamespace

    from metareward.rundir import claimed

    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "lock").symlink_to(victim)
    with (
        pytest.raises(StoreError, match="lock: a link"),
        claimed(SimpleNamespace(directory=tmp_path / "run")),  # type: ignore[arg-type]
    ):
        pass
    assert victim.read_text() == "precious"


def test_a_link_to_the_run_itself_is_the_users_affair(run, tmp_path):
    (tmp_path / "elsewhere").symlink_to(run)
    check_confined(tmp_path / "elsewhere")
    assert all(finding.state == "whole" for finding in verify(tmp_path / "elsewhere"))


PATHS = (
    "../../outside/secret.parquet",
    "rows-/../../../outside/secret.parquet",
    "/etc/passwd",
    "rows-\0.parquet",
    "",
)


@pytest.mark.parametrize("name", PATHS)
def test_parts_are_names_of_parts(run, name):
    file = manifest_of(run, "generate")
    content = disk.read_checked(file)
    disk.write_checked(file, {**content, "parts": {**content["parts"], name: "00"}})
    with pytest.raises(StoreError, match="damaged"):
        Manifest.load(file)
    for _, use in readers_of(run)[1:3]:
        with pytest.raises(StoreError, match="damaged"):
            use()
    assert [f.state for f in verify(run) if f.name == file.parent.name] == ["damaged"]
    for word in ("key", "name", "record"):
        disk.write_checked(file, {**content, word: name})
        with pytest.raises(StoreError, match="damaged"):
            Manifest.load(file)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)
FIELDS = tuple(Manifest.__dataclass_fields__)


@given(st.sampled_from(FIELDS), anything)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_field_of_a_manifest_may_lie(made, tmp_path_factory, field, value):
    """Either it is refused, or show and export still work or say in one sentence what is wrong."""
    root = made.parent / "lying"
    if not root.exists():
        shutil.copytree(made, root)
    file = manifest_of(root, "generate")
    original = file.read_text()
    try:
        disk.write_checked(file, {**disk.read_checked(file), field: value})
        for use in (
            lambda: export_run(root, tmp_path_factory.mktemp("out") / "o"),
            lambda: explain(Store(root), "abcdef1234"),
        ):
            with suppress(MetarewardError):
                use()
        assert list(verify(root))
    finally:
        file.write_text(original)


JSON_FILES = ("current.json", "config.json", "models/*/metareward.json", "artifacts/generate*/manifest.json")
NO_JSON = (
    b"",
    b"{",
    b"[]",
    b"null",
    b"3",
    b'"x"',
    b"[" * 100_000,
    b"\xff\xfe",
    b'{"steps": 5}',
    b'{"dropped": 3}',
    b"{}",
)


@pytest.mark.parametrize("pattern", JSON_FILES)
def test_json_that_is_none_or_says_other_things_is_one_sentence(run, pattern, monkeypatch, capfd):
    (run / "config.json").write_text("{}")
    file = next(run.glob(pattern))
    for content in NO_JSON:
        file.write_bytes(content)
        for arguments in (
            ["export", str(run), str(run.parent / "o")],
            ["verify", str(run)],
            ["show", "abcdef12", "--run", str(run)],
        ):
            monkeypatch.setattr(sys, "argv", ["metareward", *arguments])
            with pytest.raises(SystemExit) as ended:
                cli.main()
            said = capfd.readouterr().err
            assert ended.value.code in (None, 0, 1, 2)
            assert "Traceback" not in said
        shutil.rmtree(run.parent / "o", ignore_errors=True)


def forged(run: Path, table: pa.Table | bytes) -> Path:
    """Replace a part by another whose name has the right checksum, and name it in the manifest."""
    file = manifest_of(run, "generate")
    content = disk.read_checked(file)
    (old,) = content["parts"]
    path = file.parent / old
    pq.write_table(table, path) if isinstance(table, pa.Table) else path.write_bytes(table)
    digest = file_digest(path)[:16]
    new = path.rename(file.parent / f"rows-000000000-000000011-{digest}.parquet")
    disk.write_checked(file, {**content, "parts": {new.name: digest}})
    return new


@pytest.mark.parametrize(
    "table",
    [
        b"no parquet at all",
        b"PAR1" + b"\0" * 100 + b"PAR1",
        pa.table({"x": [1]}),
        pa.table({"position": [0], "id": ["abcdef1234"]}),
        pa.table({"position": ["a"], "id": [5]}),
    ],
    ids=["bytes", "magic", "other columns", "few columns", "wrong types"],
)
def test_parquet_that_holds_something_else_is_one_sentence(run, table):
    part = forged(run, table)
    for _, use in readers_of(run)[1:3]:
        with pytest.raises(StoreError, match=f"{part.name}.*(damaged|cannot be read)"):
            use()
    assert list(verify(run))


def test_words_that_are_none_of_an_enum_are_damage(run):
    part = next(manifest_of(run, "generate").parent.glob("*.parquet"))
    table = pq.read_table(part)
    place = table.column_names.index("finish")
    bad = table.set_column(place, table.schema.field("finish"), pa.array(["exploded"] * len(table)))
    part = forged(run, bad.replace_schema_metadata(table.schema.metadata))
    with pytest.raises(StoreError, match=r"cannot be read.*exploded"):
        export_run(run, run.parent / "exported")


def test_a_models_name_in_a_manifest_is_no_path(run):
    (run.parent / "outside" / "metareward.json").write_text('{"key": "stolen"}')
    file = manifest_of(run, "generate")
    content = disk.read_checked(file)
    disk.write_checked(
        file, {**content, "model": "../../outside", "section": "x | <img src=y> [a](b)\n# H `"}
    )
    export_run(run, run.parent / "exported")
    card = (run.parent / "exported" / "README.md").read_text()
    assert "stolen" not in card
    assert "<img" not in card
    assert "\n# H" not in card
