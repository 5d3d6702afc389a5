"""Which steps of two runs are the same, which are not, and what was the first cause of that."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from metareward.diff.sides import Side, Slot
from metareward.rundir import changed
from metareward.show.archive import ids_of
from metareward.store import Ids, Manifest
from metareward.train.lineage import Training

SAME, CHANGED, BEFORE, AFTER = "same", "changed", "only before", "only after"
_LONG = 40  # characters of a value in a cause


@dataclass(frozen=True)
class StepChange:
    """One step on both sides.

    state: `same` (the same key), `changed`, `only before`, `only after`. because: what differs at this step
    itself: its own settings, its inputs, the model. causes: the first causes, up the line, as `place: what`.
    rows: of the later side. reusable: how many of them answer a question that the earlier side's rows answer
    already (equal ids): they cost nothing in a directory that has those; of prompts, how many are those of
    the earlier side. None for rules and trainings.
    """

    section: str
    step: str
    state: str
    before: str | None
    after: str | None
    because: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    rows: int | None = None
    reusable: int | None = None


@dataclass(frozen=True)
class _Node:
    """What a step depends on, whether it asks, derives or trains."""

    step: Mapping[str, Any]
    inputs: tuple[str, ...]
    models: Mapping[str, str | None]
    prompts: bool = False


@dataclass
class _Walk:
    """Compares two sides from their steps up to the first causes; each place is looked at once."""

    before: Side
    after: Side
    _known: dict[Slot, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)

    def causes(self, slot: Slot) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(what differs at this step, the first causes of it)."""
        if slot not in self._known:
            old = _node(self.before, self.before.slots[slot])
            new = _node(self.after, self.after.slots[slot])
            self._known[slot] = self._compare(slot, old, new)
        return self._known[slot]

    def _compare(
        self, slot: Slot, old: _Node | None, new: _Node | None
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        place = name(slot)
        if old is None or new is None:
            return ("its record is not there",), (f"{place}: its record is not there",)
        if old.prompts:
            return ("other prompts",), (f"{place}: other prompts",)
        own = [setting(*difference) for difference in changed(old.step, new.step)]
        because, causes = list(own), [f"{place}: {one}" for one in own]
        for said, roots in [*self._models(old, new), *self._inputs(place, old, new)]:
            because.append(said)
            causes += roots
        if not because:
            because, causes = ["its code"], [f"{place}: its code (nothing that is recorded differs)"]
        return tuple(dict.fromkeys(because)), tuple(dict.fromkeys(causes))

    def _models(self, old: _Node, new: _Node) -> Iterator[tuple[str, tuple[str, ...]]]:
        for role in dict.fromkeys([*old.models, *new.models]):
            one, other = old.models.get(role), new.models.get(role)
            if one != other:
                yield from self._upstream(role, one, other, ("the model the run begins with",))

    def _inputs(self, place: str, old: _Node, new: _Node) -> Iterator[tuple[str, tuple[str, ...]]]:
        before, after = self._named(self.before, old.inputs), self._named(self.after, new.inputs)
        for step in dict.fromkeys([*before, *after]):
            one, other = before.get(step), after.get(step)
            if one is None or other is None:
                said = f"{step} {'added' if one is None else 'left out'}"
                yield said, (f"{place}: {said}",)
            elif one != other:
                yield from self._upstream("", one, other, (f"{place}: other {step}",))

    def _named(self, side: Side, keys: tuple[str, ...]) -> dict[str, str]:
        """Inputs by the name of their step; of several of a name, in their order, the later are numbered."""
        named: dict[str, str] = {}
        count: Counter[str] = Counter()
        for key in keys:
            step = side.manifests[key][1].name if key in side.manifests else key
            named[name(("", step, count[step]))] = key
            count[step] += 1
        return named

    def _upstream(
        self, role: str, one: str | None, other: str | None, otherwise: tuple[str, ...]
    ) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The place that made both, and its first causes; `otherwise` if no one place did."""
        there, here = self.before.places.get(one or ""), self.after.places.get(other or "")
        if there is None or here is None or there != here:
            yield role or "another input", otherwise
        else:
            made = f"{role} of {name(here)}" if role else name(here)
            yield made, self.causes(here)[1]


def step_changes(before: Side, after: Side) -> list[StepChange]:
    """Every step of two sides, in the order of the later one; steps of the earlier alone come last."""
    walk = _Walk(before, after)
    slots = [*after.slots, *(slot for slot in before.slots if slot not in after.slots)]
    return [_step(walk, slot) for slot in slots]


def name(slot: Slot) -> str:
    """A place in words."""
    section, step, number = slot
    return f"{section}, {step}".lstrip(", ") + (f" ({number + 1})" if number else "")


def setting(where: str, old: Any, new: Any) -> str:
    """A changed setting in one line; texts are named by their length."""
    return f"{where} {_short(old)} -> {_short(new)}"


def _step(walk: _Walk, slot: Slot) -> StepChange:
    before, after = walk.before.slots.get(slot), walk.after.slots.get(slot)
    place = (slot[0], name(("", *slot[1:])))
    if before is None or after is None:
        return StepChange(*place, AFTER if before is None else BEFORE, before, after)
    if before == after:
        return StepChange(*place, SAME, before, after)
    because, causes = walk.causes(slot)
    return StepChange(*place, CHANGED, before, after, because, causes, *_rows(walk, before, after))


def _rows(walk: _Walk, before: str, after: str) -> tuple[int | None, int | None]:
    if after not in walk.after.manifests:
        return None, None
    directory, manifest = walk.after.manifests[after]
    if manifest.name == "prompts":
        siblings = [before]
    elif manifest.question_key is not None:
        siblings = [key for key in walk.before.slots.values() if _asks(walk.before, key, manifest)]
    else:
        return manifest.rows, None
    known = [ids_of(*walk.before.manifests[key]) for key in siblings if key in walk.before.manifests]
    had = Ids(one.as_py() for ids in known for one in ids)
    return manifest.rows, sum(one.as_py() in had for one in ids_of(directory, manifest))


def _asks(side: Side, key: str, manifest: Manifest) -> bool:
    """Whether a step asks the question that the rows of `manifest` answer."""
    return key in side.manifests and side.manifests[key][1].question_key == manifest.question_key


def _node(side: Side, key: str) -> _Node | None:
    if key in side.manifests:
        manifest = side.manifests[key][1]
        models = {"the model": manifest.model} if manifest.model else {}
        return _Node(manifest.step, tuple(manifest.inputs), models, manifest.name == "prompts")
    training: Training | None = side.trainings.get(key)
    if training is None:
        return None
    models = {"the model": training.start["fingerprint"], "the reference": training.reference["fingerprint"]}
    return _Node(training.step, tuple(training.pairs), models)


def _short(value: Any) -> str:
    if isinstance(value, str) and len(value) > _LONG:
        return f"({len(value)} characters)"
    return "unset" if value is None else str(value)
