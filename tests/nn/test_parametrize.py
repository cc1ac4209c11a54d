"""Parametrizations: what registering, assigning, copying and removing them does, against PyTorch."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import Any

import pytest

import distrt
from tests.nn.both import Tell, assert_same_run, numbered


def _linear(t: Any, inputs: int = 3, outputs: int = 3) -> Any:
    layer = t.nn.Linear(inputs, outputs, dtype=t.float64)
    with t.no_grad():
        layer.weight.copy_(numbered(t, outputs, inputs))
        layer.bias.fill_(0.5)
    return layer


def _kinds(t: Any) -> Any:
    class Symmetric(t.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return x.triu() + x.triu(1).mT

        def right_inverse(self, x: Any) -> Any:
            return x.triu()

    class Product(t.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any, y: Any) -> Any:
            return x.unsqueeze(-1) * y

        def right_inverse(self, z: Any) -> Any:
            return z[:, 0], z[0] / z[0, 0]

    class Returns(t.nn.Module):  # type: ignore[misc]
        def __init__(self, forward: Any, inverse: Any = None) -> None:
            super().__init__()
            self.forward = forward
            if inverse is not None:
                self.right_inverse = inverse

    return Symmetric, Product, Returns


def _lives(t: Any, tell: Tell) -> None:
    """One tensor of a layer, parametrized, trained, assigned, copied and freed again."""
    parametrize, (symmetric, *_) = t.nn.utils.parametrize, _kinds(t)
    layer = _linear(t)
    assert parametrize.register_parametrization(layer, "weight", symmetric()) is layer
    tell.state(layer)
    tell(layer.weight, layer.parametrizations.weight.original)
    tell(parametrize.type_before_parametrizations(layer) is t.nn.Linear, isinstance(layer, t.nn.Linear))
    tell(*[parametrize.is_parametrized(layer, name) for name in (None, "weight", "bias")])
    (layer(numbered(t, 2, 3)) ** 2).sum().backward()
    tell(layer.parametrizations.weight.original.grad)
    layer.weight = numbered(t, 3, 3, start=2.0)
    tell(layer.weight)
    copied = copy.deepcopy(layer)
    copied.weight = t.zeros(3, 3, dtype=t.float64)
    tell(type(copied) is type(layer), layer.weight, copied.weight)
    copied.load_state_dict(layer.state_dict())
    tell(copied.weight)
    assert parametrize.remove_parametrizations(layer, "weight") is layer
    tell.state(layer)
    tell(type(layer) is t.nn.Linear, isinstance(layer.weight, t.nn.Parameter))


def _several(t: Any, tell: Tell) -> None:
    """Two tensors of one layer, one of them with two parametrizations; a buffer; originals that are several."""
    parametrize, (symmetric, product, _) = t.nn.utils.parametrize, _kinds(t)
    layer = _linear(t)
    parametrize.register_parametrization(layer, "weight", symmetric())
    parametrize.register_parametrization(layer, "weight", symmetric())
    parametrize.register_parametrization(layer, "bias", t.nn.Tanh())
    tell.state(layer)
    layer.weight = t.eye(3, dtype=t.float64)
    tell(layer.weight, layer.bias)
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    tell.state(layer)
    tell(parametrize.is_parametrized(layer), type(layer).__name__)
    norm = t.nn.BatchNorm1d(3)
    parametrize.register_parametrization(norm, "running_mean", t.nn.Sigmoid())
    tell.state(norm)
    parametrize.remove_parametrizations(norm, "running_mean")
    tell.state(norm)
    other = _linear(t, 3, 2)
    with t.no_grad():
        other.weight.add_(1)
    parametrize.register_parametrization(other, "weight", product())
    tell.state(other)
    other.weight = numbered(t, 2, 3, start=4.0)
    tell(other.weight, *other.parametrizations.weight.state_dict().values())
    parametrize.remove_parametrizations(other, "weight")
    tell.state(other)


def _unsafe(t: Any, tell: Tell) -> None:
    parametrize, (*_, returns) = t.nn.utils.parametrize, _kinds(t)
    layer = _linear(t)
    parametrize.register_parametrization(layer, "weight", t.nn.Flatten(0), unsafe=True)
    parametrize.register_parametrization(layer, "weight", returns(lambda x: x.float()), unsafe=True)
    tell(layer.weight, layer.parametrizations.weight.unsafe)
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    tell(layer.weight)


def _transfers(t: Any, tell: Tell) -> None:
    parametrize, (symmetric, product, _) = t.nn.utils.parametrize, _kinds(t)
    source, target, empty = _linear(t), t.nn.Linear(3, 3, dtype=t.float64), t.nn.Module()
    assert parametrize.transfer_parametrizations_and_params(source, target) is target
    tell(parametrize.is_parametrized(target))
    parametrize.register_parametrization(source, "weight", symmetric())
    parametrize.register_parametrization(source, "bias", t.nn.Tanh())
    parametrize.transfer_parametrizations_and_params(source, target, "weight")
    tell(target.weight, parametrize.is_parametrized(target, "bias"))
    tell(target.parametrizations.weight.original is source.parametrizations.weight.original)
    parametrize.transfer_parametrizations_and_params(source, empty)
    tell(empty.weight, empty.bias, list(empty.state_dict()))
    pair = _linear(t)
    with t.no_grad():
        pair.weight.add_(1)
    parametrize.register_parametrization(pair, "weight", product())
    parametrize.transfer_parametrizations_and_params(pair, other := _linear(t))
    tell(other.weight, list(other.state_dict()))


def _refusals(t: Any, tell: Tell) -> None:
    parametrize, (symmetric, product, returns) = t.nn.utils.parametrize, _kinds(t)
    register, remove = parametrize.register_parametrization, parametrize.remove_parametrizations
    same = returns(lambda x: x)
    for made in (
        t.nn.Flatten(0),
        returns(lambda x: x.float()),
        returns(lambda x: 3),
        returns(lambda x: x, lambda x: 3),
        returns(lambda x: x, lambda x: x.float()),
        returns(lambda x: x, lambda x: (x, 3)),
    ):
        tell.error(lambda made=made: register(_linear(t), "weight", made))
        layer = register(_linear(t), "weight", returns(lambda x: x))
        tell.error(lambda layer=layer, made=made: register(layer, "weight", made))
    tell.error(lambda: register(_linear(t), "scale", same))
    tell.error(lambda: remove(_linear(t), "weight"))
    layer = register(_linear(t), "weight", same)
    tell.error(lambda: setattr(layer, "weight", t.zeros(3, 3)))
    tell.error(lambda: setattr(layer, "weight", t.nn.Parameter(t.zeros(3, 3))))
    tell.error(lambda: pickle.dumps(layer))
    tell.error(lambda: remove(layer, "bias"))
    tell.error(lambda: parametrize.ParametrizationList([], t.ones(1)))
    square = register(_linear(t), "weight", symmetric())
    tell.error(lambda: setattr(square, "weight", t.zeros(3, 3, dtype=t.float32)))
    pair = _linear(t)
    with t.no_grad():
        pair.weight.add_(1)
    register(pair, "weight", product())
    tell.error(lambda: remove(pair, "weight", leave_parametrized=False))
    first = pair.parametrizations.weight[0]
    for wrong in (3, (t.ones(3),), (t.ones(3), t.ones(3)), (t.ones(3, dtype=t.float64), 3)):
        first.right_inverse = lambda z, wrong=wrong: wrong
        tell.error(lambda: setattr(pair, "weight", t.ones(3, 3)))


@pytest.mark.parametrize("run", [_lives, _several, _unsafe, _transfers, _refusals])
def test_parametrizations_are_pytorchs(run: Any, torch: Any) -> None:
    assert_same_run(torch, run)


def _counting() -> tuple[Any, list[int]]:
    calls = [0]

    class Counting(distrt.nn.Module):
        def forward(self, x: Any) -> Any:
            calls[0] += 1
            return x * 2

    layer = distrt.nn.Linear(2, 2)
    distrt.nn.utils.parametrize.register_parametrization(layer, "weight", Counting(), unsafe=True)
    return layer, calls


def test_inside_cached_each_tensor_is_computed_once() -> None:
    layer, calls = _counting()
    cached = distrt.nn.utils.parametrize.cached
    with cached():
        first = layer.weight
        with cached():
            assert layer.weight is first
        assert layer.weight is first and calls == [1]
        layer(distrt.ones(1, 2)).sum().backward()
    assert layer.parametrizations.weight.original.grad is not None
    assert layer.weight is not layer.weight and calls == [3]
    with cached():
        assert layer.weight is not first and calls == [4]


def test_the_cache_is_left_when_an_error_leaves_it_and_belongs_to_one_thread() -> None:
    layer, calls = _counting()
    with pytest.raises(KeyError), distrt.nn.utils.parametrize.cached():
        raise KeyError
    assert layer.weight is not layer.weight
    before = calls[0]
    with distrt.nn.utils.parametrize.cached():
        _ = layer.weight
        thread = threading.Thread(target=lambda: (layer.weight, layer.weight))
        thread.start()
        thread.join()
    assert calls[0] == before + 3


def test_a_parametrized_layer_does_not_change_others_of_its_class() -> None:
    layer, _ = _counting()
    other = distrt.nn.Linear(2, 2)
    assert type(other) is distrt.nn.Linear and isinstance(other.weight, distrt.nn.Parameter)
    assert type(_counting()[0]) is not type(layer)


def test_a_new_parametrization_takes_the_mode_of_its_module() -> None:
    layer = distrt.nn.Linear(2, 2).eval()
    made = distrt.nn.Dropout(0.5)
    distrt.nn.utils.parametrize.register_parametrization(layer, "weight", made)
    assert not made.training and layer.train() and made.training
