"""The compiled walk of an LSTM agrees with NumPy's, forward and backward, in both directions and orders of rows."""

import numpy as np
import pytest

import distrt as torch
from distrt.core.dtypes import dtype as dt
from distrt.core.kernels import loops, lstm
from distrt.core.ops.indexing import repeats

pytestmark = pytest.mark.skipif(not loops.vector_floats(), reason="no compiler, or no AVX2")

STEPS, WIDTH, SIZE = 5, 12, 32


def results(batch, layers=1, bidirectional=False, batch_first=False, has_repeats=False, width=WIDTH):
    """Output, last states and every gradient."""
    torch.manual_seed(0)
    model = torch.nn.LSTM(width, SIZE, layers, bidirectional=bidirectional, batch_first=batch_first)
    count = layers * (2 if bidirectional else 1)
    first = (batch, STEPS) if batch_first else (STEPS, batch)
    leaves = [
        torch.randn(*shape, requires_grad=True)
        for shape in ((*first, width), (count, batch, SIZE), (count, batch, SIZE))
    ]
    if has_repeats:
        with torch.no_grad():
            leaves[0].copy_(leaves[0].flatten(0, 1)[torch.randint(0, 5, first)])
    out, (hidden, cell) = model(leaves[0], tuple(leaves[1:]))
    ((out * out).sum() + (hidden * 3).sum() + (cell * hidden).sum()).backward()
    return [each.detach().numpy() for each in (out, hidden, cell)] + [
        each.grad.numpy() for each in (*leaves, *model.parameters())
    ]


OPTIONS = (
    {},
    {"bidirectional": True},
    {"layers": 2, "batch_first": True},
    {"has_repeats": True},
    {"width": 64, "batch_first": True},
    {"has_repeats": True, "batch_first": True, "bidirectional": True},
)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("batch", [4, 12])
def test_the_walk_agrees_with_numpy(monkeypatch, batch, options):
    expected = results(batch, **options)
    calls = []
    monkeypatch.setattr(lstm, "_LEAST", 1)
    for name in ("_LEAST", "_LEAST_ROWS"):
        monkeypatch.setattr(repeats, name, 1)
    for name in ("walk", "walk_back"):
        known = getattr(lstm, name)
        monkeypatch.setattr(lstm, name, lambda *args, known=known: calls.append(known) or known(*args))
    for found, oracle in zip(results(batch, **options), expected, strict=True):
        assert np.abs(found - oracle).max() <= 2e-6 * max(1, np.abs(oracle).max())
    assert len(set(calls)) == 2, "both directions of the compiled walk were taken"


def test_the_same_walk_gives_the_same_bits(monkeypatch):
    monkeypatch.setattr(lstm, "_LEAST", 1)
    for first, second in zip(results(8), results(8), strict=True):
        assert np.array_equal(first, second)


def both_ways(rng, batch, weights):
    """What the walk makes in each direction, all in float32, with each of some weights."""
    rows, order = batch * STEPS, lstm.Order(STEPS, batch, False, False)
    given = [
        rng.standard_normal(shape).astype(dt.bfloat16.numpy).astype(np.float32)
        for shape in ((rows, 4 * SIZE), (batch, SIZE), (batch, SIZE), (rows, SIZE))
    ]
    places = rng.integers(0, 7, rows)
    for each in weights:
        projected, hidden, cell, g = (array.copy() for array in given)
        gates, output, earlier, *kept = lstm.walk(projected, None, each, hidden, cell, order)
        carried = np.zeros_like(hidden), np.zeros_like(cell)
        back = lstm.walk_back(gates, (places, 7), each, *carried, g, *kept, order)
        yield [
            hidden,
            cell,
            gates,
            *kept,
            *carried,
            *(array.astype(np.float32) for array in back if array is not None),
        ]
        assert np.array_equal(earlier[batch:], output[:-batch]), "a step begins with what the last one gave"


def weight_of(rng):
    return (rng.standard_normal((4 * SIZE, SIZE)) * 0.2).astype(dt.bfloat16.numpy)


@pytest.mark.parametrize("batch", [4, 8])
def test_a_weight_in_bfloat16_gives_the_bits_of_its_float32(monkeypatch, rng, batch):
    monkeypatch.setattr(lstm, "_is_paired", lambda weight: False)
    weight = weight_of(rng)
    found, expected = both_ways(rng, batch, (weight, weight.astype(np.float32)))
    assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))


@pytest.mark.skipif(not loops.multiplies_bfloat16(), reason="no instructions for bfloat16")
@pytest.mark.parametrize("batch", [4, 8])
def test_products_of_bfloat16_round_their_left_factor_only(monkeypatch, rng, batch):
    monkeypatch.setattr(lstm, "_is_paired", lambda weight: weight.dtype == dt.bfloat16.numpy)
    weight = weight_of(rng)
    found, expected = both_ways(rng, batch, (weight, weight.astype(np.float32)))
    for one, other in zip(found, expected, strict=True):
        assert 0 < np.abs(one - other).max() <= 2**-7 * np.abs(other).max()


def test_large_gates_saturate_and_what_is_no_number_stays_so():
    gates = np.zeros((4, 4 * SIZE), np.float32)
    gates[0], gates[1], gates[2] = 1e9, -1e9, np.nan
    cell, zeros = np.ones((4, SIZE), np.float32), np.zeros((4, SIZE), np.float32)
    weight, order = np.zeros((4 * SIZE, SIZE), np.float32), lstm.Order(1, 4, False, False)
    _, output, *_, squashed = lstm.walk(gates, None, weight, zeros, cell, order)
    np.testing.assert_allclose(cell[0], 2, rtol=1e-6)
    np.testing.assert_allclose(output[0], np.tanh(2), rtol=1e-6)
    assert (np.abs(output[1]) < 1e-30).all() and np.isnan(output[2]).all() and np.isnan(squashed[2]).all()


def test_what_does_not_fit_is_numpys():
    hidden = np.zeros((32, 256), np.float32)
    assert lstm.suits(hidden, (32,) * 64)
    assert not lstm.suits(hidden, (32,) * 63 + (31,)), "sequences of different lengths"
    assert not lstm.suits(hidden[:30], (30,) * 64), "a batch that is not in whole pieces"
    assert not lstm.suits(hidden.astype(np.float64), (32,) * 64)
