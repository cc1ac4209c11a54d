"""Dropout: zeroing elements or whole channels at random, with or without keeping a self-normalising network's variance.

The functions of ``distrt`` are here; those of ``nn.functional`` check more and call these.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, filled, is_on_gpu
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DtypeError, NoKernelError, ShapeError
from distrt.core.kernels import on_gpu
from distrt.core.modes import used
from distrt.core.op import IndexArray, op
from distrt.core.ops.pointwise.type_names import scalar_type
from distrt.core.random.draws import draw_chance, draw_seed, laid_out
from distrt.core.tensor import Tensor, wrap

__all__ = [
    "alpha_dropout",
    "dropout",
    "feature_alpha_dropout",
    "feature_dropout",
    "native_dropout",
]


def dropout(input: Tensor, p: float, train: bool) -> Any:
    """In training, zeroes each element with probability ``p`` and scales the others by ``1 / (1 - p)``.

    Raises:
        ShapeError: for a probability outside 0 to 1.
    """
    if _changes_nothing(input, p, train):
        return input
    return _scaled(input, _kept(input, p, input.shape))


def feature_dropout(input: Tensor, p: float, train: bool) -> Any:
    """As ``dropout``, of whole channels: what one sample (dim 0) has in one channel (dim 1) is zeroed together."""
    if _changes_nothing(input, p, train):
        return input
    return _scaled(input, _kept(input, p, _channels(input)))


def alpha_dropout(input: Tensor, p: float, train: bool) -> Any:
    """In training, gives each element with probability ``p`` the value that ``selu`` has far below 0.

    All are scaled and shifted afterwards, so that mean 0 and variance 1 stay. Source: Klambauer et al. 2017.

    Raises:
        ShapeError: for a probability outside 0 to 1.
    """
    return _alpha(input, p, train, lambda: tuple(input.shape))


def feature_alpha_dropout(input: Tensor, p: float, train: bool) -> Any:
    """As ``alpha_dropout``, of whole channels."""
    return _alpha(input, p, train, lambda: _channels(input))


def native_dropout(input: Tensor, p: float, train: bool | None) -> tuple[Any, Tensor]:
    """The result of ``dropout``, and True where an element was kept."""
    if train is False or p == 0 or not input.numel():
        return ops.clone(input), wrap(filled(input.shape, True, np.bool_, input._array))
    _changes_nothing(input, p, True)
    mask = _kept(input, p, input.shape)
    return _scaled(input, mask), wrap(np.broadcast_to(mask != 0, input.shape).copy())


def _changes_nothing(input: Tensor, p: float, train: bool) -> bool:
    if not 0 <= p <= 1:
        raise ShapeError(f"dropout probability has to be between 0 and 1, but got {p:g}")
    return not train or p == 0 or not input.numel()


def _channels(input: Tensor) -> tuple[int, ...]:
    if input.ndim < 2:
        raise ShapeError("Feature dropout requires at least 2 dimensions in the input")
    return (*input.shape[:2], *[1] * (input.ndim - 2))


def _kept(input: Tensor, p: float, shape: tuple[int, ...]) -> Array:
    """0 with probability ``p``, else what keeps the mean."""
    kind = input._array.dtype
    if p == 1:
        return kind.type(0)
    if used.gpu and on_gpu.draws.suits(input._array):
        key = draw_seed(None)
        return on_gpu.draws.kept(tuple(shape), p, 1 / (1 - p), key, kind, input._array)
    kept = _drawn(input, p, tuple(shape))
    return np.multiply(kept, kind.type(1 / (1 - p)), dtype=kind)


def _drawn(input: Tensor, p: float, shape: tuple[int, ...]) -> Array:
    """True with probability ``1 - p``."""
    kind = input._array.dtype
    if dt.category_of(kind) < 2:
        raise DtypeError(f"result type Float can't be cast to the desired output type {scalar_type(input)}")
    if kind.kind == "c":
        raise NoKernelError(f"\"bernoulli_scalar_cpu_\" not implemented for '{scalar_type(input)}'")
    if used.gpu and is_on_gpu(input._array):
        key = draw_seed(None)
        return on_gpu.draws.kept(shape, p, 1, key, np.float32, input._array) != 0
    drawn, array = draw_chance(1 - p, shape, None, input._array), input._array
    return drawn if array.flags.c_contiguous or shape != input.shape else laid_out(drawn, array)


@op(node="Mul")
def _scaled(input: Array, mask: IndexArray) -> Array:
    """``input`` times the mask, which is kept for backward."""
    return np.multiply(input, mask)


_scaled.gradient(input=lambda g, mask: ops.mul(g, mask))

_ALPHA = 1.7580993408473766  # selu's limit, with the sign turned


def _alpha(input: Tensor, p: float, train: bool, shape: Any) -> Any:
    if _changes_nothing(input, p, train):
        return input
    if p == 1:
        return ops.mul(input, 0)
    array, kept = input._array, _drawn(input, p, shape())
    scale = 1 / math.sqrt((_ALPHA * _ALPHA * p + 1) * (1 - p))
    shift = np.where(kept, 0, -_ALPHA * scale) + _ALPHA * scale * p
    noise = wrap(np.where(kept, scale, 0).astype(array.dtype))
    return ops.add(ops.mul(input, noise), wrap(shift.astype(array.dtype)))
