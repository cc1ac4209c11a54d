"""``norm`` of any tensor, and distances measured with it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array
from distrt.core.autocast import autocasts
from distrt.core.definitions.out import takes_out, write_out
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DtypeError, ShapeError, UnsupportedError
from distrt.core.op import op
from distrt.core.ops.linalg.norms import linalg_matrix_norm, linalg_vector_norm
from distrt.core.ops.shapes.dims import Dims, one_dim

__all__ = ["cdist", "dist", "norm", "pdist", "renorm"]


def norm(
    input: Any, p: Any = "fro", dim: Dims = None, keepdim: bool = False, out: Any = None, dtype: Any = None
) -> Any:
    """The p-norm over ``dim`` (all elements for None); "fro" is the Euclidean one, "nuc" sums singular values.

    Raises:
        RuntimeError: for another text as ``p``.
    """
    if p is None or (p == "fro" and (dim is None or isinstance(dim, int) or len(dim) <= 2)):
        p = 2.0
    if isinstance(p, str):
        dims = tuple(range(input.ndim)) if dim is None else dim
        result = linalg_matrix_norm(input, p, dims, keepdim, dtype=dtype)
    else:
        result = linalg_vector_norm(input, p, dim, keepdim, dtype=dtype)
    return result if out is None else write_out("norm", result, out)


@takes_out
def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of ``input - other``. Shape: broadcasts."""
    return norm(ops.sub(input, other), p)


@autocasts("full")
def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: Any = "use_mm_for_euclid_dist_if_necessary") -> Any:
    """The p-norm distance of every row of ``x1`` to every row of ``x2``. Shape: (…, P, M), (…, R, M) -> (…, P, R).

    Euclidean distances of more than 25 rows come from one matrix product, as in PyTorch: faster, less exact, and
    without a table of (P, R, M) differences. ``compute_mode`` asks for the product always, or never.
    """
    if compute_mode not in _COMPUTE_MODES:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    for name, each in (("X1", x1), ("X2", x2)):
        if each.ndim < 2:
            raise ShapeError(f"cdist only supports at least 2D tensors, {name} got: {each.ndim}D")
        if not each.is_floating_point():
            raise DtypeError(f"cdist only supports floating-point dtypes, {name} got: {each.dtype}")
    if x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(
            f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}"
        )
    if x1.dtype != x2.dtype:
        raise DtypeError(
            f"cdist: expected X1 and X2 to have the same dtype, but found {x1.dtype} and {x2.dtype}"
        )
    is_large = x1.shape[-2] > _FEW_ROWS or x2.shape[-2] > _FEW_ROWS
    by_product = compute_mode == _ALWAYS or (compute_mode != _NEVER and is_large)
    if p == 2 and by_product and x1.dtype.itemsize > 2 and x1.shape[-1]:
        return _euclidean(x1, x2)
    return _between_rows("cdist", ops.sub(ops.unsqueeze(x1, -2), ops.unsqueeze(x2, -3)), p)


#: Up to here PyTorch subtracts, unless it is told otherwise.
_FEW_ROWS = 25
_ALWAYS = "use_mm_for_euclid_dist"
_NEVER = "donot_use_mm_for_euclid_dist"
_COMPUTE_MODES = (None, "use_mm_for_euclid_dist_if_necessary", _ALWAYS, _NEVER)


@op(node="EuclideanDist")
def _euclidean(x1: Array, x2: Array) -> Array:
    """The Euclidean distances of the rows, of their lengths and products: ``|a - b|² = |a|² - 2 a·b + |b|²``."""
    squares = np.matmul(-2 * x1, np.swapaxes(x2, -1, -2))
    squares += np.square(x1).sum(-1)[..., :, None]
    squares += np.square(x2).sum(-1)[..., None, :]
    return np.sqrt(np.maximum(squares, 0, out=squares), out=squares)


