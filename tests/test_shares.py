"""Shares and intervals against scipy, by simulation, and where observations belong together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from metareward.stats.shares import at_least, excess, mean, resampled, share, sign_test, wilson

COUNTS = st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def names(count: int, each: int = 1) -> list[str]:
    return [f"p{place // each}" for place in range(count)]


@given(COUNTS)
def test_wilson_is_scipys(counts):
    successes, trials = counts
    theirs = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson(successes, trials) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@given(COUNTS, st.floats(0.001, 0.4))
def test_the_exact_bound_is_scipys_and_is_the_binomial_test(counts, alpha):
    successes, trials = counts
    values = [1.0] * successes + [0.0] * (trials - successes)
    bound = at_least(values, names(trials), alpha)
    theirs = stats.binomtest(successes, trials, alternative="greater").proportion_ci(1 - alpha, "exact")
    assert bound == pytest.approx(theirs.low, abs=1e-9)
    if bound > 0:
        above = stats.binomtest(successes, trials, min(1, bound * 1.001), alternative="greater").pvalue
        below = stats.binomtest(successes, trials, bound * 0.999, alternative="greater").pvalue
        assert below <= alpha <= above + 1e-9


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=60))
def test_the_sign_test_is_scipys(values):
    positive, negative = values.count(1.0), values.count(-1.0)
    expected = 1.0
    if positive + negative:
        expected = stats.binomtest(positive, positive + negative, alternative="greater").pvalue
    assert sign_test(values, names(len(values))) == pytest.approx(expected, abs=1e-12)


def test_the_sign_test_takes_prompts_not_rows():
    values = [1.0] * 12
    assert sign_test(values, names(12)) == pytest.approx(2**-12)
    assert sign_test(values, names(12, each=4)) == pytest.approx(2**-3)
    assert sign_test([1.0, -1.0], ["p", "p"]) == 1.0, "a prompt that leans to neither side says nothing"


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=40), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_a_mean_lies_in_its_interval(values, each):
    found = mean(values, names(len(values), each))
    assert found.value == pytest.approx(np.mean(values), abs=1e-9)
    if found.clusters > 1:
        assert found.low is not None
        assert found.high is not None
        assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
        assert found.low <= np.mean(values) + 0.5 * (max(values) - min(values))
    else:
        assert (found.low, found.high) == (None, None), "one prompt says nothing of its kind"


def test_what_has_no_data_says_so():
    for found in (share([], []), mean([], [])):
        assert (found.value, found.low, found.high, found.n, found.method) == (None, None, None, 0, "no data")
    assert at_least([], [], 0.05) == 0


def test_methods_are_stated():
    assert share([1, 0, 1], names(3)).method == "Wilson"
    assert share([1, 0, 1, 0], names(4, each=2)).method == "bootstrap over prompts"
    assert share([0.5, 1.0], names(2)).method == "bootstrap over prompts"
    agreed = share([0.0] * 12, names(12, each=4))
    assert (agreed.method, agreed.n, agreed.clusters) == ("Wilson over prompts", 12, 3)
    assert (agreed.low, agreed.high) == pytest.approx(wilson(0, 3))


def test_the_bootstrap_keeps_a_prompt_together():
    """Copies of a row add nothing: the spread is that of the prompts."""
    once = [0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0]
    copied = [value for value in once for _ in range(5)]
    plain, together = resampled(once, names(8)), resampled(copied, names(40, each=5))
    assert together.std() == pytest.approx(plain.std(), rel=1e-12)
    assert resampled(copied, names(40)).std() < 0.6 * plain.std()
    assert plain.std() == pytest.approx(np.std(once) / np.sqrt(8), rel=0.05)


def test_the_same_numbers_have_the_same_interval():
    values = [0.1, 0.9, 0.4, 0.5]
    assert mean(values, names(4)) == mean(values, names(4))


@pytest.mark.parametrize("truth", [0.05, 0.2, 0.5])
def test_wilsons_interval_covers(truth):
    drawn = np.random.default_rng(1).binomial(40, truth, 4000)
    covered = [low <= truth <= high for low, high in (wilson(int(k), 40) for k in drawn)]
    assert 0.92 < np.mean(covered) < 0.985


def test_intervals_over_prompts_cover_where_rows_resemble_each_other():
    """24 prompts with 3 rows each that mostly agree: over prompts it covers, over rows it would not."""
    random = np.random.default_rng(2)
    clusters = names(72, each=3)
    honest, naive = [], []
    for _ in range(200):
        tendency = random.beta(0.5, 0.5, 24).repeat(3)  # mean one half, prompts nearly all yes or all no
        values = (random.random(72) < tendency).astype(float).tolist()
        found, wrong = share(values, clusters), wilson(sum(values), 72)
        assert found.low is not None
        assert found.high is not None
        honest.append(found.low <= 0.5 <= found.high)
        naive.append(wrong[0] <= 0.5 <= wrong[1])
    assert np.mean(honest) > 0.9
    assert np.mean(naive) < 0.87


def test_the_interval_of_a_paired_difference_covers():
    """Flips .3 against a floor of .2, dependent within a prompt: the truth is .1."""
    random = np.random.default_rng(3)
    covered = []
    for _ in range(200):
        shared = random.random(40)
        flips, floors = shared < 0.3, (shared + 0.1 * random.random(40)) % 1 < 0.2
        truth = 0.3 - 0.2
        found = mean((flips.astype(float) - floors).tolist(), names(40))
        assert found.low is not None
        assert found.high is not None
        covered.append(found.low <= truth <= found.high)
    assert 0.88 < np.mean(covered) <= 1


def test_false_alarms_are_as_rare_as_they_should_be():
    """Where flips and floor have one cause, the sign test at 5 % fires at most in 5 %."""
    random = np.random.default_rng(4)
    fired = [
        sign_test(((random.random(30) < 0.4).astype(float) - (random.random(30) < 0.4)).tolist(), names(30))
        <= 0.05
        for _ in range(2000)
    ]
    assert np.mean(fired) <= 0.055


def test_the_excess_is_newcombes_paired_interval():
    """delta -+ sqrt(d1^2 - 2 phi d1 d2 + d2^2), d1 and d2 from Wilson's ends, phi of the 2 x 2 table."""
    both, first, second, none = 12, 9, 2, 21
    values = [1.0] * (both + first) + [0.0] * (second + none)
    floors = [1.0] * both + [0.0] * first + [1.0] * second + [0.0] * none
    found = excess(values, floors, names(44))
    n, one, other = 44, (both + first) / 44, (both + second) / 44
    (l1, u1), (l2, u2) = wilson(both + first, n), wilson(both + second, n)
    phi = (both * none - first * second) / np.sqrt(
        (both + first) * (second + none) * (both + second) * (first + none)
    )
    low = np.sqrt((one - l1) ** 2 - 2 * phi * (one - l1) * (u2 - other) + (u2 - other) ** 2)
    high = np.sqrt((u1 - one) ** 2 - 2 * phi * (u1 - one) * (other - l2) + (other - l2) ** 2)
    assert found.value == pytest.approx(7 / 44)
    assert (found.low, found.high) == pytest.approx((7 / 44 - low, 7 / 44 + high))


