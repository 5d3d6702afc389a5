"""The study of docs/lab.md: whole loops in the lab, over base models and seeds, as tables and a picture.

    python benchmarks/lab_study.py                 # every part; goes on where it was stopped
    python benchmarks/lab_study.py plain score     # some
    python benchmarks/lab_study.py --write         # and docs/lab-study.md, docs/lab-*.svg

A part is one `metareward lab` command; a loop takes 15 to 60 seconds of one core.
"""

import argparse
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metareward.lab import picture, tables
from metareward.lab.alarms import predictions
from metareward.lab.compare import Heard, compare
from metareward.lab.conditions import CONDITIONS, Budget
from metareward.lab.reading import JUDGE, TRUTH
from metareward.lab.report import differ, report

DOCS = Path(__file__).parent.parent / "docs"
CORE = (
    "self_rewarding",
    "self_rewarding_rho",
    "self_rewarding_steps",
    "random_pairs",
    "meta_rewarding",
    "guarded",
)
FRESH = (*(name for name in CORE if name != "random_pairs"), "guarded_dpo")
OLD, NEW, ALL, THREE = (0, 1, 2), (3, 4, 5), (0, 1, 2, 3, 4, 5), (0, 1, 2)
BEST = ("meta_rewarding", "guarded")
CONTRASTS = (
    ("meta_rewarding", "self_rewarding"),
    ("meta_rewarding", "self_rewarding_rho"),
    ("meta_rewarding", "self_rewarding_steps"),
    ("random_pairs", "self_rewarding"),
    ("oracle", "meta_rewarding"),
    ("oracle", "self_rewarding"),
    ("guarded", "meta_rewarding"),
    ("guarded", "guarded_dpo"),
    ("guarded_dpo", "meta_rewarding"),
    ("guarded", "self_rewarding_rho"),
    ("guarded", "self_rewarding_steps"),
    ("guarded", "self_rewarding_nll"),
    ("guarded", "gated"),
    ("gated", "self_rewarding"),
)
MEASURES = (TRUTH, "truth_cold", "truth_greedy", JUDGE)


@dataclass(frozen=True)
class Part:
    """One comparison; parts of one world and meta-judge share their loops."""

    title: str
    world: str
    bases: Sequence[int]
    seeds: Sequence[int]
    recipes: Sequence[str]
    meta_judge: str = "good"
    iterations: int = 6

    @property
    def budget(self) -> Budget:
        """What its conditions have in common."""
        return Budget(iterations=self.iterations, meta_judge=self.meta_judge)

    @property
    def place(self) -> str:
        """Where its loops lie; parts that share them share it."""
        judge = "" if self.meta_judge == "good" else f"-{self.meta_judge}"
        return f"{self.world}{judge}" + ("" if self.iterations == 6 else f"-{self.iterations}")

    @property
    def command(self) -> str:
        """What a user types for it."""
        listed = f"--bases {','.join(map(str, self.bases))} --seeds {len(self.seeds)}"
        judge = "" if self.meta_judge == "good" else f"--meta-judge {self.meta_judge} "
        longer = "" if self.iterations == 6 else f"--iterations {self.iterations} "
        return (
            f"metareward lab --world {self.world} {judge}{longer}{listed} --recipes {','.join(self.recipes)}"
        )


PARTS: Mapping[str, Part] = {
    "plain": Part(
        "The plain world", "plain", OLD, THREE, ("oracle", *CORE, "self_rewarding_nll", "guarded_dpo")
    ),
    "flattery": Part(
        "Flattery",
        "flattery",
        OLD,
        THREE,
        (
            "oracle",
            "frozen_judge",
            *CORE,
            "meta_rewarding_rho",
            "frozen_meta",
            "guarded_dpo",
            "combined",
        ),
    ),
    "fresh": Part("Flattery, base models that no recipe was chosen on", "flattery", NEW, (0, 1), FRESH),
    "best": Part("The best recipe there, three seeds", "flattery", NEW, THREE, BEST),
    "ablations": Part(
        "Flattery, one thing changed at a time",
        "flattery",
        OLD,
        (0,),
        (
            "meta_rewarding",
            "meta_rewarding_rho",
            "meta_rewarding_nll",
            "frozen_meta",
            "judge_first",
            "equal_scores",
            "judge_share",
            "gated",
            "guarded",
            "guarded_dpo",
            "temporal",
            "cream",
            "combined",
        ),
    ),
    "score": Part(
        "Flattery, a meta-judge that goes by scores",
        "flattery",
        OLD,
        THREE,
        ("meta_rewarding", "gated", "guarded", "guarded_dpo"),
        "score",
    ),
    "best-score": Part(
        "The same on base models that no recipe was chosen on", "flattery", NEW, THREE, BEST, "score"
    ),
    "long-score": Part("The same, twelve iterations", "flattery", ALL, (0,), BEST, "score", 12),
    "equal": Part(
        "Flattery, a meta-judge that goes by scores, equal scores from the start",
        "flattery",
        OLD,
        (0,),
        ("self_rewarding", "meta_rewarding", "gated", "equal_scores", "guarded"),
        "score",
    ),
    "plain-score": Part(
        "The plain world, a meta-judge that goes by scores",
        "plain",
        OLD,
        (0,),
        ("meta_rewarding", "gated", "equal_scores", "guarded", "guarded_dpo"),
        "score",
    ),
    **{
        judge: Part(f"Flattery, meta-judge `{judge}`", "flattery", OLD, (0,), BEST, judge)
        for judge in ("halo", "noisy")
    },
}


