"""No command holds an artifact whole: counted is how many records live at once, whatever the machine."""

import gc
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metareward import session
from metareward.answers import measure
from metareward.config import load
from metareward.engines.fake import Reply, fake
from metareward.events import ignore
from metareward.export import export_run
from metareward.models.base import Model
from metareward.records import Battle, Finish, Judgment, Message, PreferencePair, Prompt, Response
from metareward.run import Run
from metareward.show.explain import explain
from metareward.stages.generate import Generate
from metareward.store import Ids, Positions, Store, artifact, writer
from metareward.train.fake import FakeTrainer

PROMPTS, BATCH, PENDING = 100, 16, 64
FEW = 2 * PENDING + 8 * BATCH  # pending rows, batches of a few parts, and one prompt's own: 256
CONFIG = """
model = "fake"
directory = "run"
[prompts]
source = "prompts.jsonl"
per_iteration = {prompts}
held_out = 4
[generate]
samples = 4
[judge]
samples = {samples}
[dpo]
batch_size = 4
epochs = 1
[watch]
bank_prompts = 2
[machine]
engine = "fake"
[[iterations]]
rho = 0.3
"""


class Live:
    """How many records of a kind live, and how many did at most."""

    def __init__(self, patch: pytest.MonkeyPatch, kind: type[Any]) -> None:
        self.now = self.most = self.made = 0
        begin = kind.__init__

        def begun(own: Any, *given: Any, **named: Any) -> None:
            begin(own, *given, **named)
            self.made += 1
            self.now += 1
            self.most = max(self.most, self.now)

        def ended(own: Any) -> None:
            self.now -= 1

        patch.setattr(kind, "__init__", begun)
        patch.setattr(kind, "__del__", ended, raising=False)

    def again(self) -> None:
        """Begin to count anew."""
        gc.collect()
        self.now = self.most = self.made = 0


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> dict[str, Live]:
    """Counters, with flushes, batches and looks that are small beside what there is."""
    monkeypatch.setattr(writer, "ROWS", PENDING)
    monkeypatch.setattr(artifact, "_BATCH", BATCH)
    monkeypatch.setattr(measure, "PROMPTS", 8)
    monkeypatch.setattr("metareward.export.dataset._BATCH", BATCH)
    kinds = (Response, Judgment, Battle, PreferencePair)
    return {kind.__name__: Live(monkeypatch, kind) for kind in kinds}


def config_in(folder: Path, samples: int = 3) -> Any:
    rows = (json.dumps({"prompt": f"Question {n}: what is {n} + 1?"}) for n in range(PROMPTS + 4))
    (folder / "prompts.jsonl").write_text("".join(f"{row}\n" for row in rows))
    (folder / "c.toml").write_text(CONFIG.format(prompts=PROMPTS, samples=samples))
    return load(folder / "c.toml", folder / "run")


def assert_few(live: dict[str, Live], what: str) -> None:
    for kind, count in live.items():
        assert count.most <= FEW, f"{what} held {count.most} of {kind} at once"


@pytest.mark.thorough
def test_whole_commands_hold_a_few_records_at_once(
    tmp_path: Path, live: dict[str, Live], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    session.execute(config_in(tmp_path), ignore)
    assert live["Response"].made > 4 * PROMPTS
    assert live["Judgment"].made > 12 * PROMPTS > 4 * FEW
    assert live["Battle"].made > 6 * PROMPTS > 2 * FEW
    assert_few(live, "a run")
    for what, does in {
        "a run that is done": lambda: session.execute(config_in(tmp_path), ignore),
        "a plan": lambda: session.sketch(config_in(tmp_path)),
        "a plan with more samples": lambda: session.sketch(config_in(tmp_path, samples=4)),
        "an export": lambda: export_run(tmp_path / "run", tmp_path / "dataset"),
        "a run with more samples": lambda: session.execute(config_in(tmp_path, samples=4), ignore),
    }.items():
        for count in live.values():
            count.again()
        does()
        assert_few(live, what)
    (battle,) = _first(tmp_path / "run", "Battle")
    for count in live.values():
        count.again()
    explain(Store(tmp_path / "run"), battle)
    assert_few(live, "show")


def _first(root: Path, kind: str) -> list[str]:
    for directory, manifest in Store(root).manifests():
        if manifest.record == kind:
            return [next(iter(artifact.Artifact(directory, manifest.key, Battle))).id]
    return []


MODEL = Model("fake", "", "fake")


def test_requests_that_all_fail_are_not_held_with_their_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Every second answer fails twice; of a failure a position and a short text stay, not the messages."""
    from metareward.engines.base import Request

    requests = Live(monkeypatch, Request)

    def script(request: Request, model: Model) -> Reply:
        number = int(request.messages[0].content)
        return Reply("yes") if number % 2 else Reply(fail="out of order")

    prompts = [Prompt(f"p{n}", (Message("user", str(n)),)) for n in range(400)]
    with Run(tmp_path, fake(script), FakeTrainer()) as run:
        rows = run.ask(Generate(samples=1), run.prompts(prompts), of=MODEL)
        found = [(row.prompt_id, row.finish is Finish.FAILED) for row in rows]
    assert found == [(f"p{n}", n % 2 == 0) for n in range(400)]
    assert rows.cost.failures == 400
    assert requests.most < 100


def test_places_are_found_in_few_bytes_each():
    positions = Positions([3, 70_000, 3])
    assert positions == {3, 70_000}
    assert positions.put(np.array([4, 5, 70_000, 4])) == 2, "one was there, and one came twice"
    assert sorted(positions) == [3, 4, 5, 70_000]
    assert len(positions) == 4
    assert 6 not in positions
    assert "3" not in positions
    positions.discard(3)
    positions.discard(3)
    assert (3 in positions, len(positions)) == (False, 3)
    names = [f"row {n}" for n in range(1000)]
    ids = Ids(names)
    assert [ids.find(name) for name in names] == list(range(1000))
    assert "row 1000" not in ids
    assert not Ids([])
