"""Normalisation layers: old states, running statistics, warnings, precision, and gradients that PyTorch has not."""

from __future__ import annotations

import math
import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import distrt as torch
import distrt.nn.functional as F
from distrt import nn


@pytest.fixture
def theirs(request: pytest.FixtureRequest) -> Any:
    """PyTorch."""
    return request.getfixturevalue("torch")


def test_states_from_before_batches_were_counted_load() -> None:
    layer = nn.Sequential(nn.BatchNorm1d(2))
    layer(torch.randn(4, 2))
    old = OrderedDict(
        (name, value + 1.0) for name, value in layer.state_dict().items() if "tracked" not in name
    )
    layer.load_state_dict(old)
    assert int(layer[0].num_batches_tracked) == 1
    assert torch.equal(layer[0].running_mean, old["0.running_mean"])


def test_a_new_state_must_have_counted() -> None:
    state = nn.BatchNorm1d(2).state_dict()
    assert state._metadata[""]["version"] == 2
    del state["num_batches_tracked"]
    with pytest.raises(RuntimeError, match=r'Missing key.*"num_batches_tracked"'):
        nn.BatchNorm1d(2).load_state_dict(state)


def test_instance_norm_explains_old_running_statistics() -> None:
    old = {"running_mean": torch.zeros(3), "running_var": torch.ones(3)}
    words = (
        'Unexpected running stats buffer.s. "running_mean" and "running_var" for InstanceNorm1d with track'
    )
    with pytest.raises(RuntimeError, match=words):
        nn.InstanceNorm1d(3).load_state_dict(old)


def test_reset_running_stats_forgets() -> None:
    layer = nn.BatchNorm2d(3)
    layer(torch.randn(2, 3, 4, 4))
    layer.reset_running_stats()
    assert layer.running_mean.tolist() == [0] * 3 and layer.running_var.tolist() == [1] * 3
    assert int(layer.num_batches_tracked) == 0


def test_running_statistics_can_be_replaced_by_none() -> None:
    layer = nn.BatchNorm1d(3).eval()
    layer.running_mean = layer.running_var = None
    out = layer(torch.randn(10, 3))
    assert torch.allclose(out.mean(0), torch.zeros(3), atol=1e-6)


def test_running_statistics_are_not_part_of_the_graph() -> None:
    layer = nn.BatchNorm1d(3)
    layer(torch.randn(10, 3, requires_grad=True)).sum().backward()
    assert not layer.running_mean.requires_grad and layer.running_mean.grad_fn is None


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.nn.Softmax()(t.ones(2, 3)),
        lambda t: t.nn.LogSoftmax()(t.ones(2, 3, 4)),
        lambda t: t.nn.Softmin()(t.ones(3)),
        lambda t: t.nn.functional.softmax(t.ones(2, 3)),
        lambda t: t.nn.Hardtanh(min_value=-2, max_value=3)(t.tensor([-5.0, 5.0])),
        lambda t: t.nn.InstanceNorm1d(7)(t.tensor([[[1.0, 2.0]]])),
        lambda t: t.nn.InstanceNorm2d(3)(t.tensor([[[1.0, 2.0]]])),
    ],
)
def test_warnings_are_pytorchs(call: Callable[[Any], Any], theirs: Any) -> None:
    said, values = [], []
    for library in (torch, theirs):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            values.append(call(library).detach().tolist())
        said.append([(each.category, str(each.message)) for each in caught])
    assert said[0] == said[1] and said[0]
    assert np.allclose(values[0], values[1], atol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "nn.LayerNorm(64)",
        "nn.GroupNorm(4, 64)",
        "nn.RMSNorm(64)",
        "nn.BatchNorm1d(64)",
        "nn.InstanceNorm1d(64, affine=True)",
    ],
)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_rounded_once(text: str, dtype: str) -> None:
    kind = getattr(torch, dtype)
    layer, wide = eval(text).to(kind), eval(text)
    shape = (64, 64) if "Instance" not in text else (2, 64, 64)
    x = (torch.randn(*shape) + 3).to(kind).requires_grad_()
    exact = x.detach().float().requires_grad_()
    out, expected = layer(x), wide(exact)
    assert out.dtype is kind and torch.equal(out, expected.to(kind))
    weights = torch.randn(*shape).to(kind)
    (out * weights).sum().backward()
    (expected * weights.float()).sum().backward()
    assert torch.allclose(x.grad.float(), exact.grad, rtol=2e-2, atol=2e-2)


def test_large_means_leave_the_variance_intact() -> None:
    x = torch.randn(1000, 8) + 10_000
    for layer in (nn.LayerNorm(8), nn.BatchNorm1d(8), nn.GroupNorm(1, 8)):
        expected = layer.double()(x.double())
        assert torch.allclose(layer.float()(x).double(), expected, atol=5e-3)


def test_the_epsilon_of_rms_norm_is_the_dtypes_own() -> None:
    for dtype, kind in (
        (torch.float32, np.float32),
        (torch.float64, np.float64),
        (torch.bfloat16, np.float32),
    ):
        x = torch.full((1, 2), 1e-5, dtype=dtype)
        seen = x.double()[0, 0].item()
        expected = seen / math.sqrt(seen * seen + float(np.finfo(kind).eps))
        assert nn.RMSNorm(2, dtype=dtype)(x)[0, 0].item() == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 20])
def test_cross_map_normalisation_has_true_derivatives(size: int) -> None:
    layer = nn.CrossMapLRN2d(size, 0.7, 0.6, 1.5)
    x = torch.randn(2, 6, 2, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))


def test_kinds_of_layers_are_told_apart() -> None:
    assert isinstance(nn.BatchNorm3d(2), nn.modules.batchnorm._BatchNorm)
    assert isinstance(nn.InstanceNorm1d(2), nn.modules.batchnorm._NormBase)
    assert not isinstance(nn.InstanceNorm1d(2), nn.modules.batchnorm._BatchNorm)
    assert isinstance(nn.ReLU6(), nn.Hardtanh) and isinstance(nn.Dropout(), nn.modules.dropout._DropoutNd)
    for kind, other in (
        (nn.CELU, nn.ELU),
        (nn.Softshrink, nn.Hardshrink),
        (nn.LogSoftmax, nn.Softmax),
        (nn.Hardswish, nn.Hardsigmoid),
        (nn.CrossMapLRN2d, nn.LocalResponseNorm),
        (nn.GELU, nn.ReLU),
    ):
        assert not issubclass(kind, other) and not issubclass(other, kind)


def test_functions_of_the_library_have_their_own_order_of_arguments() -> None:
    x, one = torch.randn(4, 3), torch.ones(3)
    assert torch.equal(
        torch.batch_norm(x, one, one, None, None, True, 0.1, 1e-5, True),
        F.batch_norm(x, None, None, one, one, True),
    )
    assert torch.equal(torch.layer_norm(x, (3,), one, one, 1e-5, False), F.layer_norm(x, (3,), one, one))
    assert torch.equal(torch.dropout(x, 0.5, False), x) and torch.equal(
        torch.alpha_dropout(x, p=0.5, train=False), x
    )