TOGETHER: Mapping[str, tuple[str, tuple[str, str], Sequence[str]]] = {
    "all": ("Flattery, all six base models", ("flattery", "fresh"), FRESH),
    "all-best": ("The best recipe on all six, three seeds", ("flattery", "best"), BEST),
    "all-score": ("The same under a meta-judge that goes by scores", ("score", "best-score"), BEST),
}
"""What is told of the loops of two parts: a title, the parts, the recipes."""


def cells_of(part: Part, root: Path, jobs: int | None) -> list[dict[str, Any]]:
    """Carry a part out; loops that another part has had are found again."""
    conditions = {name: CONDITIONS[name] for name in part.recipes}
    place = root / part.place
    return compare(conditions, part.budget, part.bases, part.seeds, place, part.world, jobs, _say)


def _say(heard: Heard) -> None:
    if heard.state in ("ended", "failed"):
        print(f"{heard.cell.place}: {heard.state} ({heard.ended} of {heard.cells})", flush=True)


def contrasts(found: Mapping[str, Any]) -> str:
    """The differences that the claims are about, with their intervals."""
    heads = ["difference", "truth", "cold", "greedy", "judge right, points", "truth higher in"]
    there = [pair for pair in CONTRASTS if set(pair) <= set(found["conditions"])]
    rows = [_contrast(found, *pair) for pair in there]
    return tables.drawn(("Differences that the claims are about", heads, rows)) if rows else ""


def _contrast(found: Mapping[str, Any], one: str, other: str) -> list[str]:
    apart = {name: differ(found, one, other, name) for name in MEASURES}
    numbers = [tables.number(apart[name], "+z.2f") for name in MEASURES[:3]]
    truth = apart[TRUTH]
    sides = f"{truth['above']} of {truth['cells']}" if truth else tables.NONE
    return [f"{one} - {other}", *numbers, tables.number(apart[JUDGE], "+z.0f", by=100), sides]


def drifts(cells: Sequence[Mapping[str, Any]]) -> str:
    """Which signals tell, before it is trained, that the judge will give the same answers more."""
    told = predictions([cell for cell in cells if cell["gates"]], "score_fixed")["signals"]
    known = [(name, each) for name, each in told.items() if each["correlation"] is not None]
    ordered = sorted(known, key=lambda one: -abs(one[1]["correlation"]["value"]))
    rows = [
        [name, tables.number(each["correlation"], "+z.2f"), str(each["iterations"])] for name, each in ordered
    ]
    heads = ["signal", "correlation", "iterations"]
    return (
        tables.drawn(("Before an iteration, and the judge's mean score after it", heads, rows))
        if rows
        else ""
    )


def foretold(cells: Mapping[str, Sequence[dict[str, Any]]]) -> str:
    """Which signals tell, before it is trained, what truth does, in all loops of flattery by meta-judge."""
    parts = []
    for place in ("flattery", "flattery-score"):
        own = once({name: each for name, each in cells.items() if PARTS[name].place == place})
        told = predictions([cell for cell in own if cell["gates"]])
        if told["signals"]:
            title, heads, rows = tables.predictions({"predictions": told})
            parts.append(tables.drawn((f"`{place}`. {title}", heads, rows)))
    return "\n".join(parts)


def pages(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """The page of tables, part by part."""
    yield (
        "# The lab's study: all tables\n\nWritten by `python benchmarks/lab_study.py --write`; "
        "what they mean is in [lab.md](lab.md). [ ] are 95 % intervals.\n"
    )
    for name, told in found.items():
        if part := PARTS.get(name):
            title, made = part.title, f"`{part.command}`"
        else:
            title, (one, other), _ = TOGETHER[name]
            made = f"The loops of `{one}` and `{other}` together."
        yield f"\n## {title}\n\n{made}\n\n{contrasts(told)}\n{tables.markdown(told)}\n{drifts(told['cells'])}"


def once(cells: Mapping[str, Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Every loop of all parts, those that parts share counted once."""
    found: dict[str, dict[str, Any]] = {}
    for own in cells.values():
        found |= {each["key"]: each for each in own}
    return list(found.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all of them if none is named")
    parser.add_argument("--root", type=Path, default=Path("runs/lab-study"))
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--write", action="store_true", help="write the tables and pictures into docs/")
    given = parser.parse_args()
    about = {name: condition.about for name, condition in CONDITIONS.items()}
    cells = {name: cells_of(PARTS[name], given.root, given.jobs) for name in given.parts or PARTS}
    found = {name: report(own, PARTS[name].iterations, about) for name, own in cells.items()}
    for name, (_, parts, recipes) in TOGETHER.items():
        if set(parts) <= set(cells):
            own = [each for part in parts for each in cells[part] if each["condition"] in recipes]
            found[name] = report(own, PARTS[parts[0]].iterations, about)
    page = "".join(pages(found))
    page += f"\n## Alarms, over all loops of flattery\n\n{foretold(cells)}"
    page += f"\n## Drift of the judge, over all loops\n\n{drifts(once(cells))}"
    if not given.write:
        print(page)
        return
    (DOCS / "lab-study.md").write_text(page, encoding="utf-8")
    for name in ("plain", "flattery"):
        if name in found:
            for path in picture.draw(found[name], given.root):
                if path.suffix == ".svg":
                    shutil.copy(path, DOCS / f"lab-{name}.svg")


if __name__ == "__main__":
    main()
