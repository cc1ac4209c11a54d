"""The compiled walk of an LSTM agrees with NumPy's, forward and backward, in both directions."""

import numpy as np
import pytest

import distrt as torch
from distrt.core import dtype as dt
from distrt.core.kernels import loops, lstm

pytestmark = pytest.mark.skipif(not loops.vector_floats(), reason="no compiler, or no AVX2")

STEPS, WIDTH, SIZE = 5, 12, 32


def results(batch, layers=1, bidirectional=False):
    """Output, last states and every gradient."""
    torch.manual_seed(0)
    model = torch.nn.LSTM(WIDTH, SIZE, layers, bidirectional=bidirectional)
    count = layers * (2 if bidirectional else 1)
    leaves = [
        torch.randn(*shape, requires_grad=True)
        for shape in ((STEPS, batch, WIDTH), (count, batch, SIZE), (count, batch, SIZE))
    ]
    out, (hidden, cell) = model(leaves[0], tuple(leaves[1:]))
    ((out * out).sum() + (hidden * 3).sum() + (cell * hidden).sum()).backward()
    return [each.detach().numpy() for each in (out, hidden, cell)] + [
        each.grad.numpy() for each in (*leaves, *model.parameters())
    ]


@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"layers": 2}], ids=str)
@pytest.mark.parametrize("batch", [4, 12])
def test_the_walk_agrees_with_numpy(monkeypatch, batch, options):
    expected = results(batch, **options)
    calls = []
    monkeypatch.setattr(lstm, "_LEAST", 1)
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


@pytest.mark.parametrize("batch", [4, 8])
def test_a_weight_in_bfloat16_gives_the_bits_of_its_float32(rng, batch):
    rows = batch * STEPS
    weight = rng.standard_normal((4 * SIZE, SIZE)).astype(dt.bfloat16.numpy)
    given = [
        rng.standard_normal(shape).astype(np.float32)
        for shape in ((rows, 4 * SIZE), (batch, SIZE), (batch, SIZE), (rows, SIZE))
    ]
    found = []
    for each in (weight, weight.astype(np.float32)):
        gates, hidden, cell, g = (array.copy() for array in given)
        made = lstm.walk(gates, each, hidden, cell, False)
        g_hidden, g_cell = np.zeros_like(hidden), np.zeros_like(cell)
        back = lstm.walk_back(gates, each, g_hidden, g_cell, g, *made[1:], False)
        found.append([gates, cell, *made, g_hidden, g_cell, *back])
    assert all(np.array_equal(*pair) for pair in zip(*found, strict=True))


def test_large_gates_saturate_and_what_is_no_number_stays_so(monkeypatch):
    monkeypatch.setattr(lstm, "_LEAST", 1)
    gates = np.zeros((4, 4 * SIZE), np.float32)
    gates[0], gates[1], gates[2] = 1e9, -1e9, np.nan
    cell, zeros = np.ones((4, SIZE), np.float32), np.zeros((4, SIZE), np.float32)
    output, _, squashed = lstm.walk(gates, np.zeros((4 * SIZE, SIZE), np.float32), zeros, cell, False)
    np.testing.assert_allclose(cell[0], 2, rtol=1e-6)
    np.testing.assert_allclose(output[0], np.tanh(2), rtol=1e-6)
    assert (np.abs(output[1]) < 1e-30).all() and np.isnan(output[2]).all() and np.isnan(squashed[2]).all()


def test_what_does_not_fit_is_numpys():
    gates, hidden = np.zeros((160, 4 * 256), np.float32), np.zeros((32, 256), np.float32)
    assert lstm.suits(gates, hidden, (32,) * 64)
    assert not lstm.suits(gates, hidden, (32,) * 63 + (31,)), "sequences of different lengths"
    assert not lstm.suits(gates, hidden[:30], (30,) * 64), "a batch that is not in whole pieces"
    assert not lstm.suits(gates.astype(np.float64), hidden, (32,) * 64)
