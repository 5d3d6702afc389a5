"""Where models come from: which pairs trained the model that wrote a record, down to the first model."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from metareward.errors import UserError
from metareward.provenance import Record, engine_of, records, supervision_of
from metareward.records import PreferencePair
from metareward.show.archive import ids_of
from metareward.show.stories import Story
from metareward.store import Manifest, Store
from metareward.train.lineage import Training, model_names, trainings

_LISTED = 8  # ids of pairs that are named


def models_matching(root: Path, prefix: str) -> list[str]:
    """Fingerprints of trained models of a run that begin so."""
    return [key for key in trainings(root) if key.startswith(prefix)]


def model_story(store: Store, prefix: str) -> Story:
    """What a trained model was made of, its pairs by id; UserError if the prefix names several."""
    found = models_matching(store.root, prefix)
    if len(found) != 1:
        listed = "".join(f"\n  model {key}" for key in found[:_LISTED])
        raise UserError(f"{prefix!r} is the beginning of {len(found)} models; write more of it:{listed}")
    told = _Models(store).tell(found[0], ids=True)
    return Story(told.title, {**told.facts, "engine": engine_of(store.root)}, told.children)


def with_lineage(store: Store, told: Story, record: Any, steps: Iterable[Manifest]) -> Story:
    """A record's story, with the models that spoke in it, the training it went into, and its sessions."""
    models, steps = _Models(store), tuple(steps)
    is_pair = isinstance(record, PreferencePair)
    spoke = map(models.asked_in, steps[0].inputs) if is_pair else [getattr(record, "model", None)]
    children = [models.tell(model) for model in dict.fromkeys(spoke) if model]
    if is_pair:
        children += models.trained_by({step.key for step in steps})
    facts = {"written in": _sessions(store.root, steps), "engine": engine_of(store.root)}
    facts["supervision"] = supervision_of(store.root)
    return Story(told.title, {**told.facts, **facts}, (*told.children, *children))


class _Models:
    """The models of a run, each told with the one it was trained from below it."""

    def __init__(self, store: Store) -> None:
        self._root = store.root
        self._trainings = trainings(store.root)
        self._names = model_names(self._trainings.values())
        self._steps = {manifest.key: (directory, manifest) for directory, manifest in store.manifests()}

    def asked_in(self, key: str) -> str | None:
        """The model that a step asked."""
        return self._steps[key][1].model if key in self._steps else None

    def tell(self, model: str, ids: bool = False) -> Story:
        """A model and all it came from; `ids`: with those of the pairs that trained it."""
        title = f"model {self._names.get(model, '')} {model}".replace("  ", " ")
        training = self._trainings.get(model)
        if training is None:
            return Story(title, {"made by": self._origin(model)})
        facts = {"made by": f"training in {training.section}".removesuffix(" in "), **_result(training)}
        facts |= {self._name(key): self._pairs(key, ids) for key in training.pairs}
        start, reference = (each["fingerprint"] for each in (training.start, training.reference))
        below = [self.tell(start)]
        if reference != start:
            held = self.tell(reference)
            below.append(Story(f"reference {held.title}", held.facts, held.children))
        return Story(title, facts, tuple(below))

    def trained_by(self, steps: set[str]) -> list[Story]:
        """The trainings that were given pairs of these steps."""
        return [
            Story(
                f"trained model {key}",
                {"in": training.section, **_result(training)},
            )
            for key, training in self._trainings.items()
            if steps & {*training.pairs}
        ]

    def _name(self, key: str) -> str:
        return self._steps[key][1].name if key in self._steps else f"pairs {key}"

    def _pairs(self, key: str, ids: bool) -> str:
        if key not in self._steps:
            return "not in a finished step of this run"
        directory, manifest = self._steps[key]
        said = f"{manifest.rows} pairs of step {key}"
        if not ids:
            return said
        named = ids_of(directory, manifest).to_pylist()
        more = f" and {len(named) - _LISTED} more" if len(named) > _LISTED else ""
        return f"{said}: {', '.join(named[:_LISTED])}{more}"

    def _origin(self, model: str) -> str:
        """What the sessions say of the model the run began with."""
        for record in reversed(records(self._root)):
            known = record.facts.get("model") or {}
            if known.get("fingerprint") == model:
                revision = f" at {known['revision']}" if known.get("revision") else ""
                return f"not here, the run began with it ({known['from']}: {known['name']}{revision})"
        return "not here, the run began with it"


def _result(training: Training) -> dict[str, Any]:
    result = training.result
    if result is None:
        return {"state": "not finished"}
    left_out = {f"left out: {why}": count for why, count in result.dropped.items() if count}
    loss = f"{result.loss_first:.4f} -> {result.loss_last:.4f}"
    return {"pairs used": result.pairs_used, **left_out, "loss": loss}


def _sessions(root: Path, steps: Iterable[Manifest]) -> str:
    """The sessions that wrote a record's steps, with how they ended."""
    numbers = sorted({int(number) for step in steps for number in step.extra.get("sessions", {})})
    known = {record.number: record for record in records(root)}
    return (
        ", ".join(f"session {n} ({known.get(n, Record(n)).outcome})" for n in numbers) or "no known session"
    )
