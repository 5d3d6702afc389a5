"""What a base model can do before any loop, by the lab's own measures and for each of its meta-judges.

    python -m metareward.lab.examine DIRECTORY ...

writes what it finds into the `about.json` of each base model.
"""

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from metareward import disk
from metareward.lab.bases import unpack_from
from metareward.lab.cell import MACHINE, open_engine
from metareward.lab.conditions import Budget
from metareward.lab.measure import AgainstTruth
from metareward.lab.words import META
from metareward.run import Run
from metareward.train.inline import train_inline

PROMPTS = 256


def examined(base: Path, prompts: int = PROMPTS, seed: int = 0) -> dict[str, Any]:
    """The numbers of the base model in the directory `base` on so many held-out prompts.

    actor and judge: as of every model of a loop (`AgainstTruth`). meta_judges: by name, on the same fixed
    judgments.
    """
    common, meta_judges = Budget().common(seed), {}
    numbers: dict[str, Any] = {"prompts": prompts, "seed": seed}
    with TemporaryDirectory() as folder:
        model = unpack_from(base, Path(folder) / "model")
        with Run(Path(folder) / "run", open_engine(), train_inline, MACHINE) as run:
            for name in META:
                battles = Budget(meta_judge=name).battles(seed)
                against = AgainstTruth(common["generate"], common["judge"], battles, prompts, seed=seed)
                found = against.score(*against.ask(run, model, model))
                meta_judges[name] = found.pop("meta_judge")
                numbers |= found
    return _rounded({**numbers, "meta_judges": meta_judges})


def _rounded(found: Any) -> Any:
    """Four digits are more than the intervals allow."""
    if isinstance(found, dict):
        return {name: _rounded(value) for name, value in found.items()}
    return round(found, 4) if isinstance(found, float) else found


def write_down(base: Path, prompts: int = PROMPTS) -> dict[str, Any]:
    """Examine a base model and add what was found to what is said of it."""
    about = base / "about.json"
    told = json.loads(about.read_text(encoding="utf-8")) if about.is_file() else {}
    told["measured"] = examined(base, prompts)
    disk.replace(about, (disk.json_text(told, ascii_only=True) + "\n").encode())
    return told["measured"]


def main() -> None:
    """Examine base models and write down what was found."""
    parser = argparse.ArgumentParser(prog="python -m metareward.lab.examine", description=__doc__)
    parser.add_argument("bases", type=Path, nargs="+", metavar="DIRECTORY")
    for base in parser.parse_args().bases:
        print(base, json.dumps(write_down(base)["meta_judges"]), flush=True)


if __name__ == "__main__":
    main()
