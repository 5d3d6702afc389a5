"""The date in a prompt is that of the run's start, on whatever day and in whatever process it goes on."""

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from metareward import disk
from metareward.engines import clock
from metareward.engines.chat import encode_chat
from metareward.errors import ConfigError, ModelError
from metareward.records import Message
from stub_tokenizers import stub
from tiny_llama import TEMPLATE

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
DATED = "<|im_start|>system\nToday: {{ strftime_now('%d %b %Y') }}<|im_end|>\n" + TEMPLATE
EVENING, MORNING = datetime(2026, 11, 29, 23, 59), datetime(2026, 11, 30, 0, 1)
ASKED = [Message("user", "Hi")]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_moment", None)
    monkeypatch.delenv(clock.VARIABLE, raising=False)


def begins(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    """A process that begins at a moment."""
    monkeypatch.setattr(clock, "_moment", None)
    monkeypatch.setattr(clock, "_real", lambda: moment)


def prompt() -> str:
    tokenizer = stub(DATED)
    return tokenizer.decode(encode_chat(tokenizer, ASKED))


def test_a_run_keeps_the_date_of_its_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begins(monkeypatch, EVENING)
    clock.fix(tmp_path)
    before = prompt()
    begins(monkeypatch, MORNING)
    clock.fix(tmp_path)
    assert "Today: 29 Nov 2026" in before
    assert prompt() == before


def test_another_run_has_a_date_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, moment in (("one", EVENING), ("two", MORNING)):
        begins(monkeypatch, moment)
        (tmp_path / name).mkdir()
        clock.fix(tmp_path / name)
        assert moment.strftime("%d %b %Y") in prompt()
    clock.fix(tmp_path / "one")  # in the same process: what was rendered for another run is not used
    assert "29 Nov 2026" in prompt()


def test_midnight_within_a_process_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_real", lambda: EVENING)
    before = prompt()
    monkeypatch.setattr(clock, "_real", lambda: MORNING)
    assert prompt() == before


def test_training_in_another_process_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from launched_jobs import make_job
    from metareward.train import launch

    begins(monkeypatch, EVENING)
    clock.fix(tmp_path)
    child = launch._environment(make_job(tmp_path, []))
    code = "from metareward.engines import clock; print(clock.now().isoformat())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=child)
    assert said.stdout.strip() == EVENING.isoformat()


def test_a_run_of_before_has_the_date_of_its_first_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begins(monkeypatch, MORNING + timedelta(days=3))
    (tmp_path / "sessions").mkdir()
    local = EVENING.astimezone()
    disk.write_checked(tmp_path / "sessions/0001.json", {"session": 1, "started": local.isoformat()})
    assert clock.fix(tmp_path) == EVENING


def test_a_damaged_note_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begins(monkeypatch, EVENING)
    (tmp_path / clock.FILE).write_text('{"now": "yesterday"}')
    assert clock.fix(tmp_path) == EVENING
    assert disk.read_checked(tmp_path / clock.FILE) == {"now": EVENING.isoformat()}


def test_a_moment_that_is_none_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(clock.VARIABLE, "noon")
    with pytest.raises(ConfigError, match="METAREWARD_NOW is 'noon'"):
        clock.now()


@pytest.mark.parametrize(
    "chance",
    ["{{ ['a', 'b'] | random }}", "{{ [['a', 'b']] | map('random') | first }}", "{{ lipsum(1) }}"],
)
def test_chance_is_refused_however_it_is_called(chance: str) -> None:
    with pytest.raises(
        ModelError, match=r"stub: the chat template draws at random \((random|lipsum).*another model"
    ):
        encode_chat(stub(chance + TEMPLATE), ASKED)


def test_other_templates_render_as_before() -> None:
    tokenizer = stub(TEMPLATE + "{# random strftime_now lipsum #}")
    turns = [{"role": "user", "content": "Hi"}]
    theirs = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    assert encode_chat(tokenizer, ASKED) == theirs
