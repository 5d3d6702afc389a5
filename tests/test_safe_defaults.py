"""Defaults that keep a run from running what it loads; each test fails if its default is loosened."""

import ast
import json
import pickle
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from launched_jobs import make_job
from metareward.engines.chat import encode_chat, load_tokenizer
from metareward.errors import ModelError, StepError
from metareward.models.directory import MEANINGFUL, check_directory
from metareward.records import Message
from metareward.train.checkpoints import last_complete
from metareward.train.launch import launch
from tiny_chat_model import tiny_tokenizer
from tiny_llama import pairs, write_tiny_llama

SOURCE = Path(__file__).parent.parent / "src" / "metareward"
CALLS = [
    (path, node, ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords})
    for path in sorted(SOURCE.rglob("*.py"))
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.Call)
]
IMPORTS = {
    (path.relative_to(SOURCE).as_posix(), name)
    for path in sorted(SOURCE.rglob("*.py"))
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.Import | ast.ImportFrom)
    for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
}


# Cells, with a user's own recipe in them, go to worker processes through a pipe that nobody else holds: what
# `multiprocessing` does. Nothing that lies on a disk or came from elsewhere is unpickled.
TO_WORKERS = {"lab/pool.py", "lab/worker.py", "lab/compare.py"}


class Bomb:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return (Path.write_text, (self.file, "boom"))


def test_a_bomb_is_a_bomb(tmp_path):
    pickle.loads(pickle.dumps(Bomb(tmp_path / "boom")))  # noqa: S301
    assert (tmp_path / "boom").exists()


def test_no_model_runs_code_of_its_own():
    loads = [
        (path, words) for path, _, name, words in CALLS if name.endswith((".from_pretrained", ".from_config"))
    ]
    assert len(loads) >= 7
    for path, words in loads:
        assert words.get("trust_remote_code") == "False", path


def test_weights_are_safetensors_wherever_they_are_loaded():
    loads = [
        (path, words)
        for path, _, name, words in CALLS
        if (name.endswith("loader.from_pretrained") or "AutoModel" in name)
        and not name.endswith("from_config")  # a shape without weights
    ]
    assert len(loads) == 3
    for path, words in loads:
        options = path.read_text() if None in words else f"use_safetensors={words.get('use_safetensors')}"
        safe = re.search(r"[\"']?use_safetensors[\"']?\s*[:=]\s*True", options)
        assert safe or path.name == "convert.py", path
    assert not [name for name in MEANINGFUL if name.endswith((".bin", ".pt", ".pth", ".py", ".pkl"))]


def test_nothing_is_unpickled():
    picklers = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "cPickle"}
    named = {path for path, name in IMPORTS if name and name.split(".")[0] in picklers}
    assert named <= TO_WORKERS
    loads = [(path.name, ast.unparse(node)) for path, node, name, _ in CALLS if "pickle.load" in name]
    assert loads == [("worker.py", "pickle.loads(task)")]
    for path, _, name, words in CALLS:
        assert name not in ("torch.load", "eval", "exec", "__import__", "yaml.load", "os.system"), path
        assert words.get("shell", "False") == "False", path
        assert name != "np.load" or words.get("allow_pickle") == "False", path


def test_templates_are_sandboxed():
    """Ours, and those of models, which transformers fills."""
    import inspect

    from transformers.utils import chat_template_utils

    made = [
        name
        for path, _, name, _ in CALLS
        if name.endswith(("Environment", "Template")) and "nodes" not in name
    ]
    assert made == ["ImmutableSandboxedEnvironment"]
    assert "ImmutableSandboxedEnvironment(" in inspect.getsource(chat_template_utils)


