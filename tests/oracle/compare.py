"""Carrying values from one library to the other, and comparing what they say."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

import distrt
from tests.oracle.op_cases import TOLERANCE


def to_distrt(array: np.ndarray[Any, Any], grad: bool = False) -> Any:
    """A distrt tensor of this very array, strides and all."""
    return distrt.from_numpy(array).requires_grad_(grad)


def to_torch(torch: Any, array: np.ndarray[Any, Any], grad: bool = False) -> Any:
    """A PyTorch tensor with the array's values and strides."""
    if array.dtype.name == "bfloat16":
        made = torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    else:
        made = torch.from_numpy(array)
    return made.detach().requires_grad_(grad)


def values(tensor: Any) -> np.ndarray[Any, Any]:
    """The values, in float64 (complex128) where they are of a floating (complex) dtype."""
    plain = tensor.detach()
    if plain.is_complex():
        return np.asarray(plain.resolve_conj().numpy() if hasattr(plain, "resolve_conj") else plain.numpy())
    return np.asarray((plain.double() if plain.is_floating_point() else plain).numpy(force=True))


def is_floating(array: np.ndarray[Any, Any]) -> bool:
    return array.dtype.kind in "fc" or array.dtype.name == "bfloat16"


def assert_same(ours: Any, theirs: Any, what: str, scale: float = 1.0) -> None:
    """Shape, dtype and values; ``scale`` widens the tolerance.

    An element may be off by what rounding does to the largest ones: sums that cancel leave that much behind.
    """
    assert tuple(ours.shape) == tuple(theirs.shape), f"{what}: {ours.shape} instead of {theirs.shape}"
    assert str(ours.dtype) == str(theirs.dtype), f"{what}: {ours.dtype} instead of {theirs.dtype}"
    rtol, atol = TOLERANCE.get(str(theirs.dtype).removeprefix("torch."), (0.0, 0.0))
    expected = values(theirs)
    finite = np.abs(expected[np.isfinite(expected)]) if atol else np.empty(0)
    atol *= scale * max(1.0, finite.max(initial=0.0))
    np.testing.assert_allclose(values(ours), expected, rtol * scale, atol, equal_nan=True, err_msg=what)


def quietly(function: Any, *arguments: Any) -> Any:
    """The result, without the warnings that PyTorch gives on the way."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments)


def outputs_of(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple | list) else [result]
