"""Where trackers keep what a training tells them: under the run, named by its iteration, and never deleted.

Trackers take their places from the environment. What the user has set there goes before what is set here.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = "tracking"
_SHORT = 8  # characters of a training's key, enough to tell the trainings of an iteration apart


@dataclass(frozen=True)
class Tracked:
    """What trackers call a training, or the numbers of a loop, and where their files lie.

    project: the run's directory by name. name: as charts show it. id: the same for all sessions.
    folder: of its own. shared: of all that a run tells.
    """

    project: str
    name: str
    id: str
    folder: Path
    shared: Path

    @classmethod
    def training(cls, root: Path, section: str, key: str) -> "Tracked":
        """Of a training of the run in `root`, in a section such as "iteration 0"."""
        slug = re.sub(r"[^a-z0-9]+", "-", section.lower()).strip("-") or "training"
        project = root.absolute().name or "metareward"
        shared = root.absolute() / FOLDER
        return cls(
            project, f"{project} {slug} {key[:_SHORT]}", key[:_SHORT], shared / slug / key[:_SHORT], shared
        )

    @classmethod
    def loop(cls, root: Path, key: str) -> "Tracked":
        """Of a loop's own numbers, such as scores and gates."""
        project, shared = root.absolute().name or "metareward", root.absolute() / FOLDER
        return cls(project, f"{project} loop", f"loop-{key[:_SHORT]}", shared / "loop", shared)

    def as_dict(self) -> dict[str, str]:
        """As plain data."""
        return {name: str(value) for name, value in asdict(self).items()}

    @classmethod
    def read(cls, row: Mapping[str, str]) -> "Tracked":
        """From plain data."""
        return cls(**{**row, "folder": Path(row["folder"]), "shared": Path(row["shared"])})

    @property
    def variables(self) -> dict[str, str]:
        """The environment that makes trackers keep to this."""
        return {
            "TENSORBOARD_LOGGING_DIR": str(self.folder),
            "WANDB_DIR": str(self.folder),
            "WANDB_PROJECT": self.project,
            "WANDB_NAME": self.name,
            "WANDB_RUN_ID": self.id,
            "WANDB_RESUME": "allow",
            "WANDB_SILENT": "true",
            "TRACKIO_DIR": str(self.shared / "trackio"),
        }


@contextmanager
def environment(tracked: Tracked, wanted: bool) -> Iterator[None]:
    """Inside, trackers keep to `tracked`, if any is `wanted`; afterwards the environment is as it was."""
    ours = {name: value for name, value in tracked.variables.items() if wanted and name not in os.environ}
    if wanted:
        tracked.folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)
