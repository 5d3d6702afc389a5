"""Resolving: a name becomes weights that are safe to load, under a fingerprint of their content."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metareward.errors import ModelError
from metareward.ids import fingerprint
from metareward.models import fetch
from metareward.models.catalogue import CATALOGUE, Entry, find
from metareward.models.directory import MEANINGFUL, directory_fingerprint
from metareward.models.resolve import UNRESOLVED, Listed, describe, listing, resolve

hub = pytest.importorskip("huggingface_hub")
hub_errors = pytest.importorskip("huggingface_hub.errors")

EMPTY_SAFETENSORS = b"\x02\0\0\0\0\0\0\0{}"  # a header that names no weight
NAME = "smollm2-135m-instruct"
FILES = {
    "config.json": b'{"model_type": "llama"}',
    "model.safetensors": EMPTY_SAFETENSORS,
    "tokenizer.json": b"{}",
    "chat_template.jinja": b"{{ messages }}",
}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def write(directory: Path, files: dict[str, bytes]) -> Path:
    directory.mkdir(parents=True)
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return directory


def refusal(ask: Callable[[str], Any], name: str) -> str:
    with pytest.raises(ModelError) as caught:
        ask(name)
    return str(caught.value)


# --- local directories -----------------------------------------------------------------------------


@pytest.mark.parametrize("ask", [resolve, describe])
def test_a_directory_is_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[[str], Any]
) -> None:
    directory = write(tmp_path / "my-model", FILES)
    model = ask(str(directory))
    assert model.name == "my-model"
    assert model.path == str(directory)
    assert model.fingerprint == directory_fingerprint(directory)
    monkeypatch.chdir(tmp_path)
    for spelling in ("my-model", "./my-model", "my-model/"):
        assert ask(spelling) == model  # however it is written, and even if it looks like a hub id


def test_a_directory_goes_before_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "org" / "name", FILES)
    monkeypatch.chdir(tmp_path)
    assert resolve("org/name").fingerprint == directory_fingerprint(tmp_path / "org" / "name")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, "no config.json"),
        ({"model.safetensors": b""}, "no config.json"),
        ({"adapter_config.json": b"{}", "adapter_model.safetensors": b""}, "LoRA adapter"),
        ({"config.json": b"{}"}, r"no \*.safetensors"),
        ({"config.json": b"{}", "pytorch_model.bin": b""}, "pickled weights (pytorch_model.bin)"),
        ({"config.json": b"{}", "model.pth": b"", "x.gguf": b""}, "pickled weights (model.pth)"),
        ({"config.json": b"{}", "x.gguf": b""}, "only GGUF"),
    ],
)
@pytest.mark.parametrize("ask", [resolve, describe])
def test_a_directory_that_cannot_be_used_says_why(
    tmp_path: Path, ask: Callable[[str], Any], files: dict[str, bytes], expected: str
) -> None:
    directory = write(tmp_path / "m", files)
    message = refusal(ask, str(directory))
    assert expected.replace("\\", "") in message
    assert str(directory) in message


@pytest.mark.parametrize(
    "name", ["./nothing", "../nothing/here", "/no/such/model", "a/b/c", "~/no-such-model"]
)
@pytest.mark.parametrize("ask", [resolve, describe])
def test_a_path_that_does_not_exist(ask: Callable[[str], Any], name: str) -> None:
    assert "does not exist" in refusal(ask, name)


def test_a_file_is_not_a_directory(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"")
    assert "is a file" in refusal(resolve, str(file))


@pytest.mark.parametrize("name", ["smollm", "", "smollm2_135m_instruct"])
@pytest.mark.parametrize("ask", [resolve, describe])
def test_an_unknown_name_lists_the_catalogue(ask: Callable[[str], Any], name: str) -> None:
    assert NAME in refusal(ask, name)


# --- the catalogue ---------------------------------------------------------------------------------


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that were really fetched; the fetch itself writes three small files."""
    calls: list[str] = []

    def fake(entry: Entry, target: Path, listen: object) -> None:
        calls.append(entry.name)
        write(target, FILES)
        fetch._write_manifest(entry, target)

    monkeypatch.setattr(fetch, "_fetch", fake)
    return calls


def test_a_catalogue_name_is_fetched_once(tmp_path: Path, fetched: list[str]) -> None:
    model = resolve(NAME, tmp_path)
    assert model == resolve(NAME, tmp_path)
    assert fetched == [NAME]
    assert model.name == NAME
    assert Path(model.path) == tmp_path / "models" / NAME
    assert model.fingerprint == find(NAME).fingerprint


def test_on_paper_nothing_is_fetched_and_the_fingerprint_is_the_one_to_come(
    tmp_path: Path, fetched: list[str]
) -> None:
    planned = describe(NAME, tmp_path)
    assert fetched == []
    assert list(tmp_path.iterdir()) == []
    assert planned == resolve(NAME, tmp_path)
    assert planned == describe(NAME, tmp_path)


def of_default(cache: Path) -> Listed:
    (found,) = (line for line in listing(cache) if line.name == NAME)
    return found


