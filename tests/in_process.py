"""What tests share that train a tiny model in their own process, and look at its weights."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tiny_llama import write_tiny_llama

IGNORED_WARNINGS = [
    # datasets and accelerate open files that they leave to the garbage collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    # transformers asks torch for a sampler's deprecated argument
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    # pinning memory makes no sense without a GPU, and the default of transformers is to pin
    pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """With one thread sums are taken in one order, so equal trainings are equal to the last bit."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("start"))


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")
