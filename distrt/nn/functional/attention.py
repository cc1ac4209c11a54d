"""Attention of heads that are projected already."""

from __future__ import annotations

import math
from typing import Any, SupportsFloat

from distrt.core import ops
from distrt.core.arrays import number_in
from distrt.core.autocast import autocasts
from distrt.core.errors import DimensionError, DtypeError, NoKernelError, ShapeError
from distrt.core.ops.pointwise.type_names import c_type, scalar_type
from distrt.core.random.draws import Replay
from distrt.core.tensor import Tensor

__all__ = ["scaled_dot_product_attention"]


@autocasts("lower")
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """``softmax(query @ key.T * scale + mask) @ value`` over the last two dims; the dims in front broadcast.

    A query that may see no key gives zeros. The dropout applies whenever ``dropout_p`` is not 0: there is no training
    mode here.

    Args:
        query: what asks. Shape: (…, L, E).
        key: what is asked. Shape: (…, S, E).
        value: what is answered. Shape: (…, S, V).
        attn_mask: bools, true where a query sees a key, or numbers that are added to the scores. Shape: broadcasts to
            (…, L, S).
        dropout_p: the probability with which a weight is zeroed.
        is_causal: query i sees the keys up to i.
        scale: the factor of the scores; ``1 / sqrt(E)`` by default.
        enable_gqa: the heads (dim -3) of ``query`` may be a multiple of those of ``key`` and ``value``, which then
            serve as many heads in a row.

    Shape: as above -> (…, L, V).
    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html
    """
    _check_attention(query, key, value, attn_mask, dropout_p)
    if is_causal and attn_mask is not None and not _is_fused(query, key, value, attn_mask, dropout_p):
        raise RuntimeError(
            "_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True"
        )
    if not isinstance(scale, SupportsFloat | None):
        raise TypeError(
            f"scaled_dot_product_attention(): argument 'scale' must be float, not {type(scale).__name__}"
        )
    if isinstance(scale, Tensor):
        scale = number_in("scaled_dot_product_attention", "scale", scale)
    if scale is None:
        scale = 1 / math.sqrt(query.shape[-1]) if query.shape[-1] else 1.0
    options = (bool(is_causal), float(scale), float(dropout_p), Replay() if dropout_p else None)
    if enable_gqa and not _heads(query) == _heads(key) == _heads(value):
        return _grouped_attention(query, key, value, attn_mask, options)
    mask = _fitting_mask(query, key, value, attn_mask)
    return ops.attention(query, key, value, mask, *options)  # type: ignore[no-any-return]


def _heads(each: Tensor) -> int:
    if each.ndim < 3:
        raise DimensionError("Dimension out of range (expected to be in range of [-2, 1], but got -3)")
    return int(each.shape[-3])


