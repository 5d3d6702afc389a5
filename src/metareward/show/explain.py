"""Why is this record here: a record's causes, and what came of it, as a plain tree.

Found by scanning only the id columns of a run's finished steps; texts are read for the few rows that are
shown. Texts come from models and are told as they are: see `display.plain`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from statistics import fmean
from typing import Any

from metareward.errors import UserError
from metareward.records import Battle, Judgment, Outcome, PreferencePair, Prompt, Response, Role
from metareward.settings import shown
from metareward.show.archive import Archive
from metareward.show.lineage import model_story, models_matching, with_lineage
from metareward.show.stories import (
    Story,
    absent_story,
    battle_record,
    battle_story,
    judgment_story,
    pair_story,
    prompt_story,
    response_story,
    title,
    told,
    word,
)
from metareward.store import Manifest, Store

SHORTEST = 6
_LONGEST = 100
_LISTED = 8  # candidates named in an error


@dataclass(frozen=True)
class Found:
    """A record and the finished steps that hold it, the first of which its story is told from."""

    record: Any
    steps: tuple[Manifest, ...]


def find(store: Store, id_prefix: str) -> Found:
    """The one record whose id begins with `id_prefix` (6 or more characters of it).

    Raises UserError if there is none or more than one, StoreError if a file of the run is damaged.
    """
    prefix = _checked(id_prefix)
    archive = Archive(store)
    matches = archive.matching(prefix)
    if not matches:
        raise UserError(
            f"no record of {store.root} has an id that begins with {prefix!r}; only its finished steps "
            "were searched"
        )
    if len(matches) > 1:
        raise UserError(
            f"{prefix!r} is the beginning of {len(matches)} ids of {store.root}; write more of it:"
            f"{_listed(f'{word(kind)} {name}' for name, kind in sorted(matches.items()))}"
        )
    ((name, kind),) = matches.items()
    rows = list(archive.rows(kind, "id", [name]))
    return Found(rows[0][1], tuple(step for step, _ in rows))


def explain(store: Store, id_prefix: str) -> Story:
    """Why a record is there: its causes down to prompt and first model, and what was made of it.

    The beginning of a trained model's fingerprint tells that model. Errors as `find`.
    """
    archive, prefix = Archive(store), _checked(id_prefix)
    if not archive.matching(prefix) and models_matching(store.root, prefix):
        return model_story(store, prefix)
    found = find(store, id_prefix)
    return with_lineage(store, _Teller(archive, found).tell(), found.record, found.steps)


def explain_in(directories: Sequence[Path], id_prefix: str) -> Story:
    """The story of a record that lies in one of several runs; UserError if none or several have it."""
    prefix = _checked(id_prefix)
    holding = [
        path for path in directories if Archive(Store(path)).matching(prefix) or models_matching(path, prefix)
    ]
    if not holding:
        raise UserError(
            f"no record has an id that begins with {prefix!r}. Searched the finished steps of:"
            f"{_listed(map(str, directories))}"
        )
    if len(holding) > 1:
        raise UserError(
            f"{len(holding)} runs have a record whose id begins with {prefix!r}; say which with --run:"
            f"{_listed(map(str, holding))}"
        )
    return explain(Store(holding[0]), prefix)


def _checked(id_prefix: str) -> str:
    prefix = id_prefix.strip().lower()
    if len(prefix) < SHORTEST:
        raise UserError(f"{id_prefix!r} is too short for an id; give {SHORTEST} or more characters of it")
    if len(prefix) > _LONGEST or not prefix.isascii():
        raise UserError(f"{shown(id_prefix)} is no id of a record; copy one from a table, a card or --json")
    return prefix


def _listed(lines: Iterable[str]) -> str:
    lines = list(lines)
    more = [f"and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []
    return "".join(f"\n  {line}" for line in [*lines[:_LISTED], *more])


class _Teller:
    """Tells the story of one record. What a pair rests on is looked up in the very inputs of its step."""

    def __init__(self, archive: Archive, found: Found) -> None:
        self._archive, self._found = archive, found
        self._steps: set[str] | None = None

    def tell(self) -> Story:
        """The tree, with where the record lies at its root."""
        record = self._found.record
        told = {
            Prompt: self._of_prompt,
            Response: self._of_response,
            Judgment: self._of_judgment,
            Battle: self._of_battle,
            PreferencePair: self._of_pair,
        }[type(record)](record)
        places = [f"{step.section}, {step.name}".lstrip(", ") for step in self._found.steps]
        facts = {"in": "; ".join(dict.fromkeys(places)), **told.facts}
        return Story(told.title, facts, told.children)

    def _of_pair(self, pair: PreferencePair) -> Story:
        origin = self._archive.first_made(self._found.steps[0])
        self._steps = set(origin.inputs)
        is_actor = pair.role is Role.ACTOR
        facts = {
            "role": pair.role.value,
            **{name: own for name in ("weight", "certainty") if (own := getattr(pair, name)) != 1},
            "scores are": _scores_of(origin.name, is_actor),
            "chosen": f"{pair.chosen_id}, {pair.chosen_score:.3f}",
            "rejected": f"{pair.rejected_id}, {pair.rejected_score:.3f}",
        }
        sides = self._responses(pair) if is_actor else self._judgments(pair)
        below = [] if is_actor else self._parents(pair.response_id, None)
        return Story(title(pair), facts, (*sides, *below, *self._parents(None, pair.prompt_id)))

    def _responses(self, pair: PreferencePair) -> list[Story]:
        rows = {row.id: row for row in self._get(Response, "id", [pair.chosen_id, pair.rejected_id])}
        judgments = self._get(Judgment, "response_id", list(rows))
        told = []
        for side, name in (("chosen", pair.chosen_id), ("rejected", pair.rejected_id)):
            score = pair.chosen_score if side == "chosen" else pair.rejected_score
            own = _counted([j for j in judgments if j.response_id == name], score)
            told += (
                [response_story(rows[name], own, side, texts=True)]
                if name in rows
                else [absent_story(side, name)]
            )
        return told

    def _judgments(self, pair: PreferencePair) -> list[Story]:
        names = [pair.chosen_id, pair.rejected_id]
        rows = {row.id: row for row in self._get(Judgment, "id", names)}
        told = []
        for side, name in zip(("chosen", "rejected"), names, strict=True):
            children, record = self._battles(name)
            plain = judgment_story(rows[name], side) if name in rows else absent_story(side, name)
            told.append(Story(plain.title, {**plain.facts, **record}, children))
        return told

    def _battles(self, name: str) -> tuple[tuple[Story, ...], dict[str, Any]]:
        shown_first = self._get(Battle, "first_id", [name])
        shown_second = self._get(Battle, "second_id", [name])
        facts = {
            "shown first": battle_record(shown_first, Outcome.FIRST, Outcome.SECOND),
            "shown second": battle_record(shown_second, Outcome.SECOND, Outcome.FIRST),
        }
        rows = {battle.id: battle for battle in (*shown_first, *shown_second)}
        return tuple(battle_story(battle, name) for battle in rows.values()), facts

    def _of_prompt(self, prompt: Prompt) -> Story:
        answers = self._get(Response, "prompt_id", [prompt.id])
        judged = self._get(Judgment, "response_id", [answer.id for answer in answers])
        answered = [
            response_story(answer, [j for j in judged if j.response_id == answer.id]) for answer in answers
        ]
        return _with(
            prompt_story(prompt),
            *answered,
            *self._made_of(prompt.id, []),
            *self._left_out(prompt.id, *(answer.id for answer in answers)),
        )

    def _of_response(self, response: Response) -> Story:
        judged = self._get(Judgment, "response_id", [response.id])
        told = response_story(response, sorted(judged, key=lambda j: (j.model, j.sample)))
        causes = self._parents(None, response.prompt_id)
        left_out = self._left_out(response.id, response.prompt_id)
        return _with(told, *causes, *self._made_of(response.prompt_id, [response.id]), *left_out)

    def _of_judgment(self, judgment: Judgment) -> Story:
        battles, facts = self._battles(judgment.id)
        told = judgment_story(judgment)
        causes = self._parents(judgment.response_id, judgment.prompt_id)
        made = self._made_of(judgment.prompt_id, [judgment.id, judgment.response_id])
        left_out = self._left_out(judgment.response_id, judgment.prompt_id)
        children = (*causes, *battles, *made, *left_out)
        return Story(told.title, {**told.facts, **facts}, children)

    def _of_battle(self, battle: Battle) -> Story:
        facts = {"outcome": battle.outcome.value, "probability of first": battle.p_first}
        facts |= {"finish": battle.finish.value, **told(battle)}
        rows = {row.id: row for row in self._get(Judgment, "id", [battle.first_id, battle.second_id])}
        sides = [
            judgment_story(rows[name], side) if name in rows else absent_story(side, name)
            for side, name in (("first", battle.first_id), ("second", battle.second_id))
        ]
        causes = self._parents(battle.response_id, battle.prompt_id)
        made = self._made_of(battle.prompt_id, [battle.first_id, battle.second_id])
        return Story(title(battle), facts, (*sides, *causes, *made, *self._left_out(battle.prompt_id)))

    def _get(self, kind: type[Any], column: str, ids: Sequence[str]) -> list[Any]:
        return self._archive.distinct(kind, column, ids, self._steps)

    def _parents(self, response_id: str | None, prompt_id: str | None) -> list[Story]:
        told = []
        if response_id is not None:
            rows = self._get(Response, "id", [response_id])
            told += [response_story(row, None) for row in rows[:1]] or [absent_story("response", response_id)]
        if prompt_id is not None:
            rows = self._get(Prompt, "id", [prompt_id])
            told += [prompt_story(row) for row in rows[:1]] or [absent_story("prompt", prompt_id)]
        return told

    def _made_of(self, prompt_id: str, among: Sequence[str]) -> list[Story]:
        """Pairs of a prompt; with `among`, those in which one of these ids is a side."""
        pairs = self._get(PreferencePair, "prompt_id", [prompt_id])
        return [
            pair_story(pair, among)
            for pair in pairs
            if not among or {pair.chosen_id, pair.rejected_id} & {*among}
        ]

    def _left_out(self, *ids: str) -> list[Story]:
        return [
            Story(
                f"left out of {step.name}",
                {"reason": row.reason, "subject": row.subject_id, "in": step.section},
            )
            for step, row in self._archive.dropped(ids)
        ]


def _counted(judgments: Sequence[Judgment], score: float) -> list[Judgment]:
    """The judgments that a side's score is the mean of: where two models judged it, those of one of them."""
    by_model: dict[str, list[Judgment]] = {}
    for judgment in sorted(judgments, key=lambda j: j.sample):
        by_model.setdefault(judgment.model, []).append(judgment)

    def off(rows: list[Judgment]) -> float:
        scores = [row.score for row in rows if row.score is not None]
        return abs(fmean(scores) - score) if scores else inf

    return min(by_model.values(), key=off, default=[])


def _scores_of(step: str, is_actor: bool) -> str:
    if step.startswith("attack"):
        return "minus the distance from the right verdict"
    return "mean judgments, on the scale of the rubric" if is_actor else "Elo (natural log units)"


def _with(told: Story, *children: Story) -> Story:
    return Story(told.title, told.facts, (*told.children, *children))
