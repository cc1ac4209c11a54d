"""Compiled softmax agrees with NumPy's in float64: alone, its logarithm, in cross entropy, and their gradients."""

import numpy as np
import pytest

import distrt as torch
from distrt.core.kernels import loops, softmax

pytestmark = pytest.mark.skipif(not loops.vector_floats(), reason="no compiler, or no AVX2")

F = torch.nn.functional
SHAPES = [(5, 16), (3, 2, 33), (7, 1), (2, 10), (31,)]


@pytest.fixture(autouse=True)
def takes_small_ones(monkeypatch):
    monkeypatch.setattr(softmax, "_LEAST", 1)


def both_ways(function, values, slope):
    """The result, and the gradient of the input."""
    input = torch.tensor(values, requires_grad=True)
    out = function(input)
    (out * torch.tensor(slope)).sum().backward()
    return out.detach().numpy(), input.grad.numpy()


def require_close(function, values, slope):
    single = [np.asarray(each, np.float32) for each in (values, slope)]
    for found, expected in zip(both_ways(function, *single), both_ways(function, values, slope), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("function", [torch.softmax, torch.log_softmax], ids=["softmax", "log_softmax"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_results_and_gradients_are_those_of_float64(monkeypatch, rng, function, shape):
    calls = []
    known = softmax._run
    monkeypatch.setattr(softmax, "_run", lambda *args: calls.append(1) or known(*args))
    require_close(lambda x: function(x, -1), 5 * rng.standard_normal(shape), rng.standard_normal(shape))
    assert len(calls) == 2, "forward and backward were the kernel's"


@pytest.mark.parametrize("options", [{}, {"ignore_index": 3}, {"label_smoothing": 0.1}], ids=str)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_cross_entropy_and_its_gradient_are_those_of_float64(rng, reduction, options):
    target = torch.tensor(np.arange(9) % 5)

    def loss(input):
        return F.cross_entropy(input, target, reduction=reduction, **options)

    slope = rng.standard_normal(9) if reduction == "none" else 2.0
    require_close(loss, 5 * rng.standard_normal((9, 21)), slope)


def test_gradients_agree_with_differences(rng):
    values, slope, way = (rng.standard_normal((4, 19)) for _ in range(3))
    for function in (torch.softmax, torch.log_softmax):
        ends = [
            both_ways(lambda x, f=function: f(x, 1), values + step * way, slope)[0] for step in (1e-5, -1e-5)
        ]
        difference = ((ends[0] - ends[1]) * slope).sum() / 2e-5
        narrow = [each.astype(np.float32) for each in (values, slope)]
        found = (both_ways(lambda x, f=function: f(x, 1), *narrow)[1] * way).sum()
        assert found == pytest.approx(difference, rel=1e-4, abs=1e-5)


def test_a_second_derivative_is_taken(rng):
    input = torch.tensor(rng.standard_normal((3, 17)).astype(np.float32), requires_grad=True)
    (first,) = torch.autograd.grad((torch.softmax(input, 1) ** 2).sum(), input, create_graph=True)
    (first**2).sum().backward()
    assert np.isfinite(input.grad.numpy()).all() and input.grad.abs().sum() > 0


def test_rows_of_extremes_are_numpys(monkeypatch):
    values = np.zeros((6, 19), np.float32)
    values[0] = -np.inf
    values[1, 17], values[2, 3], values[3, 18] = np.inf, np.nan, -np.inf
    values[4, :9] = 3e38
    values[5, :] = -3e38
    with np.errstate(invalid="ignore"):
        found = softmax.spread(values)[0]
        monkeypatch.setattr(softmax, "_LEAST", 1 << 16)
        expected = torch.softmax(torch.tensor(values), 1).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found[3, 18] == 0


def test_the_same_call_gives_the_same_bits_wherever_its_array_lies(rng):
    values = rng.standard_normal((5, 37)).astype(np.float32)
    expected = softmax.spread(values)
    for offset in range(1, 16):
        room = np.zeros(values.size + 16, np.float32)
        moved = room[offset : offset + values.size].reshape(values.shape)
        moved[...] = values
        assert all(np.array_equal(*pair) for pair in zip(softmax.spread(moved), expected, strict=True))
    assert np.array_equal(softmax.spread(np.asfortranarray(values))[0], expected[0])
    assert np.array_equal(softmax.spread(values[2])[0], expected[0][2]), (
        "a row has its bits without the others"
    )


def test_what_does_not_fit_is_numpys(monkeypatch):
    values = np.zeros((4, 64), np.float32)
    assert softmax.suits(values, values)
    assert not softmax.suits(values.astype(np.float64)) and not softmax.suits(values[:0])
    monkeypatch.setattr(softmax, "_LEAST", 1 << 16)
    assert not softmax.suits(values), "a small one"
