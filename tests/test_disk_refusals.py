"""What the libraries of training say when a disk refuses them, told from every other error."""

import errno

import pytest

from metareward import disk
from metareward.errors import ModelError, StepError, StoreError
from metareward.train.keeper import disk_refusal

FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "error",
    [
        FULL,
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0"),
        RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
        RuntimeError(f"I/O error: {FULL.strerror} (os error {errno.ENOSPC})"),
    ],
)
def test_a_disk_that_refuses_is_recognised(error: Exception) -> None:
    assert disk_refusal(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(
            "[enforce fail at inline_container.cc:145] . PytorchStreamReader failed reading zip archive"
        ),
        RuntimeError("size mismatch"),
        OSError(errno.ENOENT, "No such file"),
        StoreError("COMPLETE.json is damaged"),
        ModelError(f"weights cannot be read: Permission denied (os error {errno.EACCES})"),
        StepError(f"PytorchStreamWriter: {FULL.strerror}"),
    ],
)
def test_another_error_is_not(error: Exception) -> None:
    assert disk_refusal(error) is None


def test_so_is_one_that_the_store_has_met(tmp_path) -> None:
    def full(operation, path, act):
        raise FULL

    with disk.guarded(full), pytest.raises(StoreError) as raised:
        disk.write_json(tmp_path / "COMPLETE.json", {})
    assert disk_refusal(raised.value) == str(FULL)
