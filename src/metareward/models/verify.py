"""Whether a model in a cache is, byte for byte, what was put there, and whether one changed while in use."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from metareward.errors import ModelError
from metareward.ids import file_digest
from metareward.models.base import Model
from metareward.models.directory import directory_fingerprint, meaningful
from metareward.models.memo import Stamp, remembered, stamp

DIGESTS = "digests"  # in the manifest of a fetched model: SHA-256 of each file
_BLOCK = 1 << 20
_stamps: dict[str, Stamp] = {}  # of the models that this process resolved, by path


def damaged(manifest: Path) -> list[str]:
    """The files of a fetched model whose SHA-256 is not that of its manifest, in order.

    A model that was fetched by a version which kept no checksums gets them now, so that damage from here on
    is seen. Reads every byte, once for files that stay the same.
    """
    content = json.loads(manifest.read_text(encoding="utf-8"))
    files = {name: manifest.parent / name for name in content["files"]}
    found = remembered("digests", files.values(), lambda: {n: file_digest(path) for n, path in files.items()})
    known = content.get(DIGESTS)
    if not isinstance(known, Mapping):
        _keep(manifest, {**content, DIGESTS: found})
        return []
    return sorted(name for name in files if known.get(name) != found[name])


def has_digests(manifest: Path) -> bool:
    """Whether a fetched model has checksums to be checked against."""
    try:
        return DIGESTS in json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def check_snapshot(directory: Path) -> None:
    """Raise ModelError if a file of a snapshot in the hub's cache is not the one that its name there says.

    The cache names a large file by its SHA-256 and a small one by its hash in git. Files that lie there
    under another name cannot be checked.
    """
    blobs = {path: path.resolve() for path in meaningful(directory) if path.is_symlink()}
    named = {
        path: blob for path, blob in blobs.items() if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", blob.name)
    }
    bad = remembered(
        "blobs",
        named.values(),
        lambda: [path.name for path, blob in named.items() if _hash(blob) != blob.name],
    )
    if bad:
        raise ModelError(
            f"{directory}: {bad[0]} is damaged: its checksum is not that under which the hub's cache has it. "
            f"Remove {blobs[directory / bad[0]]} and run again, so that it is downloaded anew."
        )


def stamped(model: Model) -> Model:
    """The model; noted is what tells later whether its files are still those of now."""
    _stamps[model.path] = stamp(meaningful(Path(model.path)))
    return model


def require_unchanged(*models: Model) -> None:
    """Raise ModelError if the files of a model are no longer those that this process resolved it to."""
    for model in models:
        _require_unchanged(model)


def _require_unchanged(model: Model) -> None:
    directory, known = Path(model.path), _stamps.get(model.path)
    if known is None or stamp(meaningful(directory)) == known:
        return
    if directory.is_dir() and directory_fingerprint(directory) == model.fingerprint:
        return  # written anew, with the same content
    raise ModelError(
        f"{model.path}: the model's files were changed while this was at work, so two models would go by "
        "one name. What was asked before is kept. Put the model back and run again; or give the run with the "
        "new one another --directory."
    )


def _hash(blob: Path) -> str:
    if len(blob.name) == 64:
        return file_digest(blob)
    digest = hashlib.sha1(f"blob {blob.stat().st_size}\0".encode(), usedforsecurity=False)
    with blob.open("rb") as source:
        while block := source.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _keep(manifest: Path, content: Mapping[str, object]) -> None:
    """Where the cache may not be written, it stays without checksums."""
    aside = manifest.with_name(f".{manifest.name}.{os.getpid()}")
    with suppress(OSError):
        aside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        aside.replace(manifest)
