"""How alike two tensors are, vector by vector, and the bilinear form of two."""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops
from distrt.core.autocast import autocasts
from distrt.core.dtypes.promotion import result_dtype
from distrt.core.errors import DimensionError, DtypeError, ShapeError
from distrt.core.ops.linalg.matrix import require_broadcast
from distrt.core.ops.linalg.norms import linalg_vector_norm
from distrt.core.ops.pointwise.half_rules import widened
from distrt.core.ops.pointwise.type_names import c_type, scalar_type
from distrt.core.tensor import Tensor

__all__ = ["bilinear", "cosine_similarity", "pairwise_distance"]


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosines of the angles between vectors along ``dim``. Shape: the two broadcast, without ``dim``.

    A norm below ``eps`` counts as ``eps``.

    Raises:
        DtypeError: for two tensors of integers.
    """
    common = result_dtype(x1._array, x2._array)
    if common.kind in "biu":
        kind = scalar_type(x1 if x1._array.dtype == common else x2)
        raise DtypeError(f"expected common dtype to be floating point, yet common dtype is {kind}")
    require_broadcast(tuple(x1.shape), tuple(x2.shape))
    first, second = ops.broadcast_tensors(ops.to_dtype(x1, common), ops.to_dtype(x2, common))
    first, second = (ops.true_divide(each, _length(each, dim, eps)) for each in (first, second))
    return ops.sum(ops.mul(first, second), dim)


def _length(vectors: Any, dim: int, eps: float) -> Any:
    """The norms, at least ``eps``; the gradient is that of the norms even where they are not, as in PyTorch."""
    norms = linalg_vector_norm(vectors, 2, dim, True)
    known = norms.detach()
    return ops.add(norms, ops.sub(ops.clamp(known, min=eps), known))


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The p-norm of ``x1 - x2 + eps`` along the last dim. Shape: the two broadcast, without the last dim."""
    return ops.norm(ops.add(ops.sub(x1, x2), eps), p, -1 if max(x1.ndim, x2.ndim) else 0, keepdim)


@autocasts("none")
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    """``input1 @ weight[k] @ input2`` for every k, plus ``bias[k]``. Shape: (…, I), (…, J), (K, I, J) -> (…, K).

    Raises:
        ShapeError: where the shapes do not fit.
        DtypeError: for several dtypes.
    """
    _require_bilinear(input1, input2, weight, bias)
    outputs, left, right = weight.shape
    rows = math.prod(input1.shape[:-1])
    flat, other = (ops.reshape(widened(each), (rows, each.shape[-1])) for each in (input1, input2))
    spread = ops.reshape(ops.permute(widened(weight), (1, 0, 2)), (left, outputs * right))
    half_way = ops.reshape(ops.matmul(flat, spread), (rows, outputs, right))
    made = ops.matmul(half_way, ops.unsqueeze(other, -1))
    out = ops.reshape(made, (*input1.shape[:-1], outputs))
    if input1.dtype.itemsize == 2:
        out = ops.to_dtype(out, input1._array.dtype)
    return out if bias is None else ops.add(out, bias)


def _require_bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    if input1.ndim != input2.ndim:
        raise ShapeError(f"bilinear(): input dimensions do not match: got {input1.ndim} and {input2.ndim}")
    for dim, (first, second) in enumerate(zip(input1.shape[:-1], input2.shape[:-1], strict=True)):
        if first != second:
            raise ShapeError(
                f"bilinear(): input batch dimensions do not match at dim {dim}: got {first} and {second}"
            )
    if not input1.ndim:
        raise DimensionError("Dimension specified as -1 but tensor has no dimensions")
    for name, each, dim in (("input1", input1, 1), ("input2", input2, 2)):
        wanted = weight.shape[dim] if dim < weight.ndim else None
        if each.shape[-1] != wanted:
            raise ShapeError(
                f"bilinear(): {name} size does not match weight size: got {each.shape[-1]} but expected {wanted}"
            )
    if bias is not None and bias.shape[0] != weight.shape[0]:
        raise ShapeError(
            f"bilinear(): bias size does not match weight size: got {bias.shape[0]} but expected {weight.shape[0]}"
        )
    if not input1.dtype == input2.dtype == weight.dtype:
        raise DtypeError(
            f"All tensors must have the same dtype, got input1: {c_type(input1)}, input2: {c_type(input2)}, weight: "
            f"{c_type(weight)}"
        )
