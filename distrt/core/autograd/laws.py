"""What the engine does so that rules need not: a gradient has its input's shape and dtype, and is a complex conjugate.

Called by the engine for every gradient that does not fit as it is, and for a leaf's, which has the leaf's device, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core.arrays import Array, is_array, summed_to
from distrt.core.autograd.node import Node
from distrt.core.errors import AutogradError
from distrt.core.gpu.places import device_of, moved
from distrt.core.kernels.casting import cast
from distrt.core.modes import used
from distrt.core.sparse.array import is_sparse


def fit(gradient: Any, meta: Any, node: Node, index: int) -> Any:
    """Undoes broadcasting and promotion, and holds the rule to the law.

    Raises:
        AutogradError: for a gradient whose shape its input cannot have been broadcast to.
    """
    if type(gradient) is np.ndarray:
        return _fit_array(gradient, meta, node, index)
    shape, dtype = meta
    from distrt.core import ops

    if not hasattr(gradient, "_array"):
        if is_array(gradient):
            return _fit_array(gradient, meta, node, index)
        if is_sparse(gradient):
            return _fit_sparse(gradient, meta, node, index)
        return fit(np.asarray(gradient), meta, node, index)
    if gradient._array.shape != shape:
        _require_broadcast(gradient._array, shape, node, index)
        gradient = ops.sum_to_shape(gradient, shape)
    if gradient._array.dtype.kind == "c" and dtype.kind != "c":
        gradient = ops.real(gradient)
    return gradient if gradient._array.dtype == dtype else ops.to_dtype(gradient, dtype)


def brought_home(gradient: Any, leaf: Any) -> Any:
    """A leaf's gradient where the leaf is: a number on the CPU takes part in what a GPU computes, and hears of it."""
    if leaf is None:
        return gradient
    array, own = getattr(gradient, "_array", gradient), leaf._array
    if array.__class__ is own.__class__ is used.gpu_array and array.data.device_id == own.data.device_id:
        return gradient
    home = device_of(own)
    if device_of(array) == home:
        return gradient
    if array is gradient:
        return moved(array, home)
    from distrt.core import ops

    return ops.to_device(gradient, home, gradient.device)


def _fit_array(gradient: Array, meta: tuple[Any, Any], node: Node, index: int) -> Array:
    shape, dtype = meta
    if gradient.shape != shape:
        gradient = _sum_to(gradient, shape, node, index)
    if gradient.dtype.kind == "c" and dtype.kind != "c":
        gradient = gradient.real
    return gradient if gradient.dtype is dtype or gradient.dtype == dtype else cast(gradient, dtype)


def _fit_sparse(gradient: Any, meta: tuple[Any, Any], node: Node, index: int) -> Any:
    shape, dtype = meta
    if gradient.shape != shape:
        return _fit_array(gradient.dense(), meta, node, index)
    return gradient if gradient.dtype == dtype else gradient.astype(dtype)


def _require_broadcast(gradient: Array, shape: tuple[int, ...], node: Node, index: int) -> None:
    extra: int = gradient.ndim - len(shape)
    if extra < 0 or any(
        want not in (1, have) for want, have in zip(shape, gradient.shape[extra:], strict=True)
    ):
        raise AutogradError(
            f"Function {node.name()} returned an invalid gradient at index {index} - got {list(gradient.shape)} but "
            f"expected shape compatible with {list(shape)}"
        )


def _sum_to(gradient: Array, shape: tuple[int, ...], node: Node, index: int) -> Array:
    _require_broadcast(gradient, shape, node, index)
    return summed_to(gradient, shape)


def conjugating(definition: Any, backward: Callable[..., Any]) -> Callable[..., Any]:
    """The backward function for complex numbers, of rules that are written as for real ones.

    The gradient is that of a real loss, conjugated as PyTorch has it: ``conj(conj(g) * f'(x))`` for a holomorphic f.
    """
    if not definition.holomorphic:
        return backward
    from distrt.core import ops

    def conjugated(edges: Any, saved: Any, *gradients_and_into: Any) -> Any:
        *gradients, into = gradients_and_into
        results = backward(edges, saved, *(g if g is None else ops.conj(g) for g in gradients), into)
        return [result if result is None else ops.conj(result) for result in results]

    return conjugated
