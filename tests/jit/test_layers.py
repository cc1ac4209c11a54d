"""Every layer of the oracle's table, traced and scripted, saved and loaded: the very values of the layer itself."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracle.layer_table import LAYERS, Layer, load, tensors_in

load()
pytestmark = pytest.mark.ci
CALLED = [layer for layer in LAYERS if layer.calls]
_CLASS_OF_OPTIONS = "LinearCrossEntropyOptions"  # no value of a program


def _evaluated(module: Any, given: tuple[Any, Any]) -> list[Any]:
    distrt.manual_seed(0)
    args, kwargs = given
    fresh = [each * 1 if isinstance(each, distrt.Tensor) and each.requires_grad else each for each in args]
    return [each.detach().numpy() for each in tensors_in(module(*fresh, **kwargs))]


def _assert_same(module: Any, layer: Any, given: tuple[Any, Any]) -> None:
    for one, other in zip(_evaluated(module, given), _evaluated(layer, given), strict=True):
        assert one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")


def _made(layer: Layer) -> tuple[Any, tuple[Any, Any]]:
    dtype = "float64" if "float64" in layer.text else "float32"
    given = layer.arguments(distrt, layer.calls[0], dtype, 0)
    return layer.make(distrt).to(getattr(distrt, dtype)).eval(), given


def _reloaded(made: Any) -> Any:
    return distrt.jit.load(io.BytesIO(made.save_to_buffer()))


@pytest.mark.parametrize("layer", CALLED, ids=str)
def test_a_scripted_layer(layer: Layer) -> None:
    module, given = _made(layer)
    scripted = distrt.jit.script(module)
    _assert_same(scripted, module, given)
    if _CLASS_OF_OPTIONS in layer.text:
        with pytest.raises(RuntimeError, match="cannot be saved"):
            scripted.save_to_buffer()
        return
    _assert_same(_reloaded(scripted), module, given)


def _is_tensors(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(_is_tensors(each) for each in value)
    return isinstance(value, distrt.Tensor)


@pytest.mark.parametrize("layer", CALLED, ids=str)
def test_a_traced_layer(layer: Layer) -> None:
    module, (args, kwargs) = _made(layer)
    if kwargs:
        pytest.skip("a trace takes tensors by position")
    args = [each for each in args if _is_tensors(each)]
    given = ([each.detach() if isinstance(each, distrt.Tensor) else each for each in args], {})
    try:
        _evaluated(module, given)
    except (RuntimeError, TypeError, ValueError):
        pytest.skip("this call needs more than tensors")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = distrt.jit.trace(module, tuple(given[0]), strict=False, check_trace=False)
    _assert_same(traced, module, given)
    _assert_same(_reloaded(traced), module, given)