def _grouped_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, options: tuple[Any, ...]
) -> Tensor:
    """Attention where a head of ``key`` and ``value`` serves several of ``query``: these become a dim to broadcast."""
    heads, shared = query.shape[-3], key.shape[-3]
    if any(not each.shape[-3] or heads % each.shape[-3] for each in (key, value)):
        raise ShapeError(
            f"Number of heads in key and value must divide the number of heads in query, but they are {shared}, "
            f"{value.shape[-3]} and {heads}"
        )
    if key.shape[-3] != value.shape[-3]:
        key = ops.repeat_interleave(key, heads // key.shape[-3], -3)
        value = ops.repeat_interleave(value, heads // value.shape[-3], -3)
        mask = _fitting_mask(query, key, value, mask)
        return ops.attention(query, key, value, mask, *options)  # type: ignore[no-any-return]
    query = query.unflatten(-3, (shared, heads // shared))
    key, value = key.unsqueeze(-3), value.unsqueeze(-3)
    if mask is not None and mask.ndim > 2:
        mask = mask.unsqueeze(-3) if mask.shape[-3] == 1 else mask.unflatten(-3, (shared, heads // shared))
    mask = _fitting_mask(query, key, value, mask)
    return ops.attention(query, key, value, mask, *options).flatten(-4, -3)  # type: ignore[no-any-return]


def _check_attention(query: Any, key: Any, value: Any, mask: Any, dropout_p: float) -> None:
    given = {"query": query, "key": key, "value": value}
    for position, (name, each) in enumerate(given.items(), 1):
        if not isinstance(each, Tensor):
            raise TypeError(
                f"scaled_dot_product_attention(): argument '{name}' (position {position}) must be Tensor, not "
                f"{type(each).__name__}"
            )
    if not query.dtype == key.dtype == value.dtype:
        raise DtypeError(
            f"Expected query, key, and value to have the same dtype, but got query.dtype: {c_type(query)} key.dtype: "
            f"{c_type(key)} and value.dtype: {c_type(value)} instead."
        )
    if min(each.ndim for each in given.values()) < 2:
        raise ShapeError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: "
            f"{query.ndim} key.dim: {key.ndim} and value.dim: {value.ndim} instead."
        )
    if mask is not None and str(mask.dtype) not in ("torch.bool", "torch.float32", str(query.dtype)):
        raise DtypeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: "
            f"{c_type(mask)} and  query.dtype: {c_type(query)} instead."
        )
    if query.dtype.is_complex:
        raise NoKernelError(f"\"softmax_lastdim_kernel_impl\" not implemented for '{scalar_type(query)}'")
    if not query.dtype.is_floating_point:
        raise DtypeError(f"expected scalar type Float but found {scalar_type(query)}")
    if not 0 <= dropout_p <= 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {dropout_p}")


def _is_fused(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, dropout_p: float) -> bool:
    """Whether PyTorch runs its fused kernel, which takes a mask beside ``is_causal``."""
    same = query.shape[:2] == key.shape[:2] == value.shape[:2]
    return (
        query.ndim == key.ndim == value.ndim == 4
        and same
        and query.shape[-1] == key.shape[-1] == value.shape[-1]
        and bool(query.numel() and key.numel())
        and mask.ndim in (2, 4)
        and not mask.requires_grad
        and not dropout_p
    )


def _fitting_mask(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor | None:
    """The mask with two dims at least; raises ShapeError for sizes that do not fit, of any of the four."""
    batch: tuple[int, ...] = ()
    for each in (query, key, value):
        batch = _broadcast(batch, tuple(each.shape[:-2]))
    scores = (*batch, query.shape[-2], key.shape[-2])
    if query.shape[-1] != key.shape[-1]:
        raise _no_product("query and key", (*batch, *query.shape[-2:]), (*batch, *key.shape[:-3:-1]))
    if key.shape[-2] != value.shape[-2]:
        raise _no_product("weights and value", scores, (*batch, *value.shape[-2:]))
    if mask is None:
        return None
    if mask.ndim < 2 and query.ndim == 4:  # where PyTorch's fused kernel looks at the mask's last two dims
        raise DimensionError(
            "Dimension specified as -2 but tensor has no dimensions"
            if mask.ndim == 0
            else "Dimension out of range (expected to be in range of [-1, 0], but got -2)"
        )
    whole = _broadcast(scores, tuple(mask.shape))
    if whole != scores:
        raise ShapeError(
            f"output with shape {list(scores)} doesn't match the broadcast shape {list(whole)}: a mask must broadcast "
            "to the shape of the scores"
        )
    return mask if mask.ndim > 1 else mask.reshape(1, -1)


def _no_product(names: str, left: tuple[int, ...], right: tuple[int, ...]) -> ShapeError:
    if len(left) == 2:
        return ShapeError(
            f"mat1 and mat2 shapes cannot be multiplied ({left[0]}x{left[1]} and {right[0]}x{right[1]}): {names}"
        )
    count = math.prod(left[:-2])
    return ShapeError(
        f"Expected size for first two dimensions of batch2 tensor to be: {[count, left[-1]]} but got: "
        f"{[count, right[-2]]}: {names}"
    )


def _broadcast(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    rank = max(len(left), len(right))
    left, right = (1,) * (rank - len(left)) + left, (1,) * (rank - len(right)) + right
    for dim in reversed(range(rank)):
        if left[dim] != right[dim] and 1 not in (left[dim], right[dim]):
            raise ShapeError(
                f"The size of tensor a ({left[dim]}) must match the size of tensor b ({right[dim]}) at non-singleton "
                f"dimension {dim}"
            )
    return tuple(b if a == 1 else a for a, b in zip(left, right, strict=True))
