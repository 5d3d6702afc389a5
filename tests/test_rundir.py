"""A run's directory: one config, one process, and what a difference between two configs looks like."""

import json
import multiprocessing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward import config, templates
from metareward.errors import ConfigError, StoreError
from metareward.rundir import claimed, differences, keep_config

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


def load(directory, text=""):
    path = directory / "config.toml"
    path.write_text(text + "\n[prompts]\nheld_out = 1\n[machine]\nengine = 'fake'\n")
    return config.load(path, directory / "run")


def test_it_records_the_config_as_given_and_as_resolved(tmp_path):
    loaded = load(tmp_path, "seed = 5")
    with claimed(loaded) as directory:
        assert (directory / "config.toml").read_text() == loaded.path.read_text()
        resolved = json.loads((directory / "config.json").read_text())
        assert resolved["method"]["judge"]["seed"] == 5
        assert resolved["machine"]["engine"] == "fake"


def test_a_directory_older_than_a_setting_is_gone_on_with_while_that_is_at_its_default(tmp_path):
    with claimed(load(tmp_path)) as directory:
        before = json.loads((directory / "config.json").read_text())
    assert "answers" not in before["method"], "what came later is not told at its default"
    with (
        pytest.raises(ConfigError, match=r"method.answers: null -> "),
        claimed(load(tmp_path, "[answers]\naction = 'stop'")),
    ):
        pass
    with claimed(load(tmp_path)):
        pass


def test_every_config_is_kept_under_its_hash_with_the_templates_in_it(tmp_path):
    """A config of an earlier session is never lost, and the resolved one needs no file beside it."""
    (tmp_path / "mine.txt").write_text("Rate {{ conversation }} {{ response }}")
    own = "[judge]\ntemplate = './mine.txt'\n"
    first = keep_config(load(tmp_path, own))
    other = keep_config(load(tmp_path, "seed = 2"))
    assert keep_config(load(tmp_path, own)) == first
    assert not set(first.values()) & set(other.values())
    kept = tmp_path / "run/configs"
    assert len(list(kept.iterdir())) == 4
    resolved = json.loads((kept / f"{first['resolved']}.json").read_text())
    assert resolved["method"]["judge"]["template"] == "Rate {{ conversation }} {{ response }}"
    assert resolved["method"]["meta_judge"]["template"] == templates.shipped("meta_judge")
    assert own in (kept / f"{first['given']}.toml").read_text()
    assert "seed = 2" in (kept / f"{other['given']}.toml").read_text()


def test_the_same_settings_may_come_again_and_the_machine_may_differ(tmp_path):
    with claimed(load(tmp_path)):
        pass
    path = tmp_path / "config.toml"
    path.write_text("[prompts]\nheld_out = 1\n[machine]\nengine = 'transformers'\ndevice = 'cpu'\n")
    with claimed(config.load(path, tmp_path / "run")):
        pass


def test_other_settings_are_named_and_refused_unless_insisted_on(tmp_path):
    with claimed(load(tmp_path, "seed = 1")):
        pass
    with pytest.raises(ConfigError) as caught, claimed(load(tmp_path, "seed = 2")):
        pass
    assert "seed: 1 -> 2" in str(caught.value)
    assert "method.judge.seed: 1 -> 2" in str(caught.value)
    with claimed(load(tmp_path, "seed = 2"), change=True):
        pass
    with claimed(load(tmp_path, "seed = 2")):
        pass


def _claim(directory, answers):
    try:
        with claimed(load(directory)):
            answers.put("claimed")
    except ConfigError as error:
        answers.put(str(error))


def test_another_process_is_kept_out_while_it_lives(tmp_path):
    answers = multiprocessing.get_context("spawn").Queue()
    with claimed(load(tmp_path)):
        other = multiprocessing.get_context("spawn").Process(target=_claim, args=(tmp_path, answers))
        other.start()
        assert "is in use by another process" in answers.get(timeout=60)
        other.join()
    other = multiprocessing.get_context("spawn").Process(target=_claim, args=(tmp_path, answers))
    other.start()
    assert answers.get(timeout=60) == "claimed"
    other.join()
    answers.close()


def test_a_lock_left_by_a_dead_process_keeps_nobody_out(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/lock").write_text("99999\n")
    with claimed(load(tmp_path)):
        pass


def test_a_damaged_record_is_said_so(tmp_path):
    with claimed(load(tmp_path)):
        pass
    (tmp_path / "run/config.json").write_text("{")
    with (
        pytest.raises(StoreError, match=r"config.json: damaged .* the rows are kept"),
        claimed(load(tmp_path)),
    ):
        pass


def test_a_directory_that_is_a_file_is_said_so(tmp_path):
    (tmp_path / "run").write_text("not a directory")
    with pytest.raises(ConfigError, match="cannot be used as a run directory"), claimed(load(tmp_path)):
        pass


def test_differences_by_hand():
    before = {"a": 1, "b": {"c": [1], "d": "x" * 90}, "gone": True}
    after = {"a": 1, "b": {"c": [2], "d": "y"}, "new": None}
    assert differences(before, after) == [
        "b.c: [1] -> [2]",
        'b.d: "' + "x" * 56 + '... -> "y"',
        "gone: true -> null",
    ]


@given(PLAIN, PLAIN)
def test_there_is_a_difference_exactly_where_two_values_differ(one, other):
    one, other = {"x": one}, {"x": other}
    assert differences(one, one) == []
    if json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True):
        assert not differences(one, other)
    else:
        assert len(differences(one, other)) == len(differences(other, one))