def test_an_excess_of_nothing_keeps_its_width():
    found = excess([0.0] * 12, [0.0] * 12, names(12))
    assert (found.value, found.low, found.high) == pytest.approx((0, -wilson(0, 12)[1], wilson(0, 12)[1]))
    all_of_them = excess([1.0] * 6, [0.0] * 6, names(6))
    assert all_of_them.value == 1
    assert all_of_them.low == pytest.approx(1 - np.sqrt(2) * wilson(0, 6)[1])
    assert all_of_them.high == 1


def test_an_excess_turns_with_its_sides():
    random = np.random.default_rng(5)
    values, floors = ((random.random(30) < p).astype(float).tolist() for p in (0.6, 0.3))
    one, other = excess(values, floors, names(30)), excess(floors, values, names(30))
    turned = [-end for end in (other.value, other.high, other.low) if end is not None]
    assert [one.value, one.low, one.high] == pytest.approx(turned)


def test_the_excess_covers_also_where_prompts_have_several_rows():
    """Flips .3 against a floor of .2 with one cause within a prompt, 40 prompts of one or of two rows."""
    random = np.random.default_rng(6)
    for each in (1, 2):
        covered = []
        for _ in range(300):
            shared = random.random(40).repeat(each)
            flips, floors = shared < 0.3, (shared + 0.1 * random.random(40 * each)) % 1 < 0.2
            found = excess(
                flips.astype(float).tolist(), floors.astype(float).tolist(), names(40 * each, each)
            )
            assert found.low is not None
            assert found.high is not None
            covered.append(found.low <= 0.1 <= found.high)
        assert 0.9 < np.mean(covered) <= 1
