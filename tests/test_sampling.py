"""Draws: the nucleus is transformers' own, frequencies are right, and a row depends on nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from metareward.engines.sampling import draw, uniforms  # noqa: E402

GRID = 2001


def settings_of(rows: int, temperature: float, top_p: float):
    double = {"dtype": torch.float64}
    return torch.full((rows,), temperature, **double), torch.full((rows,), top_p, **double)


def spread(logits_V, temperature: float, top_p: float, grid: int = GRID):
    """The draws for evenly spread uniforms: every token of the nucleus heavier than 1/grid appears."""
    uniform = (torch.arange(grid, dtype=torch.float64) + 0.5) / grid
    return draw(logits_V.expand(grid, -1), *settings_of(grid, temperature, top_p), uniform)


def reference_probabilities(logits_V, temperature: float, top_p: float):
    from transformers import TemperatureLogitsWarper, TopPLogitsWarper

    ids = torch.zeros((1, 1), dtype=torch.long)
    scores = TemperatureLogitsWarper(temperature)(ids, logits_V[None])  # pyright: ignore[reportArgumentType]
    if top_p < 1:
        scores = TopPLogitsWarper(top_p)(ids, scores)  # pyright: ignore[reportArgumentType]
    return scores[0].double().softmax(-1)


@given(
    st.integers(0, 2**31),
    st.sampled_from([3, 40, 300, 900]),
    st.floats(0.3, 3),
    st.floats(0.05, 0.999),
    st.floats(0.3, 6),  # without ties, whose order transformers leaves open
)
@settings(max_examples=60, deadline=None)
def test_frequencies_are_those_of_transformers(seed, vocabulary, temperature, top_p, scale):
    """Inverse CDF on an even grid gives each token its probability to within two grid steps."""
    logits_V = torch.from_numpy(np.random.default_rng(seed).normal(0, scale, vocabulary)).float()
    drawn = spread(logits_V, temperature, top_p)
    counts = torch.bincount(drawn, minlength=vocabulary).double() / GRID
    expected = reference_probabilities(logits_V, temperature, top_p)
    assert float((counts - expected).abs().max()) < 2.5 / GRID + _edge(logits_V, temperature, top_p)


def _edge(logits_V, temperature: float, top_p: float) -> float:
    """Float32 sums may disagree about one token at the nucleus' edge; allow for that one, not for more."""
    probability = (logits_V / temperature).softmax(-1).sort(descending=True).values.double()
    before = probability.cumsum(-1) - probability
    close = (before - top_p).abs() < 1e-5
    return float(probability[close].sum()) / top_p


@pytest.mark.parametrize("top_p", [0.1, 0.5, 0.9, 0.99])
def test_the_nucleus_is_that_of_transformers(top_p):
    """The same set, for a vocabulary whose nucleus is sometimes wider than what is looked at first."""
    for seed, scale in enumerate([0.2, 1.0, 3.0]):
        logits_V = torch.from_numpy(np.random.default_rng(seed).normal(0, scale, 500)).float()
        ours = set(spread(logits_V, 1.0, top_p, 12_000).tolist())
        theirs = reference_probabilities(logits_V, 1.0, top_p).nonzero()[:, 0].tolist()
        assert ours == set(theirs)


@given(st.integers(0, 2**31), st.integers(1, 6), st.sampled_from([20, 500]))
@settings(max_examples=60, deadline=None)
def test_a_row_depends_on_nothing_but_itself(seed, others, vocabulary):
    generator = np.random.default_rng(seed)
    rows = others + 1
    logits = torch.from_numpy(generator.normal(0, 2, (rows, vocabulary))).float()
    temperature = torch.from_numpy(generator.choice([0.0, 0.5, 1.0, 2.0], rows))
    top_p = torch.from_numpy(generator.choice([0.2, 0.95, 1.0], rows))
    uniform = torch.from_numpy(generator.random(rows))
    together = draw(logits, temperature, top_p, uniform)
    alone = [
        draw(logits[i : i + 1], temperature[i : i + 1], top_p[i : i + 1], uniform[i : i + 1])
        for i in range(rows)
    ]
    assert together.tolist() == [int(one[0]) for one in alone]


def test_draws_fall_in_order_of_probability():
    """Sign: a small uniform number takes the likeliest token, a large one the least likely."""
    logits_V = torch.tensor([1.0, 3.0, 2.0])
    assert spread(logits_V, 1.0, 1.0, 3001).unique_consecutive().tolist() == [1, 2, 0]


def test_equal_probabilities_are_ordered_by_id():
    flat = torch.zeros(1000)
    drawn = spread(flat, 1.0, 1.0, 2000)
    assert drawn.tolist() == sorted(drawn.tolist())
    assert set(spread(flat, 1.0, 0.0999, 2000).tolist()) == set(range(100))


def test_a_nucleus_wider_than_the_first_look_is_exact():
    flat = torch.zeros(2000)
    assert set(spread(flat, 1.0, 0.8999, 8_000).tolist()) == set(range(1800))


def test_temperature_zero_is_the_likeliest_whatever_the_number():
    logits = torch.tensor([[0.0, 5.0, 4.9]] * 3)
    uniform = torch.tensor([0.0, 0.5, 0.999999], dtype=torch.float64)
    assert draw(logits, *settings_of(3, 0.0, 0.95), uniform).tolist() == [1, 1, 1]


def test_temperature_sharpens():
    logits_V = torch.tensor([0.0, 1.0])
    share = [
        float((spread(logits_V, temperature, 1.0) == 1).double().mean()) for temperature in (2.0, 1.0, 0.2)
    ]
    assert share == sorted(share)
    assert abs(share[1] - 1 / (1 + np.exp(-1))) < 1e-3


def test_numbers_just_below_one_stay_inside_the_nucleus():
    logits_V = torch.tensor([3.0, 2.0, -20.0])
    last = torch.tensor([np.nextafter(1.0, 0.0)])
    assert draw(logits_V[None], *settings_of(1, 1.0, 0.9), last).tolist() == [1]


def test_a_stream_is_its_seed_and_nothing_else():
    assert np.array_equal(uniforms(5, 10)[:4], uniforms(5, 4))
    assert not np.array_equal(uniforms(5, 4), uniforms(6, 4))
    assert uniforms(2**63 - 1, 3).shape == (3,)
    assert 0 <= uniforms(1, 10_000).min() < 0.001 < 0.999 < uniforms(1, 10_000).max() < 1
