"""How far two judges agree on the order of responses, and pairs that are believed only so far.

Pure rule of CREAM (arXiv 2410.12735): a judge that ranked the same responses otherwise an iteration ago is
not to be believed in full now. Each prompt gives a row or a `Dropped`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations, tee
from statistics import fmean, stdev
from typing import Any, ClassVar, Literal

from metareward.ids import fingerprint
from metareward.records import Dropped, Judgment, PreferencePair, Prompt, Response
from metareward.settings import one_of, require
from metareward.stages.anchors import AnchoredPairs
from metareward.stages.auto_rho import AutoRho
from metareward.stages.base import Shape
from metareward.stages.grouping import bundles
from metareward.stages.pair import SCORE_TOLERANCE, ActorPairs, mean_scores

PER = ("iteration", "prompt")
Per = Literal["iteration", "prompt"]


@dataclass(frozen=True, slots=True)
class Consistency:
    """Agreement of two judges over an iteration.

    prompts: how many there are; known: of how many both judges scored two responses or more. tau: the mean
    of Kendall's tau over those, in [-1, 1], with its standard error over prompts; None of none (the error:
    of one). certainty: (tau + 1) / 2, in [0, 1].
    """

    prompts: int
    known: int
    tau: float | None
    tau_standard_error: float | None
    certainty: float | None

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Consistent:
    """The pairs of `rule`, each as certain as the judge was consistent. One subject a prompt.

    A prompt's consistency is (tau + 1) / 2, tau between the mean scores that this and the previous model
    gave to the same responses.

    per: "iteration" gives every pair the mean over prompts (the paper), "prompt" each its own; a prompt of
        which fewer than two responses were scored by both then has the mean. If there is no such prompt,
        nothing is known and there are no pairs.
    """

    name: ClassVar[str] = "actor_pairs"
    record: ClassVar[type[PreferencePair]] = PreferencePair

    rule: ActorPairs | AnchoredPairs | AutoRho
    per: Per = "iteration"

    def __post_init__(self) -> None:
        check_per("consistent.per", self.per)

    def apply(
        self,
        previous: Iterable[Judgment],
        prompts: Iterable[Prompt],
        responses: Iterable[Response],
        judgments: Iterable[Judgment],
        *others: Any,
    ) -> Iterator[PreferencePair | Dropped]:
        """A pair a prompt, or why there is none.

        previous: the previous model's judgments of `responses`; then the inputs of `rule`, of which `others`
        are those after the first three. All are read twice: TypeError if they can be read only once.
        """
        ranked = (previous, prompts, responses, judgments)
        if any(iter(rows) is rows for rows in ranked):
            raise TypeError("Consistent reads its inputs twice: give lists or artifacts, not iterators")
        mean = consistency(*ranked).certainty
        made = self.rule.apply(prompts, responses, judgments, *others)
        for row, tau in zip(made, taus(*ranked), strict=True):
            yield self._certain(row, tau, mean)

    def shape(self, *shapes: Shape) -> Shape:
        """As the rule's."""
        return self.rule.shape(*shapes[1:])

    def _certain(
        self, row: PreferencePair | Dropped, tau: float | None, mean: float | None
    ) -> PreferencePair | Dropped:
        if isinstance(row, Dropped):
            return row
        if mean is None:
            return Dropped(row.prompt_id, "no two responses scored by both judges")
        certainty = mean if tau is None or self.per == "iteration" else (tau + 1) / 2
        return replace(row, id=fingerprint("certain", row.id, certainty), certainty=certainty)


def consistency(
    previous: Iterable[Judgment],
    prompts: Iterable[Prompt],
    responses: Iterable[Response],
    judgments: Iterable[Judgment],
) -> Consistency:
    """How far the previous model's judgments of `responses` put them in the order of `judgments`."""
    each = list(taus(previous, prompts, responses, judgments))
    known = [tau for tau in each if tau is not None]
    tau = fmean(known) if known else None
    error = stdev(known) / len(known) ** 0.5 if len(known) > 1 else None
    return Consistency(len(each), len(known), tau, error, None if tau is None else (tau + 1) / 2)


def taus(
    previous: Iterable[Judgment],
    prompts: Iterable[Prompt],
    responses: Iterable[Response],
    judgments: Iterable[Judgment],
) -> Iterator[float | None]:
    """Kendall's tau of each prompt, over the responses that both scored; None of fewer than two."""
    left, right = tee(prompts)
    again, twice = tee(responses)
    both = zip(bundles(left, again, judgments), bundles(right, twice, previous), strict=True)
    for bundle, before in both:
        ours = {row.id: score for row, score in mean_scores(bundle.responses, bundle.judgments)}
        theirs = {row.id: score for row, score in mean_scores(before.responses, before.judgments)}
        shared = [name for name in ours if name in theirs]
        yield tau_a([ours[name] for name in shared], [theirs[name] for name in shared])


def tau_a(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Kendall's tau-a: (pairs in one order - pairs in opposite order) / all pairs; None below two values.

    A pair that either side ties is in neither order and counts in the denominator alone, so two judges that
    tell nothing apart have 0, not 1 (the paper takes rankings, which have no ties).
    Raises ValueError for sequences of different length.
    """
    places = list(combinations(range(len(ours)), 2))
    rows = list(zip(ours, theirs, strict=True))
    if not places:
        return None
    orders = (_sign(rows[a][0] - rows[b][0]) * _sign(rows[a][1] - rows[b][1]) for a, b in places)
    return sum(orders) / len(places)


def check_per(setting: str, per: str) -> None:
    """ConfigError unless it says over what consistency is taken."""
    require(per in PER, setting, one_of(PER), per)


def _sign(difference: float) -> int:
    return 0 if abs(difference) <= SCORE_TOLERANCE else 1 if difference > 0 else -1
