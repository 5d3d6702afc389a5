"""`verify` finds every harm, says what would be done again, and touches nothing."""

import json
import struct

import pytest

import loops
import planted
from metareward.events import Noticed
from metareward.store import Store, verify


@pytest.fixture
def run(tmp_path):
    loops.loop(tmp_path / "run", loops.Asked(planted.World()))
    return tmp_path / "run"


def snapshot(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def victim(run, name):
    return sorted(run.glob(f"artifacts/{name}-*/rows-*.parquet"))[0]


def states(run):
    return {finding.name: finding.state for finding in verify(run)}


def test_a_whole_run_is_whole(run):
    findings = list(verify(run))
    assert {finding.state for finding in findings} == {"whole"}
    assert all(finding.redo in (0, None) and not finding.damaged for finding in findings)
    assert sum(finding.name.startswith("models/") for finding in findings) == 2
    assert len(findings) - 2 == len(list(Store(run).manifests()))


@pytest.mark.parametrize("harm", ["cut", "flip", "gone"])
def test_a_harmed_part_is_named_and_its_rows_counted(run, harm):
    part = victim(run, "judge")
    before = next(f for f in verify(run) if f.name == part.parent.name)
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    if harm == "gone":
        part.unlink()
    else:
        part.write_bytes(bytes(content) if harm == "flip" else bytes(content[:-5]))
    was = snapshot(run)
    (found,) = [finding for finding in verify(run) if finding.state == "damaged"]
    assert found.name == part.parent.name
    assert found.damaged == (part.name if harm != "gone" else f"{part.name} (missing)",)
    assert found.rows + (found.redo or 0) == before.rows
    assert found.redo == before.rows - found.rows > 0
    assert snapshot(run) == was, "verify touches nothing"


def test_what_it_foretells_is_what_a_resumed_run_does(run):
    part = victim(run, "judge")
    part.write_bytes(part.read_bytes()[:-5])
    foretold = sum(finding.redo or 0 for finding in verify(run))
    again, heard = loops.Asked(planted.World()), loops.Heard()
    loops.loop(run, again, listen=heard)
    told = [event.message for event in heard if isinstance(event, Noticed)]
    assert len(told) == 2, "the part and the manifest that named it"
    assert any(part.name in message and "set aside" in message for message in told)
    assert len(again.requests) == foretold
    assert set(states(run).values()) == {"whole"}
    assert list(part.parent.glob("*.damaged-0")), "the damaged file is kept"


def test_an_interrupted_step_is_unfinished_not_damaged(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        loops.loop(tmp_path, loops.Asked(planted.World(), break_at=20))
    assert "unfinished" in states(tmp_path).values()
    assert "damaged" not in states(tmp_path).values()


@pytest.mark.parametrize("content", ["{", "", "[]"])
def test_a_harmed_manifest_is_named(run, content):
    directory = victim(run, "generate").parent
    (directory / "manifest.json").write_text(content)
    (found,) = [finding for finding in verify(run) if finding.state == "damaged"]
    assert found.damaged == ("manifest.json",)


def weights(path, cut=0, header=None):
    described = header or json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    content = struct.pack("<Q", len(described)) + described + b"\0" * 8
    path.write_bytes(content[: len(content) - cut])


@pytest.mark.parametrize(
    ("harm", "state"),
    [({}, "whole"), ({"cut": 1}, "damaged"), ({"cut": 40}, "damaged"), ({"header": b"{"}, "damaged")],
)
def test_weights_that_were_cut_short_are_found(run, harm, state):
    folder = sorted((run / "models").iterdir())[0]
    weights(folder / "model.safetensors", **harm)
    assert states(run)[f"models/{folder.name}"] == state


def test_our_reading_of_the_header_is_that_of_safetensors(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    from metareward.store.verify import _has_its_length

    save_file(
        {"a": torch.zeros(3, 5), "b": torch.ones(2)}, tmp_path / "x.safetensors", metadata={"format": "pt"}
    )
    assert _has_its_length(tmp_path / "x.safetensors")
    content = (tmp_path / "x.safetensors").read_bytes()
    (tmp_path / "x.safetensors").write_bytes(content + b"\0")
    assert not _has_its_length(tmp_path / "x.safetensors")


def test_the_command_exits_with_1_on_damage(run, tmp_path):
    from typer.testing import CliRunner

    from metareward.cli.app import app

    fine = CliRunner().invoke(app, ["verify", str(run)])
    assert fine.exit_code == 0
    assert "whole" in fine.output
    part = victim(run, "judge")
    part.write_bytes(b"")
    broken = CliRunner().invoke(app, ["verify", str(run), "--json"])
    assert broken.exit_code == 1
    (found,) = [finding for finding in json.loads(broken.output) if finding["state"] == "damaged"]
    assert found["damaged"] == [part.name]
