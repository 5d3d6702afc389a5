"""What names the content of a dataset, where a name alone does not."""

import re
from typing import Any

_COMMIT = re.compile(r"[@/]([0-9a-f]{40})(?:/|$)")


def hub_revision(rows: Any) -> str | None:
    """The commit a hub dataset was taken at, found in the names of what was downloaded or of its cache.

    rows: a `datasets.Dataset`. None where neither name has it.
    """
    downloaded = getattr(getattr(rows, "info", None), "download_checksums", None) or {}
    cached = [str(file.get("filename", "")) for file in getattr(rows, "cache_files", None) or []]
    for name in (*downloaded, *cached):
        if found := _COMMIT.search(str(name)):
            return found[1]
    return None
