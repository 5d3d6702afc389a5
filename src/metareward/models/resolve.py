"""From what a user writes (a short name, a directory, a hub id) to a Model with a fingerprint."""

import errno
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from metareward.errors import ModelError
from metareward.ids import fingerprint
from metareward.models.base import Model
from metareward.models.catalogue import CATALOGUE, Entry, find
from metareward.models.directory import MEANINGFUL, check_directory, directory_fingerprint
from metareward.models.fetch import get, is_fetched
from metareward.models.verify import check_snapshot, stamped

UNRESOLVED = "unresolved:"  # begins the fingerprint of a model that only a download could name
_HUB_ID = re.compile(r"(?P<id>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of `metareward models`: a catalogue model, and whether it lies at `path` already."""

    name: str
    parameters: int
    licence: str
    fetched: bool
    path: Path


def resolve(
    name_or_path: str, cache: Path | None = None, listen: Callable[[str], None] = lambda _: None
) -> Model:
    """The model of that name, on this machine afterwards: fetched if it is not there yet.

    A catalogue name goes before a directory, and a directory before a hub id (`organisation/name`, with
    `@revision` if wanted). Of the hub only safetensors, configuration and tokenizer are taken: no pickles
    and no code. Models in a cache are checked against their checksums. `Model.path` is a local directory.
    listen: told what is being done, a line at a time. Raises ModelError.
    """
    found = _classify(name_or_path)
    if isinstance(found, Entry):
        return stamped(Model(found.name, str(get(found.name, cache, listen)), found.fingerprint))
    if isinstance(found, Path):
        return stamped(_local(found))
    repository, revision = found
    try:
        model = _hub(name_or_path, repository, revision, local_only=False)
    except (OSError, ValueError) as error:  # every error of the hub's client is one of the two
        raise ModelError(_why_hub_failed(name_or_path, error)) from error
    check_snapshot(Path(model.path))
    return stamped(model)


def describe(name_or_path: str, cache: Path | None = None) -> Model:
    """Like `resolve`, but fetches nothing: for a run on paper.

    A catalogue model has its fingerprint even before it is fetched. A hub id that does not lie in the
    hub's local cache gets the fingerprint `unresolved:<name>`. Raises ModelError for what can never
    resolve: an unknown name, a missing or refused directory.
    """
    found = _classify(name_or_path)
    if isinstance(found, Entry):
        return Model(found.name, str(found.directory(cache)), found.fingerprint)
    if isinstance(found, Path):
        return _local(found)
    repository, revision = found
    try:
        return _hub(name_or_path, repository, revision, local_only=True)
    except ValueError as error:
        raise ModelError(_why_hub_failed(name_or_path, error)) from error
    except (ImportError, OSError, ModelError):  # not there, or only a part of it
        return Model(name_or_path, name_or_path, UNRESOLVED + name_or_path)


def known(name_or_path: str, cache: Path | None = None) -> Path | None:
    """Where a model lies on this machine, by its name alone: nothing is fetched and no weights are read.

    None for one that is not here, or that only the hub's client could find. Raises ModelError for what can
    never resolve, as `describe` does.
    """
    found = _classify(name_or_path)
    if isinstance(found, Entry):
        return found.directory(cache) if is_fetched(found, cache) else None
    if isinstance(found, Path):
        check_directory(found)
        return found
    return None


def listing(cache: Path | None = None) -> list[Listed]:
    """The catalogue, by name."""
    return [
        Listed(e.name, e.parameters, e.licence, is_fetched(e, cache), e.directory(cache))
        for e in sorted(CATALOGUE.values(), key=lambda entry: entry.name)
    ]


def _classify(text: str) -> Entry | Path | tuple[str, str | None]:
    if text in CATALOGUE:
        return CATALOGUE[text]
    path = Path(text).expanduser()
    if text and path.exists():
        return path
    if match := _HUB_ID.fullmatch(text):
        return match["id"], match["revision"]
    if text.startswith((".", "~")) or "/" in text or os.sep in text:
        return path  # check_directory says that it does not exist
    return find(text)


def _local(directory: Path) -> Model:
    check_directory(directory)
    absolute = directory.resolve()
    return Model(absolute.name, str(absolute), directory_fingerprint(absolute))


def _hub(name: str, repository: str, revision: str | None, *, local_only: bool) -> Model:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        if local_only:
            raise
        raise ModelError(
            f"{name} would come from the hub, for which huggingface_hub is missing: "
            "pip install 'metareward[local]', then try again."
        ) from error
    snapshot = snapshot_download(
        repository,
        revision=revision,
        allow_patterns=list(MEANINGFUL),
        # Variants in subfolders, and the same weights in another format: nobody asked for them.
        ignore_patterns=["*/*", "consolidated*"],
        local_files_only=local_only,
    )
    directory = Path(snapshot)
    if not any(directory.glob("*.safetensors")):
        raise ModelError(
            f"{name}: no *.safetensors came from the hub. Either it offers only pickled weights, which are "
            "refused (choose another upload of the model), or the download broke off (try again)."
        )
    check_directory(directory, surplus=False)
    commit = directory.name  # the hub's cache keeps each snapshot under its commit
    return Model(name, str(directory), fingerprint("hub", repository, commit))


def _why_hub_failed(name: str, error: Exception) -> str:
    kind = type(error).__name__
    reasons = {
        "GatedRepoError": "its owner asks you to accept terms first: do so on its page, then `hf auth login`",
        "RepositoryNotFoundError": "no such model, or a private one: mend the name, or `hf auth login`",
        "RevisionNotFoundError": "it has no such revision: mend what follows the @",
        "HFValidationError": "a hub id is written organisation/name or organisation/name@revision",
    }
    reason = reasons.get(kind, "the hub cannot be reached, and the model is not in its local cache")
    if getattr(error, "errno", None) == errno.ENOSPC:
        reason = "the disk is full: free some room, or set HF_HOME to a directory on another disk"
    first_line = str(error).partition("\n")[0]
    return (
        f"{name} is no catalogue model and no directory here, and could not be taken from the hub: {reason}. "
        f"Or name a directory that holds the model. ({kind}: {first_line})"
    )
