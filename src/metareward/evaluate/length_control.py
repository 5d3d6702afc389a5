"""The length-controlled win rate: what a model would win at the baseline's lengths (arXiv 2404.04475).

    logit P(model wins) = w1 tanh((len_baseline - len_model) / sd) + w2 difficulty + w3

The lengths are those of the outputs, sd is their differences' over the model's rows (ddof 1), and the
controlled rate is the mean of P with the first term left out. w is fitted to soft labels by logistic
regression with an L1 penalty, together with lightly weighted rows of a shortened and a lengthened baseline.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from metareward.errors import ConfigError, DataError

Array = NDArray[np.float64]
_BASELINE_WEIGHT = 0.1  # lambda 0.2, shared by the two gamed baselines
_FOLDS, _PENALTIES, _SEED = 5, 10, 123
_TINY = 1e-15


@dataclass(frozen=True)
class BaselineRows:
    """Battles of the baseline against itself told to be brief or long: they hold the length's weight down.

    length: [R] differences of length in units of their sd, before tanh. difficulty: [R]. preference: [R]
    in 0..1, how far the gamed baseline was preferred.
    """

    length: Array
    difficulty: Array
    preference: Array


@dataclass(frozen=True)
class Weights:
    """w1, w2, w3 of one model, and the inverse penalty C that cross-validation chose (None: published)."""

    length: float
    difficulty: float
    model: float
    penalty: float | None = None

    def win_probabilities(self, difficulty: Array) -> Array:
        """P that the model wins each instruction at equal lengths. difficulty: [N]; returns [N] in 0..1."""
        return expit(self.difficulty * difficulty + self.model)


def length_term(len_baseline: Array, len_model: Array) -> Array:
    """tanh of the standardised difference of lengths, [N] in -1..1. Lengths: [N], in characters.

    Where all differences are equal and not zero their sd is 0 and the term is the sign of the difference,
    as in the published code. DataError where it is undetermined: fewer than two rows, or no differences.
    """
    delta = len_baseline - len_model
    if len(delta) < 2 or not delta.any():
        raise DataError(
            f"the {len(delta)} annotations do not determine a length-controlled win rate: there must be at "
            "least two, and some output must differ in length from the baseline's"
        )
    spread = delta.std(ddof=1)
    return np.tanh(delta / spread) if spread > 0 else np.sign(delta)


def fit(
    length: Array, difficulty: Array, preference: Array, baseline: BaselineRows | None, penalty: float | None
) -> Weights:
    """Fit w1, w2, w3 to one model's rows, as the published `length_controlled_v1` does.

    length: [N] from `length_term`. difficulty: [N]. preference: [N] in 0..1; rows that are NaN are left
    out. baseline: None leaves the regularising rows out (`length_controlled_noreg`). penalty: the inverse
    penalty C; None chooses among 10 between 1e-4 and 1e4 by grouped 5-fold cross-validation.
    """
    features, labels, weight = _rows(length, difficulty, preference, baseline)
    twice = np.vstack([features, features])
    share = np.concatenate([labels, 1 - labels])
    weight = np.concatenate([weight, weight])
    target = np.repeat([1, 0], len(labels))
    if len(labels) < _FOLDS and penalty is None:
        raise DataError(f"{len(labels)} readable annotations are too few for {_FOLDS}-fold cross-validation")
    if penalty is None:
        model = _cross_validated(twice, target, share, weight)
    else:
        model = _regression()(C=penalty, **_SOLVER).fit(twice, target, sample_weight=share * weight)
    chosen = float(np.ravel(model.C_)[0]) if penalty is None else penalty
    return Weights(*(float(w) for w in model.coef_[0]), penalty=chosen)


_SOLVER: dict[str, Any] = {"solver": "liblinear", "fit_intercept": False, "random_state": _SEED}


def _rows(
    length: Array, difficulty: Array, preference: Array, baseline: BaselineRows | None
) -> tuple[Array, Array, Array]:
    """Features [M, 3], labels [M] and weights [M]: the baseline's rows first, then the readable ones."""
    read = ~np.isnan(preference)
    own = np.column_stack([length, difficulty, np.ones(len(length))])[read]
    if baseline is None:
        return own, preference[read], np.ones(len(own))
    gamed = np.column_stack([np.tanh(baseline.length), baseline.difficulty, np.zeros(len(baseline.length))])
    labels = np.concatenate([baseline.preference, preference[read]])
    weight = np.concatenate([np.full(len(gamed), _BASELINE_WEIGHT), np.ones(len(own))])
    return np.vstack([gamed, own]), labels, weight


def _regression() -> Any:
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise ConfigError(
            "a length-controlled win rate is fitted with scikit-learn, which is not installed here; "
            "pip install 'metareward[evaluate]'"
        ) from None

    def regression(**settings: Any) -> Any:
        return LogisticRegression(l1_ratio=1.0, **settings)

    return regression


def _cross_validated(features: Array, target: Any, share: Array, weight: Array) -> Any:
    """Both rows of one annotation stay in one fold; the score is the weighted mean log loss."""
    _regression()
    import sklearn
    from sklearn import linear_model
    from sklearn.metrics import make_scorer
    from sklearn.model_selection import GroupKFold

    groups = np.tile(np.arange(len(target) // 2), 2)
    with sklearn.config_context(enable_metadata_routing=True):
        scorer: Any = make_scorer(_soft_log_loss, response_method="predict_proba", greater_is_better=False)
        scoring = scorer.set_score_request(share=True, weight=True)
        regression: Any = linear_model.LogisticRegressionCV
        model = regression(
            Cs=_PENALTIES,
            cv=GroupKFold(_FOLDS),
            l1_ratios=(1.0,),
            scoring=scoring,
            use_legacy_attributes=False,
            **_SOLVER,
        )
        model.set_fit_request(sample_weight=True)
        return model.fit(
            features, target, sample_weight=share * weight, groups=groups, share=share, weight=weight
        )


def _soft_log_loss(target: Any, predicted: Array, share: Array, weight: Array) -> float:
    """-mean(weight (y log p + (1 - y) log(1 - p))), y the annotation's share for label 1."""
    label = np.where(target == 1, share, 1 - share)
    sure = np.clip(predicted, _TINY, 1 - _TINY)
    return float(-np.mean(weight * (label * np.log(sure) + (1 - label) * np.log1p(-sure))))
