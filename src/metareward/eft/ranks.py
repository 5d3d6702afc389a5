"""Responses that people ranked: read, kept short, and divided by prompt into what is trained and what not."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from metareward.errors import DataError
from metareward.evaluate.judge_data import Ranked, read_ranked
from metareward.ids import fingerprint, seed_of
from metareward.records import Finish, Prompt, Rating, Response


@dataclass(frozen=True)
class Ranks:
    """Ranked responses, those of one prompt side by side, as the records that a run takes.

    ranked: the same in the form that `evaluate.judge_ask.JudgeRanks` takes.
    """

    ranked: tuple[Ranked, ...]

    @property
    def prompts(self) -> list[Prompt]:
        """Each prompt once, in order."""
        first = {row.cluster: row for row in self.ranked}
        return [Prompt(cluster, row.messages, "human ranks") for cluster, row in first.items()]

    @property
    def responses(self) -> list[Response]:
        """The responses, in the order of their prompts."""
        return [
            Response(_name(row), row.cluster, 0, "given", row.response, None, Finish.STOP)
            for row in self.ranked
        ]

    @property
    def ratings(self) -> list[Rating]:
        """What people made of each response."""
        return [
            Rating(fingerprint("rating", _name(row)), row.cluster, _name(row), row.quality)
            for row in self.ranked
        ]


@dataclass(frozen=True)
class Divided:
    """Two sets without a common prompt, and how many responses were left out before, by reason."""

    train: Ranks
    held_out: Ranks
    left_out: dict[str, int]


def divided(
    path: Path,
    held_out: int,
    prompts: int | None = None,
    max_prompt_characters: int | None = None,
    max_response_characters: int | None = None,
    seed: int = 0,
) -> Divided:
    """Read a file of ranked responses and divide its prompts by `seed`.

    held_out: so many prompts are for measuring, never for training. prompts: at most so many are for
    training, None for all others; a larger number contains the prompts of a smaller one. A prompt that is
    left with one response, or with responses of one rank, teaches no order and is left out.
    Raises DataError for a file that cannot be used, or too few prompts.
    """
    rows, unrated = read_ranked(path)
    kept, left_out = _usable(rows, max_prompt_characters, max_response_characters)
    groups, alone = _with_an_order(kept)
    order = sorted(groups, key=lambda cluster: seed_of("eft", seed, cluster))
    if len(order) <= held_out:
        raise DataError(
            f"{path}: {len(order)} prompts have responses of different rank within the length limits, and "
            f"eft.held_out ({held_out}) takes all of them. Hold out fewer, raise the limits or give more"
        )
    measured, trained = order[:held_out], order[held_out:][:prompts]
    left_out |= {"no order within the prompt": alone, "nobody rated it": unrated}
    left_out["prompt not drawn"] = sum(len(groups[cluster]) for cluster in order[held_out:][len(trained) :])
    return Divided(_ranks(groups, trained), _ranks(groups, measured), _nonzero(left_out))


def _usable(
    rows: Iterable[Ranked], most_prompt: int | None, most_response: int | None
) -> tuple[list[Ranked], dict[str, int]]:
    kept: dict[str, Ranked] = {}
    reasons = ("empty response", "prompt too long", "response too long", "given twice")
    left_out: dict[str, int] = dict.fromkeys(reasons, 0)
    for row in rows:
        asked = sum(len(message.content) for message in row.messages)
        if not row.response.strip():
            left_out["empty response"] += 1
        elif most_prompt is not None and asked > most_prompt:
            left_out["prompt too long"] += 1
        elif most_response is not None and len(row.response) > most_response:
            left_out["response too long"] += 1
        elif row.id in kept:
            left_out["given twice"] += 1
        else:
            kept[row.id] = row
    return list(kept.values()), left_out


def _with_an_order(rows: Iterable[Ranked]) -> tuple[dict[str, list[Ranked]], int]:
    groups: dict[str, list[Ranked]] = {}
    for row in rows:
        groups.setdefault(row.cluster, []).append(row)
    useful = {name: group for name, group in groups.items() if len({row.quality for row in group}) > 1}
    return useful, sum(len(group) for name, group in groups.items() if name not in useful)


def _ranks(groups: dict[str, list[Ranked]], clusters: Sequence[str]) -> Ranks:
    return Ranks(tuple(row for cluster in clusters for row in groups[cluster]))


def _nonzero(counts: dict[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in counts.items() if count}


def _name(row: Ranked) -> str:
    return fingerprint("ranked response", row.id)
