"""The child process that tells trackers a loop's numbers; a tracker that hangs or fails harms no run.

Started by `tracking.tell` with one argument: the path of a JSON file with `tracker`, `project`, `name`,
`id`, `folder` and `rows`, each row `{"step", "numbers"}`.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

Rows = Sequence[Mapping[str, Any]]


def to_tensorboard(about: Mapping[str, Any], rows: Rows) -> None:
    """One event file more in the folder."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(log_dir=about["folder"]) as writer:
        for row in rows:
            for name, value in row["numbers"].items():
                writer.add_scalar(name, value, row["step"])


def to_wandb(about: Mapping[str, Any], rows: Rows) -> None:
    """The same W&B run for all sessions of a loop; its steps are the models' numbers."""
    wandb: Any = import_module("wandb")
    run = wandb.init(
        project=about["project"], name=about["name"], id=about["id"], dir=about["folder"], resume="allow"
    )
    run.define_metric("model_number")
    run.define_metric("*", step_metric="model_number")
    for row in rows:
        run.log({**row["numbers"], "model_number": row["step"]})
    run.finish()


def to_trackio(about: Mapping[str, Any], rows: Rows) -> None:
    """One more run of the project, continued by name."""
    trackio: Any = import_module("trackio")
    trackio.init(project=about["project"], name=about["name"], resume="allow", embed=False)
    for row in rows:
        trackio.log(dict(row["numbers"]), step=row["step"])
    trackio.finish()


TELL = {"tensorboard": to_tensorboard, "wandb": to_wandb, "trackio": to_trackio}


def main() -> None:
    """Tell the tracker that the file names."""
    about = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    TELL[about["tracker"]](about, about["rows"])


if __name__ == "__main__":
    main()
