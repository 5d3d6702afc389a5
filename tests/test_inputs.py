"""A run goes on with the prompts and the model it was begun with, or says that it does not."""

import pytest

from metareward.errors import ConfigError
from metareward.inputs import FILE, settle

BEGUN = {"prompts": ("p.jsonl", "aaaa"), "model": ("tiny", "bbbb")}


def test_the_same_again_is_fine(tmp_path):
    settle(tmp_path / "run", BEGUN)
    settle(tmp_path / "run", BEGUN)


@pytest.mark.parametrize("kind", ["prompts", "model"])
def test_other_content_under_the_same_name_is_refused_and_can_be_insisted_on(tmp_path, kind):
    other = {**BEGUN, kind: (BEGUN[kind][0], "cccc")}
    settle(tmp_path, BEGUN)
    with pytest.raises(
        ConfigError, match=f"begun with other {kind}: {BEGUN[kind][0]} is no longer"
    ) as caught:
        settle(tmp_path, other)
    assert "--change" in str(caught.value)
    settle(tmp_path, BEGUN)  # a refusal changes nothing
    settle(tmp_path, other, change=True)
    settle(tmp_path, other)


def test_another_name_is_the_configs_business(tmp_path):
    settle(tmp_path, BEGUN)
    settle(tmp_path, {**BEGUN, "model": ("fake", "dddd")})


@pytest.mark.parametrize(
    "content", ["", "[]", "{", "3", '{"prompts": 3}', '{"prompts": ["p.jsonl"]}', "[" * 10**5]
)
def test_a_damaged_note_is_written_anew(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    settle(tmp_path, BEGUN)
    with pytest.raises(ConfigError):
        settle(tmp_path, {**BEGUN, "prompts": ("p.jsonl", "cccc")})
