"""Bradley-Terry strengths from weighted wins: how good each competitor is, in natural log units."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.special import expit

DEFAULT_PRIOR = 0.01
"""Precision of the Gaussian prior on each strength: a standard deviation of 10 natural log units.

Small beside what a paper-sized comparison says (11 judgments in 110 battles give each about 2.5 units of
precision), so strengths shrink by well under a percent; large enough that a competitor that wins or
loses everything stays within about 5 of the rest instead of at infinity.
"""

_TOLERANCE = 1e-10
_SMALL_STEP = 1e-12
_STEPS = 500


def strengths(wins: NDArray[np.float64], prior: float = DEFAULT_PRIOR) -> NDArray[np.float64]:
    """Most probable strengths eps [N], in natural log units, that sum to zero.

    eps = argmax sum_{m,n} wins[m,n] log sigmoid(eps_m - eps_n) - prior/2 ||eps||^2, the Elo of
    Meta-Rewarding (arXiv 2407.19594, section 2.3): the model of Zermelo (1929) and of Bradley and Terry
    (1952), with a Gaussian prior. With `prior` above 0 the maximum is unique and finite for any wins.

    wins: [N, N], how often (or with what weight) m beat n; the diagonal is ignored.
    prior: precision of the prior; 0 (maximum likelihood) needs wins that strongly connect all.

    Raises ValueError for wins that are not square, finite and non-negative, for a prior that is not a
    number of 0 or more or is lost in rounding beside the wins, and for prior 0 with wins that do not
    strongly connect all.
    """
    wins = _checked(wins, prior)
    eps = np.zeros(len(wins))
    if len(wins) < 2:
        return eps
    if prior == 0:
        _require_connected(wins)
    tolerance = _TOLERANCE * max(1.0, float(wins.max()))
    last = np.inf
    for _ in range(_STEPS):
        gradient = _gradient(wins, eps, prior)
        step = _step(wins, eps, prior, gradient)
        eps, size = eps + step, float(np.linalg.norm(gradient))
        # A small gradient is not enough where wins are light: the step must be small too, or as small as
        # rounding lets it get.
        if size < tolerance and (np.abs(step).max() < _SMALL_STEP or size >= last):
            return eps - eps.mean()
        last = size
    raise ValueError(
        f"Bradley-Terry strengths of {len(wins)} competitors did not settle in {_STEPS} Newton steps with "
        f"prior {prior}; use a larger prior, such as {DEFAULT_PRIOR}"
    )


def log_likelihood(
    wins: NDArray[np.float64], strengths: NDArray[np.float64], prior: float = DEFAULT_PRIOR
) -> float:
    """What `strengths` maximises, in nats: sum wins[m,n] log sigmoid(eps_m - eps_n) - prior/2 ||eps||^2.

    wins: [N, N]; strengths: [N]. ValueError as for `strengths`, and for a length that does not fit.
    """
    wins = _checked(wins, prior)
    eps = np.asarray(strengths, dtype=np.float64)
    if eps.shape != (len(wins),):
        raise ValueError(f"strengths must have shape ({len(wins)},) to go with wins, not {eps.shape}")
    log_sigmoid = -np.logaddexp(0.0, eps[None, :] - eps[:, None])
    return float((wins * log_sigmoid).sum() - prior / 2 * (eps @ eps))


def _checked(wins: NDArray[np.float64], prior: float) -> NDArray[np.float64]:
    wins = np.array(wins, dtype=np.float64)
    if wins.ndim != 2 or wins.shape[0] != wins.shape[1]:
        raise ValueError(f"wins must be a square matrix [N, N], not of shape {wins.shape}")
    if not np.isfinite(wins).all() or (wins < 0).any():
        raise ValueError("wins must be finite and non-negative: entry [m, n] is how often m beat n")
    if not 0 <= prior < np.inf:
        raise ValueError(f"prior must be a finite number of 0 or more, not {prior!r}")
    np.fill_diagonal(wins, 0.0)
    return wins


def _require_connected(wins: NDArray[np.float64]) -> None:
    groups, _ = connected_components(wins > 0, directed=True, connection="strong")
    if groups > 1:
        raise ValueError(
            f"without a prior the wins must be strongly connected (from each competitor a chain of wins to "
            f"each other one), but they fall into {groups} groups, so the strengths are infinite or "
            f"undetermined; use a prior above 0, such as {DEFAULT_PRIOR}"
        )


def _gradient(wins: NDArray[np.float64], eps: NDArray[np.float64], prior: float) -> NDArray[np.float64]:
    surprise = wins * expit(eps[None, :] - eps[:, None])
    return surprise.sum(axis=1) - surprise.sum(axis=0) - prior * eps


def _step(
    wins: NDArray[np.float64], eps: NDArray[np.float64], prior: float, gradient: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A Newton step, shortened so that it always climbs.

    The curvature of log sigmoid changes by at most a factor e^r when a difference moves by r, so
    log(1 + r) / r of a step with widest difference r never overshoots (damped Newton for generalised
    self-concordant functions: Sun and Tran-Dinh, 2019). It tends to the whole step near the maximum and,
    unlike a line search, has no objective to compare below rounding.
    """
    lead = eps[:, None] - eps[None, :]
    precision = (wins + wins.T) * expit(lead) * expit(-lead)
    curvature = np.diag(precision.sum(axis=1) + prior) - precision
    # The direction of a constant has little curvature (none without a prior) and no gradient: adding some
    # curvature there keeps the matrix well-conditioned and changes no step.
    curvature += precision.max()
    try:
        step = np.linalg.solve(curvature, gradient)
    except np.linalg.LinAlgError as error:
        raise ValueError(f"prior {prior} is too small beside wins of up to {wins.max()}") from error
    widest = float(np.ptp(step))
    return step * (np.log1p(widest) / widest) if widest > 0 else step
