"""Which requests are answered together, and which prefixes they share. Plain data, no tensors."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from metareward.engines.base import Request
from metareward.engines.forcing import ForcedTokens

Ids = tuple[int, ...]
_LEVEL_TOKENS = 24  # what one more forward pass costs at least, as tokens
_LAG = 16  # by how many tokens prompts may differ that are fed in step


class Way(Enum):
    """How a batch is answered: with shared prefixes, with the model's own cache for all rows together or for
    each alone, or without a cache.
    """

    SHARED = "shared prefixes"
    OWN = "own cache"
    ALONE = "own cache, row by row"
    WHOLE = "no cache"


@dataclass(frozen=True)
class Job:
    """A request with its prompt's tokens and, if forced, the tokens of its reading.

    opened: whether the prompt leaves reasoning open. ending: the reading that ends reasoning first, where the
    model's markers are known.
    """

    request: Request
    prompt: Ids
    forced: ForcedTokens | None = None
    opened: bool = False
    ending: ForcedTokens | None = None

    @property
    def new_tokens(self) -> int:
        """Most tokens that can follow the prompt."""
        readings = (reading.longest for reading in (self.forced, self.ending) if reading)
        return self.request.sampling.max_tokens + max(readings, default=0)


@dataclass(frozen=True)
class Limits:
    """How much is done at once.

    rows: answers in a batch. tokens: cache slots of a batch. chunk: prompt tokens of one forward pass.
    """

    rows: int
    tokens: int
    chunk: int


@dataclass(frozen=True)
class Level:
    """Rows of a prefill: row i continues row parents[i] of the level before with suffixes[i]."""

    parents: tuple[int, ...]
    suffixes: tuple[Ids, ...]

    @property
    def tokens(self) -> int:
        """How many tokens this level computes."""
        return sum(map(len, self.suffixes))


@dataclass(frozen=True)
class Plan:
    """A batch: the levels of its prefill; job j of `jobs` continues row rows[j] of the last level.

    Only where prefixes are shared there are levels.
    """

    levels: tuple[Level, ...]
    jobs: tuple[Job, ...]
    rows: tuple[int, ...]
    way: Way = Way.SHARED

    def of(self, jobs: Sequence[Job]) -> "Plan":
        """The plan of some of its jobs, in the same way."""
        return plan(jobs) if self.way is Way.SHARED else Plan((), tuple(jobs), (), self.way)

    @property
    def cost(self) -> int:
        """Prompt tokens that have to be computed."""
        return sum(level.tokens + _LEVEL_TOKENS for level in self.levels)


def plan_batches(jobs: Sequence[Job], limits: Limits) -> list[Plan]:
    """Split a window of jobs into batches; every job is in exactly one.

    Requests that share a prompt stay together. Prompts are ordered by length, or so that common prefixes
    meet, whichever leaves fewer prompt tokens to compute. A job too large for the limits goes alone.
    """
    groups: dict[Ids, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.prompt, []).append(job)
    by_length = sorted(groups.values(), key=lambda group: (len(group[0].prompt), group[0].prompt))
    by_prefix = sorted(groups.values(), key=lambda group: group[0].prompt)
    plans = [[plan(batch) for batch in _balanced(order, limits)] for order in (by_length, by_prefix)]
    return min(plans, key=lambda batches: sum(batch.cost for batch in batches))


def plan_in_step(jobs: Sequence[Job], limits: Limits, way: Way) -> list[Plan]:
    """Split a window of jobs into batches of prompts that are nearly as long; every job is in exactly one."""
    groups: dict[Ids, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.prompt, []).append(job)
    runs: list[list[list[Job]]] = []
    for prompt in sorted(groups, key=lambda prompt: (len(prompt), prompt)):
        if not runs or len(prompt) > len(runs[-1][0][0].prompt) + _LAG:
            runs.append([])
        runs[-1].append(groups[prompt])
    return [Plan((), tuple(batch), (), way) for run in runs for batch in _balanced(run, limits)]


def plan(jobs: Sequence[Job]) -> Plan:
    """The cheapest prefill of a batch in at most three levels: of all, of a family, of one prompt."""
    prompts = sorted({job.prompt for job in jobs})
    shared = [common_length(a, b) for a, b in pairwise(prompts)]
    candidates = [_levels(prompts, families) for families in _partitions(prompts, shared)]
    levels, order = min(candidates, key=lambda c: sum(level.tokens + _LEVEL_TOKENS for level in c[0]))
    row_of = {prompts[index]: row for row, index in enumerate(order)}
    ordered = sorted(jobs, key=lambda job: row_of[job.prompt])
    return Plan(levels, tuple(ordered), tuple(row_of[job.prompt] for job in ordered))


def common_length(a: Ids, b: Ids) -> int:
    """Length of the common prefix, by bisection, for comparing slices is fast."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[low:middle] == b[low:middle] else (low, middle - 1)
    return low