@pytest.mark.parametrize(
    "hostile",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.system('touch BOOM') }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update({'content': 'x'}) }}",
        "{% for i in range(100001) %}x{% endfor %}",
        "{{ 1 // 0 }}",
        "{{ messages[0]['content'] + 1 }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ raise_exception('no') }}",
        "{% include '/etc/passwd' %}",
        "{{ messages[5]['content'] }}",
    ],
)
def test_a_models_chat_template_cannot_reach_out_and_fails_as_a_letter(hostile, tmp_path, monkeypatch):
    import copy

    monkeypatch.chdir(tmp_path)
    tokenizer = copy.deepcopy(tiny_tokenizer())
    tokenizer.chat_template = hostile
    with pytest.raises(ModelError, match="the chat template refuses"):
        encode_chat(tokenizer, [Message("user", "a")])
    assert not list(tmp_path.iterdir())


def test_pickled_weights_are_refused_and_remote_code_is_never_run(tmp_path):
    import torch

    from metareward.engines.transformers import load_network

    folder = write_tiny_llama(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Bomb(tmp_path / "boom")}, folder / "pytorch_model.bin", pickle_module=pickle)
    with pytest.raises(ModelError, match="pickled weights"):
        check_directory(folder)
    with pytest.raises(ModelError, match="cannot be read"):
        load_network(str(folder), "cpu")
    for file in ("config.json", "tokenizer_config.json"):
        content = json.loads((folder / file).read_text())
        places = {
            "AutoConfig": "evil.C",
            "AutoModelForCausalLM": "evil.M",
            "AutoTokenizer": ["evil.T", "evil.T"],
        }
        content |= {"model_type": "evil", "auto_map": places, "tokenizer_class": "T"}
        (folder / file).write_text(json.dumps(content))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'boom')!r}, 'w')\nclass C: ...\nM = T = C\n")
    with pytest.raises(ModelError, match="cannot be read"):
        load_network(str(folder), "cpu")
    with suppress(ModelError):  # for some versions tokenizer.json alone is enough
        load_tokenizer(str(folder))
    assert not (tmp_path / "boom").exists()


def test_transformers_reads_checkpoints_as_tensors_alone():
    """What protects a training that is taken up: every `torch.load` of the trainer says weights_only."""
    import inspect

    from transformers import trainer

    loads = [
        node
        for node in ast.walk(ast.parse(inspect.getsource(trainer)))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"
    ]
    assert len(loads) >= 5
    for node in loads:
        assert ("weights_only", "True") in {(word.arg, ast.unparse(word.value)) for word in node.keywords}


PICKLES = ["optimizer.pt", "rng_state.pth", "scheduler.pt", "training_args.bin"]


@pytest.fixture
def interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A training that was stopped and has a checkpoint."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    job = make_job(tmp_path, pairs(10), str(write_tiny_llama(tmp_path / "start")))

    def interrupt(event: Any) -> None:
        if event["event"] == "step":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch(job, interrupt)
    return job


@pytest.mark.model
@pytest.mark.parametrize(
    "harmed", [PICKLES, *(pytest.param([name], marks=pytest.mark.slow) for name in PICKLES)]
)
def test_pickles_of_a_checkpoint_run_nothing_when_a_training_is_taken_up(interrupted, harmed, tmp_path):
    """Checkpoints of transformers hold pickles: read as tensors alone (weights_only), or not at all."""
    checkpoint = last_complete(interrupted.work_dir / "checkpoints")
    assert checkpoint is not None
    assert sorted(p.name for p in checkpoint.iterdir() if p.suffix in (".bin", ".pt", ".pth")) == PICKLES
    bomb(checkpoint, harmed, tmp_path / "boom")
    if harmed == ["training_args.bin"]:  # nobody reads it
        launch(interrupted)
    else:
        assert refused(interrupted)
    assert not (tmp_path / "boom").exists()


def refused(job: Any) -> bool:
    """Whether a checkpoint is not used: the training fails by saying so, or starts again without it."""
    try:
        return launch(job).resumed_from is None
    except StepError as error:
        return "Weights only load failed" in str(error)


def bomb(checkpoint: Path, names: list[str], file: Path) -> None:
    import torch

    for name in names:
        torch.save(Bomb(file), checkpoint / name, pickle_module=pickle)
