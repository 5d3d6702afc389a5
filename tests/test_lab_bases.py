"""Base models on disk: which there are, what they are called, and what is written where one is unpacked."""

import os
from pathlib import Path

import pytest
from safetensors.torch import load_file

from lab_runs import world
from metareward import disk
from metareward.errors import UserError
from metareward.lab import bases
from metareward.models.directory import directory_fingerprint


class TestKnown:
    def test_they_are_in_the_order_of_their_numbers(self, tmp_path: Path):
        assert bases.known(world(tmp_path, 10, 2, 0, 33)) == [0, 2, 10, 33]

    @pytest.mark.parametrize("name", ["base-1.partial", "base-", "base-one", "old-base-1", "base1"])
    def test_what_has_another_name_is_none(self, tmp_path: Path, name: str):
        (tmp_path / name).mkdir()
        assert bases.known(world(tmp_path, 0)) == [0]

    def test_a_directory_without_any_says_how_to_make_one(self, tmp_path: Path):
        with pytest.raises(UserError, match=r"there is no base model; make one with .*lab\.pretrain"):
            bases.known(str(tmp_path))

    def test_one_that_there_is_not_is_told_with_those_of_its_own_world(self, tmp_path: Path):
        with pytest.raises(UserError, match=r"there is no base model 1; there are 4, 7$"):
            bases.packed_fingerprint(1, world(tmp_path, 7, 4))

    def test_a_folder_without_weights_is_none(self, tmp_path: Path):
        there = world(tmp_path, 0, 1)
        (tmp_path / "base-1" / "model.safetensors").unlink()
        with pytest.raises(UserError, match="there is no base model 1"):
            bases.packed_fingerprint(1, there)

    def test_a_tilde_is_the_users_own_directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        world(tmp_path / "mine", 3)
        assert bases.known("~/mine") == [3]

    def test_a_directory_that_is_called_as_a_world_does_not_stand_for_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.chdir(tmp_path)
        world(tmp_path / bases.PLAIN, 99)
        assert 99 not in bases.known(bases.PLAIN)
        assert bases.known(f"./{bases.PLAIN}") == [99]


class TestUnpacked:
    def test_it_is_in_single_precision_with_its_tokenizer_and_is_called_by_its_seed(self, tmp_path: Path):
        model = bases.unpack(2, tmp_path / "model")
        folder = Path(model.path)
        assert model.name == "lab-2"
        weights = load_file(folder / "model.safetensors")
        assert {str(weight.dtype) for weight in weights.values()} == {"torch.float32"}
        assert (folder / "tokenizer.json").is_file()
        assert model.fingerprint == directory_fingerprint(folder) != bases.packed_fingerprint(2)
        assert folder.name == f"model-{bases.packed_fingerprint(2)[:8]}"

    def test_where_it_lies_already_nothing_is_loaded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        folder = tmp_path / f"model-{bases.packed_fingerprint(0)[:8]}"
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        monkeypatch.setattr("metareward.engines.loading.load_network", None)
        assert bases.unpack(0, tmp_path / "model").path == str(folder)

    def test_two_processes_do_not_write_in_one_place(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        written: list[Path] = []
        rename = disk.rename

        def noted(aside: Path, folder: Path) -> None:
            written.append(aside)
            rename(aside, folder)

        monkeypatch.setattr(disk, "rename", noted)
        bases.unpack(0, tmp_path / "model")
        (aside,) = written
        assert str(os.getpid()) in aside.name.split(".")
        assert aside.parent == tmp_path