def _balanced(groups: Sequence[list[Job]], limits: Limits) -> list[list[Job]]:
    """Fill batches; then again with fewer rows each, so that the last is not left with one row."""
    batches = _fill(groups, limits, limits.rows)
    even = -(-sum(map(len, groups)) // max(1, len(batches)))
    for rows in (even, even + max(map(len, groups), default=1) - 1):
        if rows < limits.rows and len(again := _fill(groups, limits, rows)) <= len(batches):
            return again
    return batches


def _fill(groups: Iterable[list[Job]], limits: Limits, rows: int) -> list[list[Job]]:
    batches: list[list[Job]] = [[]]
    slots = 0  # of the longest job in the batch
    for group in groups:
        room = min(rows, limits.tokens // max(slots, *(_slots(job) for job in group))) - len(batches[-1])
        # To split a prompt's samples costs its prefill twice: rather begin a new batch, unless most is empty.
        if 0 < room < len(group) <= rows and len(batches[-1]) * 2 > rows:
            batches, slots = [*batches, []], 0
        for job in group:
            slots = max(slots, _slots(job))
            if batches[-1] and (len(batches[-1]) >= rows or (len(batches[-1]) + 1) * slots > limits.tokens):
                batches.append([])
                slots = _slots(job)
            batches[-1].append(job)
    return [batch for batch in batches if batch]


def _slots(job: Job) -> int:
    return len(job.prompt) + job.new_tokens


def _partitions(prompts: Sequence[Ids], shared: Sequence[int]) -> list[list[list[int]]]:
    """Candidate families: prompts (sorted) split wherever neighbours share fewer tokens than some depth."""
    depths = sorted(set(shared))
    if len(depths) > 16:
        depths = [depths[i * (len(depths) - 1) // 15] for i in range(16)]
    partitions = [[[index] for index in range(len(prompts))]]
    for depth in depths:
        families = [[0]]
        for index, length in enumerate(shared, start=1):
            if length < depth:
                families.append([])
            families[-1].append(index)
        partitions.append(families)
    return partitions


def _levels(prompts: Sequence[Ids], families: Sequence[list[int]]) -> tuple[tuple[Level, ...], list[int]]:
    """The levels for one choice of families, and the prompts' order in the last; rows by rising length."""
    root = min(common_length(prompts[0], prompts[-1]), min(map(len, prompts)) - 1)
    if len(prompts) == 1 or root < _LEVEL_TOKENS:
        root = 0
    depth = dict.fromkeys(range(len(prompts)), root)
    for family in families:
        if len(family) > 1:
            low, high = prompts[family[0]], prompts[family[-1]]
            inner = min(common_length(low, high), min(len(prompts[index]) for index in family) - 1)
            depth.update(dict.fromkeys(family, max(root, inner)))
    levels: list[Level] = []
    parent_of = dict.fromkeys(range(len(prompts)), 0)
    if root:
        levels.append(Level((0,), (prompts[0][:root],)))
    if any(length > root for length in depth.values()):
        ordered = sorted(families, key=lambda family: depth[family[0]])
        suffixes = tuple(prompts[family[0]][root : depth[family[0]]] for family in ordered)
        levels.append(Level((0,) * len(ordered), suffixes))
        parent_of = {index: row for row, family in enumerate(ordered) for index in family}
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]) - depth[index])
    last = Level(tuple(parent_of[i] for i in order), tuple(prompts[i][depth[i] :] for i in order))
    return (*levels, last), order
