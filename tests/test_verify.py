"""`verify` finds every harm, says what would be done again, and touches nothing."""

import json
import shutil

import pytest

import loops
import planted
from faults import session
from metareward.disk import write_checked
from metareward.events import Noticed
from metareward.store import Store, verify
from metareward.train.checkpoints import seal
from metareward.train.fake import FakeTrainer


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
    told = [event.message for event in heard if isinstance(event, Noticed) and "damaged" in event.message]
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


def harm(path, how):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes({"flip": bytes(content), "cut": bytes(content[:-3]), "empty": b""}[how])


HARMS = ("flip", "cut", "empty", "gone")
FILES = (
    "artifacts/prompts-*/rows-*",
    "artifacts/generate-*/rows-*",
    "artifacts/keep_distinct-*/rows-*",
    "artifacts/meta_judge-*/rows-*",
    "artifacts/judge_pairs-*/manifest.json",
    "artifacts/judge-*/manifest.json",
    "artifacts/judge-*/question",
    "models/*/metareward.json",
    "models/*/weights.txt",
    "current.json",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run to be copied, and all that came of it."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, session(folder).outcome


@pytest.mark.parametrize(
    ("pattern", "how"),
    [(pattern, how) for n, pattern in enumerate(FILES) for how in ("flip", HARMS[1 + n % 3])],
)
def test_whatever_is_harmed_it_is_found_foretold_and_mended(tmp_path, whole, pattern, how):
    """Found unless its loss does no harm; requests and trainings are exactly those that were foretold."""
    run = tmp_path / "run"
    shutil.copytree(whole[0], run)
    harm(sorted(run.glob(pattern))[0], how)
    was = snapshot(run)
    found = [finding for finding in verify(run) if finding.state != "whole"]
    assert snapshot(run) == was, "verify touches nothing"
    harmless = pattern.endswith("question") or (pattern == "current.json" and how == "gone")
    assert bool(found) != harmless
    again = session(run)
    assert again.outcome == whole[1]
    asked = sum(finding.redo or 0 for finding in found if finding.note == "asked again")
    assert len(again.engine.handed) == asked
    if how != "gone" and not harmless and pattern != "current.json":
        assert list(run.rglob("*.damaged-0")), "set aside, never deleted"
    assert not [finding for finding in verify(run) if finding.state != "whole"]


def test_a_harmed_model_is_trained_again_and_said_so(run):
    """A flipped bit in weights leaves them readable: only their digest tells."""
    folder = sorted((run / "models").iterdir())[0]
    harm(folder / "weights.txt", "flip")
    (found,) = [finding for finding in verify(run) if finding.state == "damaged"]
    assert (found.name, found.damaged) == (f"models/{folder.name}", ("weights.txt",))
    assert found.redo
    assert "trained again" in found.note
    heard, trainer = loops.Heard(), FakeTrainer()
    loops.loop(run, loops.Asked(planted.World()), listen=heard, trainer=trainer)
    (told,) = [event.message for event in heard if isinstance(event, Noticed) and "damaged" in event.message]
    assert f"{folder.name}.damaged-0" in told
    assert [job.key for job in trainer.jobs] == [folder.name]
    assert (folder.with_name(folder.name + ".damaged-0") / "weights.txt").exists()


def test_a_training_under_way_is_checked(tmp_path):
    folder = tmp_path / "training/key/checkpoints/checkpoint-3"
    folder.mkdir(parents=True)
    (folder / "weights").write_text("many")
    assert list(verify(tmp_path)) == []
    seal(folder, {"step": 3})
    (found,) = verify(tmp_path)
    assert (found.name, found.state, found.damaged) == ("training/key", "unfinished", ())
    harm(folder / "weights", "flip")
    (found,) = verify(tmp_path)
    assert (found.state, found.damaged) == ("damaged", ("checkpoint-3/weights",))


def test_a_harmed_config_says_what_to_do(tmp_path):
    write_checked(tmp_path / "config.json", {"seed": 1})
    assert list(verify(tmp_path)) == []
    (tmp_path / "config.json").write_text((tmp_path / "config.json").read_text().replace("1", "2", 1))
    (found,) = verify(tmp_path)
    assert (found.name, found.note) == ("config.json", "remove it to go on")


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
