"""Looking up rows of a matrix, and adding rows up by number: each is the other's derivative.

Behind ``nn.Embedding``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, filled, is_on_gpu, known_or
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.kernels import on_gpu
from distrt.core.modes import used
from distrt.core.op import IndexArray, op
from distrt.core.ops.indexing.adding_at import add_rows
from distrt.core.ops.indexing.ranges import require_range
from distrt.core.ops.pointwise.half import wide
from distrt.core.ops.pointwise.type_names import scalar_type
from distrt.core.sparse.array import require_on_cpu
from distrt.core.sparse.coo import Coo

__all__ = ["embedding", "embedding_dense_backward", "rows_given"]


@op()
def embedding(
    weight: Array,
    indices: IndexArray,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Array:
    """The rows of ``weight`` that ``indices`` name. Shape: (rows, features), any -> (…, features).

    Args:
        weight: the matrix.
        indices: numbers of rows.
        padding_idx: the row that gets no gradient; -1 for none.
        scale_grad_by_freq: divide the gradient of each row by how often it is named.
        sparse: the gradient is a sparse tensor of the named rows.

    Raises:
        DimensionError: for an index out of range; negative ones are.
        DtypeError: for indices that are not int32 or int64.
    """
    if weight.ndim != 2:
        raise ShapeError("'weight' must be 2-D")
    require_rows("embedding", indices)
    require_range(indices, 0, weight.shape[0], "index out of range in self: {0} of {1} rows")
    return weight.take(indices, 0)


def require_rows(operation: str, indices: Array) -> None:
    """Raises DtypeError for numbers of rows that are not int32 or int64."""
    if indices.dtype not in (np.int64, np.int32):
        raise DtypeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got "
            f"torch.{scalar_type(indices)}Tensor instead (while checking arguments for {operation})"
        )


@op()
def embedding_dense_backward(
    grad_output: Array,
    indices: IndexArray,
    num_weights: int,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
) -> Array:
    """The sum of the rows with each number. Shape: (…, features), (…) -> (num_weights, features).

    Args:
        grad_output: the rows.
        indices: the number of each.
        num_weights: how many sums there are.
        padding_idx: the number whose rows do not count; -1 for none.
        scale_grad_by_freq: divide each sum by how many rows it has.
    """
    is_rounded_once = used.gpu and is_on_gpu(grad_output)
    kind = grad_output.dtype if is_rounded_once else wide(grad_output[:0]).dtype
    sums = np.zeros((num_weights, grad_output.shape[-1]), kind, like=grad_output)
    _add_up(sums, grad_output, indices, padding_idx, scale_grad_by_freq)
    return sums.astype(grad_output.dtype, copy=False)


def _add_up(sums: Array, given: Array, indices: Array, padding_idx: int, mean: bool) -> None:
    """Puts the sum (or mean) of the rows with each number, but for the padding, into ``sums``, which is zero."""
    if used.gpu and given.dtype == sums.dtype and on_gpu.adding.suits(sums, indices):
        on_gpu.adding.add_rows(sums, indices, given, mean, padding_idx)
        return
    places, rows = indices.reshape(-1), wide(given.reshape(indices.size, given.shape[-1]))
    if padding_idx >= 0:
        kept = places != padding_idx
        if not known_or(kept.all(), True):
            places, rows = places[kept], rows[kept]
    if places.size:
        add_rows(sums, places, rows, mean)


def _picked(g: Any, indices: Any, padding_idx: int, scale_grad_by_freq: bool) -> Any:
    """What each row's share in its sum is, times the gradient of that sum."""
    found = embedding(g, indices)
    if padding_idx < 0 and not scale_grad_by_freq:
        return found
    places = getattr(indices, "_array", indices)
    shares = filled(places.shape, 1.0, np.float64, places)
    if scale_grad_by_freq and places.size:
        shares = 1 / np.bincount(places.reshape(-1), minlength=1)[places]
    shares = np.where(places == padding_idx, 0, shares)[..., None]
    return ops.mul(found, shares.astype(getattr(found, "_array", found).dtype))


@embedding.gradients
def _embedding_gradients(
    g: Any,
    weight_meta: Any,
    indices: Any,
    padding_idx: int,
    scale_grad_by_freq: bool,
    sparse: bool,
    into: Any,
) -> tuple[Any]:
    """Written straight into the weight's bucket slot, where it has one: the table may be the largest parameter."""
    if sparse:
        return (rows_given(g, indices, weight_meta.shape, padding_idx, scale_grad_by_freq),)
    slot = None if into is None or g.dtype.itemsize == 2 else into[0]
    if slot is None:
        rows = weight_meta.shape[0]
        return (embedding_dense_backward(g, indices, rows, padding_idx, scale_grad_by_freq),)
    slot[...] = 0
    _add_up(slot, g, indices, padding_idx, scale_grad_by_freq)
    return (slot,)


def rows_given(
    g: Array, places: Array, shape: tuple[int, ...], padding_idx: int, scale_grad_by_freq: bool
) -> Coo:
    """The gradient of a table as a sparse array: the rows with their numbers, as often as they come.

    Raises:
        ShapeError: for ``scale_grad_by_freq``, as PyTorch does.
    """
    if scale_grad_by_freq:
        raise ShapeError("embedding_backward: scale_grad_by_freq not supported with sparse gradients")
    require_on_cpu(g, places)
    numbers, rows = places.reshape(-1).astype(np.int64, copy=False), g.reshape(places.size, *shape[1:])
    if padding_idx >= 0:
        kept = numbers != padding_idx
        numbers, rows = numbers[kept], rows[kept]
    return Coo(numbers[None], rows, shape, numbers.size < 2)


@op(node="Embedding")
def _plain_embedding(
    weight: Array,
    indices: IndexArray,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Array:
    """As ``embedding``, with a rule that can be differentiated again; its gradient is dense."""
    return weight.take(indices, 0)


embedding.composite = _plain_embedding
_plain_embedding.gradient(
    weight=lambda g, weight_meta, indices, padding_idx, scale_grad_by_freq: embedding_dense_backward(
        g, indices, weight_meta.shape[0], padding_idx, scale_grad_by_freq
    )
)
embedding_dense_backward.gradient(
    grad_output=lambda g, indices, padding_idx, scale_grad_by_freq: _picked(
        g, indices, padding_idx, scale_grad_by_freq
    )
)