_euclidean.gradient(
    x1=lambda g, x1, x2, out: _away(_per_length(g, out), x1, x2),
    x2=lambda g, x1, x2, out: _away(ops.transpose(_per_length(g, out), -2, -1), x2, x1),
)


def _per_length(g: Any, out: Any) -> Any:
    """``g / out``, and 0 for rows at no distance."""
    is_apart = ops.ne(out, 0)
    return ops.zero_unless(ops.true_divide(g, ops.where(is_apart, out, 1.0)), is_apart)


def _away(weights: Any, rows: Any, others: Any) -> Any:
    """For each row the sum of ``weight * (row - other)`` over the others."""
    return ops.sub(ops.mul(rows, ops.unsqueeze(ops.sum(weights, -1), -1)), ops.matmul(weights, others))


def _between_rows(name: str, differences: Any, p: float) -> Any:
    if differences.dtype.itemsize == 2:
        raise UnsupportedError(f"{name}: not implemented for {differences.dtype}; convert it with .float()")
    if p < 0:
        raise ShapeError(f"{name} only supports non-negative p values, got {p}")
    if not differences.shape[-1]:
        return ops.sum(differences, -1)
    if p in (0, math.inf):
        return _largest_size(differences) if p else _differing(differences)
    return linalg_vector_norm(differences, p, -1)


@op(node="Cdist")
def _differing(input: Array) -> Array:
    """How many numbers along the last dim are not 0; its gradient is 0, and is given, as in PyTorch."""
    return np.count_nonzero(input, axis=-1).astype(input.dtype)


_differing.gradient(
    input=lambda g, input_meta: ops.expand(ops.unsqueeze(ops.mul(g, 0), -1), input_meta.shape)
)


@op(node="Cdist")
def _largest_size(input: Array) -> Array:
    """The largest absolute value along the last dim; each of equal ones gets the whole gradient, as in PyTorch."""
    return np.abs(input).max(axis=-1)


_largest_size.gradient(input=lambda g, input, out: _at_largest(g, input, out))


def _at_largest(g: Any, input: Any, out: Any) -> Any:
    reached = ops.eq(ops.abs(input), ops.unsqueeze(out, -1))
    return ops.zero_unless(ops.mul(ops.unsqueeze(g, -1), ops.sign(input)), reached)


def pdist(input: Any, p: float = 2) -> Any:
    """The p-norm distances between the rows of ``input``: those of the first to all later ones, then of the second.

    Shape: (N, M) -> (N * (N - 1) / 2,).
    """
    if input.ndim != 2:
        raise ShapeError(f"pdist only supports 2D tensors, got: {input.ndim}D")
    if not input.is_floating_point():
        raise DtypeError(f"pdist only supports floating-point dtypes, got {input.dtype}")
    first, second = np.triu_indices(input.shape[0], 1)
    return _between_rows("pdist", ops.sub(ops.index(input, (first,)), ops.index(input, (second,))), p)


@takes_out
def renorm(input: Any, p: float, dim: int, maxnorm: float) -> Any:
    """Each slice along ``dim`` scaled down to the p-norm ``maxnorm`` where its own is larger.

    Raises:
        ShapeError: for fewer than 2 dims, or a norm that is not positive.
    """
    if p <= 0:
        raise ShapeError(f"renorm: non-positive-norm not supported, got p={p}")
    if maxnorm < 0:
        raise ShapeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    if input.ndim < 2:
        raise ShapeError(f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions")
    own = one_dim(dim, input.ndim)
    others = tuple(n for n in range(input.ndim) if n != own)
    is_half = input.is_floating_point() and input.dtype.itemsize == 2
    sizes = linalg_vector_norm(ops.to_dtype(input, dt.float32.numpy) if is_half else input, p, others, True)
    scale = ops.where(ops.gt(sizes, maxnorm), ops.true_divide(maxnorm, ops.add(sizes, 1e-7)), 1.0)
    return ops.mul(input, ops.to_dtype(scale, input._array.dtype) if is_half else scale)
