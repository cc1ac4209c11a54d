"""Embeddings: rows of a table by number."""

from __future__ import annotations

import numpy as np

from distrt.core import ops
from distrt.core.errors import DimensionError
from distrt.core.modes import no_grad
from distrt.core.ops.nn.embedding import require_rows
from distrt.core.tensor import Tensor, wrap

__all__ = ["embedding"]


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of ``weight`` that ``input`` names. Shape: any, (rows, features) -> (…, features).

    Args:
        input: numbers of rows, int32 or int64.
        weight: the table.
        padding_idx: the row that gets no gradient.
        max_norm: first scale the named rows with a larger norm down to it, in place and outside the graph.
        norm_type: the p of that norm.
        scale_grad_by_freq: divide the gradient of each row by how often it is named.
        sparse: the weight's gradient is a sparse tensor of the named rows, for SparseAdam, SGD or Adagrad.

    Raises:
        DimensionError: for a number out of range; negative ones are.
        DtypeError: for numbers that are not int32 or int64.
    """
    if not isinstance(input, Tensor):
        raise TypeError(
            f"embedding(): argument 'indices' (position 2) must be Tensor, not {type(input).__name__}"
        )
    padding = -1 if padding_idx is None else _counted_from_the_front(padding_idx, weight.shape[0])
    if max_norm is not None:
        renormalise(weight, input, max_norm, norm_type)
    return ops.embedding(weight, input, padding, scale_grad_by_freq, sparse)  # type: ignore[no-any-return]


def _counted_from_the_front(padding_idx: int, rows: int) -> int:
    if not -rows <= padding_idx < max(rows, 1):
        raise AssertionError("Padding_idx must be within num_embeddings")
    return padding_idx % max(rows, 1)


def renormalise(weight: Tensor, input: Tensor, max_norm: float, norm_type: float) -> None:
    """Scales the named rows whose norm is larger down to ``max_norm``, in place."""
    require_rows("embedding_renorm_", input._array)
    named = np.unique(input._array)
    rows = weight.shape[0]
    wrong = named[(named < 0) | (named >= rows)]
    if wrong.size:
        raise DimensionError(
            f"select(): index {wrong[0]} out of range for tensor of size {list(weight.shape)} at dimension 0"
        )
    with no_grad():
        norms = ops.linalg_vector_norm(ops.index_select(weight, 0, wrap(named)), norm_type, 1)
        large = wrap(named)[norms > max_norm]
        if large.numel():
            scale = max_norm / (norms[norms > max_norm] + 1e-7)
            weight[large] = (ops.index_select(weight, 0, large) * scale.unsqueeze(1)).to(weight.dtype)