def test_the_listing_says_what_is_there(tmp_path: Path, fetched: list[str]) -> None:
    before = of_default(tmp_path)
    assert (before.name, before.parameters, before.licence) == (NAME, 134_515_008, "Apache-2.0")
    assert before.path == tmp_path / "models" / NAME
    assert not before.fetched
    resolve(NAME, tmp_path)
    assert of_default(tmp_path).fetched
    assert [line.name for line in listing(tmp_path)] == sorted(CATALOGUE)
    assert [line.name for line in listing(tmp_path) if line.fetched] == [NAME]


# --- the hub ---------------------------------------------------------------------------------------


class FakeHub:
    """Keeps one snapshot in a cache laid out as the hub's client does, or raises."""

    def __init__(self, root: Path) -> None:
        self.snapshot = root / "snapshots" / COMMIT
        self.files = FILES
        self.online: Exception | None = None
        self.offline: Exception | None = hub_errors.LocalEntryNotFoundError("not in the cache")
        self.calls: list[dict[str, Any]] = []

    def __call__(self, repository: str, **options: Any) -> str:
        self.calls.append({"repository": repository, **options})
        if error := self.offline if options["local_files_only"] else self.online:
            raise error
        if not self.snapshot.exists():
            write(self.snapshot, self.files)
        return str(self.snapshot)


@pytest.fixture
def fake_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    fake = FakeHub(tmp_path)
    monkeypatch.setattr(hub, "snapshot_download", fake)
    return fake


def test_a_hub_model_is_named_by_its_id_and_commit(fake_hub: FakeHub) -> None:
    model = resolve("org/name")
    assert model.name == "org/name"
    assert Path(model.path) == fake_hub.snapshot
    assert model.fingerprint == fingerprint("hub", "org/name", COMMIT)
    assert model.fingerprint != fingerprint("hub", "org/other", COMMIT)


def test_a_revision_is_asked_for_and_only_its_commit_counts(fake_hub: FakeHub) -> None:
    plain, tagged = resolve("org/name"), resolve("org/name@v1.0")
    assert plain.fingerprint == tagged.fingerprint
    assert [call["revision"] for call in fake_hub.calls] == [None, "v1.0"]
    assert {call["repository"] for call in fake_hub.calls} == {"org/name"}


def test_no_pickle_and_no_code_is_asked_of_the_hub(fake_hub: FakeHub) -> None:
    resolve("org/name")
    (call,) = fake_hub.calls
    offered = [
        "config.json", "model.safetensors", "tokenizer.json", "pytorch_model.bin", "modeling_x.py", "x.pt",
        "original/model.safetensors", "training_args.bin", "README.md", "model.gguf", "chat_template.jinja",
    ]  # fmt: skip
    filtered = hub.utils.filter_repo_objects(
        offered, allow_patterns=call["allow_patterns"], ignore_patterns=call["ignore_patterns"]
    )
    assert set(filtered) == {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"}
    assert call["allow_patterns"] == list(MEANINGFUL)


def test_on_paper_the_hub_is_not_asked(fake_hub: FakeHub) -> None:
    planned = describe("org/name@v1")
    assert planned.fingerprint == UNRESOLVED + "org/name@v1"
    assert [call["local_files_only"] for call in fake_hub.calls] == [True]
    fake_hub.offline = None
    assert describe("org/name@v1") == resolve("org/name@v1")


def test_on_paper_half_a_snapshot_is_no_snapshot(fake_hub: FakeHub) -> None:
    fake_hub.offline, fake_hub.files = None, {"config.json": b"{}"}
    assert describe("org/name").fingerprint == UNRESOLVED + "org/name"


def test_a_hub_model_without_safetensors_is_refused(fake_hub: FakeHub) -> None:
    fake_hub.files = {"config.json": b"{}"}
    assert "pickled weights, which are refused" in refusal(resolve, "org/name")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (hub_errors.LocalEntryNotFoundError("no network\nsecond line"), "cannot be reached"),
        (hub_errors.OfflineModeIsEnabled("offline"), "cannot be reached"),
        (ConnectionError("refused"), "cannot be reached"),
        (hub_errors.HFValidationError("bad"), "organisation/name@revision"),
        (OSError(28, "No space left on device"), "HF_HOME"),
    ],
)
def test_what_the_hub_says_becomes_what_to_do(fake_hub: FakeHub, error: Exception, expected: str) -> None:
    fake_hub.online = error
    message = refusal(resolve, "org/name")
    assert expected in message
    assert message.startswith("org/name is no catalogue model")
    assert "second line" not in message


@pytest.mark.parametrize("kind", ["GatedRepoError", "RepositoryNotFoundError", "RevisionNotFoundError"])
def test_what_the_hub_refuses_says_so(fake_hub: FakeHub, kind: str) -> None:
    refuses = getattr(hub_errors, kind)
    fake_hub.online = refuses.__new__(refuses)  # its constructor wants a whole HTTP answer
    message = refusal(resolve, "org/name")
    assert "cannot be reached" not in message
    assert kind in message


@pytest.mark.parametrize("ask", [resolve, describe])
def test_a_name_the_hub_would_not_take(ask: Callable[[str], Any]) -> None:
    assert "organisation/name" in refusal(ask, "org/na--me")
