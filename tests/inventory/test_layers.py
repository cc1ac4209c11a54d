"""Area I: linear and normalisation layers, dropout; area J: activations. Each call as the row writes it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import distrt as torch
import distrt.nn.functional as F
from distrt import nn
from tests.inventory.rows import covers
from tests.oracle.compare import assert_same


@pytest.fixture
def theirs(request: pytest.FixtureRequest) -> Any:
    """PyTorch."""
    return request.getfixturevalue("torch")


def _agree(ours: Any, reference: Any, theirs: Any, *shapes: tuple[int, ...]) -> None:
    """Two layers or functions give the same output and input gradient, in training and, for layers, in evaluation."""
    rng = np.random.default_rng(7)
    if hasattr(ours, "load_state_dict"):
        ours.load_state_dict({name: torch.tensor(v.numpy()) for name, v in reference.state_dict().items()})
    for shape in shapes:
        for training in (True, False) if hasattr(ours, "train") else (True,):
            if hasattr(ours, "train"):
                ours.train(training), reference.train(training)
            array = rng.standard_normal(shape).astype(np.float32)
            mine, other = torch.tensor(array, requires_grad=True), theirs.tensor(array, requires_grad=True)
            out, expected = ours(mine * 1), reference(other * 1)
            assert_same(out, expected, f"{ours} of {shape}", 50)
            out.pow(2).sum().backward()
            expected.pow(2).sum().backward()
            assert_same(mine.grad, other.grad, f"gradient of {ours} of {shape}", 500)


@covers("I1", "I2")
def test_linear(theirs: Any) -> None:
    layer = nn.Linear(in_features=100, out_features=50, bias=True)
    bound = 1 / math.sqrt(100)
    assert layer.weight.shape == (50, 100) and layer.bias.shape == (50,)
    assert 0.9 * bound < layer.weight.abs().max().item() <= bound and layer.bias.abs().max().item() <= bound
    _agree(layer, theirs.nn.Linear(100, 50), theirs, (100,), (3, 100), (2, 3, 4, 100))
    c, r = 8, 4
    squeeze = nn.Linear(c, c // r, bias=False)
    assert squeeze.bias is None and list(squeeze.state_dict()) == ["weight"]
    _agree(squeeze, theirs.nn.Linear(c, c // r, bias=False), theirs, (5, 8))


@covers("I10", "I11")
def test_batch_norm(theirs: Any) -> None:
    layer, reference = nn.BatchNorm1d(num_features=100), theirs.nn.BatchNorm1d(num_features=100)
    assert layer.momentum == 0.1 and int(layer.num_batches_tracked) == 0
    _agree(layer, reference, theirs, (8, 100), (8, 100, 3))
    assert int(layer.num_batches_tracked) == 2 and layer.num_batches_tracked.dtype == torch.int64
    assert_same(layer.running_var, reference.running_var, "unbiased variance", 10)
    assert_same(layer.running_mean, reference.running_mean, "mean", 10)
    image = nn.BatchNorm2d(num_features=64)
    _agree(image, theirs.nn.BatchNorm2d(64), theirs, (2, 64, 3, 4))
    assert isinstance(image, nn.modules.batchnorm._BatchNorm)


@covers("I12")
def test_layer_norm(theirs: Any) -> None:
    layer = nn.LayerNorm(normalized_shape=[64, 32, 32])
    assert layer.normalized_shape == (64, 32, 32) and layer.weight.shape == (64, 32, 32)
    _agree(layer, theirs.nn.LayerNorm([64, 32, 32]), theirs, (2, 64, 32, 32))


@covers("I13", "I14")
def test_instance_and_group_norm(theirs: Any) -> None:
    layer = nn.InstanceNorm2d(num_features=64)
    assert not list(layer.parameters()) and not layer.state_dict()
    _agree(layer, theirs.nn.InstanceNorm2d(64), theirs, (2, 64, 5, 4), (64, 5, 4))
    _agree(
        nn.GroupNorm(num_groups=8, num_channels=64),
        theirs.nn.GroupNorm(8, 64),
        theirs,
        (2, 64, 5, 4),
        (2, 64),
    )
    with pytest.raises(ValueError, match=r"num_channels \(64\) must be divisible by num_groups \(7\)"):
        nn.GroupNorm(num_groups=7, num_channels=64)


@covers("I15", "I16")
def test_dropout() -> None:
    x = torch.ones(200, 300)
    for layer, p in ((nn.Dropout(p=0.5), 0.5), (nn.Dropout(0.3), 0.3)):
        dropped = layer(x)
        assert set(dropped.flatten().tolist()) == {0.0, torch.tensor(1 / (1 - p)).item()}
        assert (dropped == 0).float().mean().item() == pytest.approx(p, abs=0.02)
        assert layer.eval()(x) is x
    channels = nn.Dropout2d(p=0.5)(torch.ones(20, 30, 4, 4)).flatten(2)
    assert set(channels.sum(-1).flatten().tolist()) == {0.0, 32.0}


@covers("J1")
def test_relu(theirs: Any) -> None:
    for layer in (nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU(True)):
        _agree(layer, theirs.nn.ReLU(layer.inplace), theirs, (3, 4))
    x = torch.tensor([-1.0, 2.0])
    assert nn.ReLU(inplace=True)(x) is x and x.tolist() == [0.0, 2.0]


@covers("J2", "J3", "J4")
def test_leaky_relu_prelu_and_elu(theirs: Any) -> None:
    _agree(nn.LeakyReLU(negative_slope=0.01), theirs.nn.LeakyReLU(), theirs, (3, 4))
    _agree(nn.LeakyReLU(0.2, inplace=True), theirs.nn.LeakyReLU(0.2, inplace=True), theirs, (3, 4))
    learnt = nn.PReLU()
    assert learnt.weight.shape == (1,) and learnt.weight.item() == 0.25 and learnt.weight.requires_grad
    _agree(learnt, theirs.nn.PReLU(), theirs, (3, 4), (2, 3, 4))
    assert learnt.weight.grad is not None
    assert nn.ELU().alpha == 1.0
    _agree(nn.ELU(), theirs.nn.ELU(), theirs, (3, 4))


@covers("J5", "J6", "J7", "J8")
def test_smooth_activations(theirs: Any) -> None:
    for name in ("GELU", "Sigmoid", "Tanh", "SiLU"):
        _agree(getattr(nn, name)(), getattr(theirs.nn, name)(), theirs, (3, 4))
    _agree(nn.Softmax(dim=-1), theirs.nn.Softmax(dim=-1), theirs, (3, 4))
    assert nn.Softmax(dim=-1)(torch.tensor([1000.0, 1000.0])).tolist() == [0.5, 0.5]
    assert torch.sigmoid(torch.tensor(-30.0)).item() == pytest.approx(math.exp(-30))


@covers("J9", "J10")
def test_functions(theirs: Any) -> None:
    for name in ("relu", "gelu", "sigmoid", "tanh"):
        _agree(getattr(F, name), getattr(theirs.nn.functional, name), theirs, (3, 4))
    _agree(
        lambda x: F.leaky_relu(x, negative_slope=0.01),
        lambda x: theirs.nn.functional.leaky_relu(x, negative_slope=0.01),
        theirs,
        (3, 4),
    )
    for name in ("softmax", "log_softmax"):
        for dim in (-1, 1):
            _agree(
                lambda x, name=name, dim=dim: getattr(F, name)(x, dim=dim),
                lambda x, name=name, dim=dim: getattr(theirs.nn.functional, name)(x, dim=dim),
                theirs,
                (3, 4),
            )
    with pytest.raises(IndexError, match=r"expected to be in range of \[-1, 0\], but got 1"):
        F.log_softmax(torch.ones(3), dim=1)
