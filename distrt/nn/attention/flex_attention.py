"""``flex_attention``: attention whose scores a function of positions may change, and whose mask is one.

The functions are called once, on the scores and positions of all queries and keys together, where PyTorch calls them
for one score. What they are made of (arithmetic, comparisons, ``where``, indexing by positions) means the same.
Source: https://docs.pytorch.org/docs/stable/nn.attention.flex_attention.html
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from distrt.core import ops
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import UnsupportedError
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.nn.attention.block_mask import (
    BlockMask,
    and_masks,
    create_block_mask,
    create_mask,
    noop_mask,
    or_masks,
    positions,
)
from distrt.nn.functional.attention import scaled_dot_product_attention

__all__ = [
    "AuxOutput",
    "AuxRequest",
    "BlockMask",
    "and_masks",
    "create_block_mask",
    "create_mask",
    "flex_attention",
    "noop_mask",
    "or_masks",
]

#: ``score_mod(score, b, h, q_idx, kv_idx)``: what a score becomes.
ScoreMod = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


class AuxRequest(NamedTuple):
    """What is to be returned beside the output."""

    lse: bool = False  #: the logarithm of each query's sum of exponentials
    max_scores: bool = False  #: each query's largest score


class AuxOutput(NamedTuple):
    """What `AuxRequest` asked for. Shape: (B, H, Q)."""

    lse: Tensor | None = None
    max_scores: Tensor | None = None


def flex_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score_mod: ScoreMod | None = None,
    block_mask: BlockMask | None = None,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: bool = False,
    kernel_options: Any = None,
    *,
    return_aux: AuxRequest | None = None,
) -> Any:
    """``softmax(score_mod(query @ key.T * scale)) @ value`` where the mask lets a query see a key; with gradients.

    A query that may see no key gives zeros.

    Args:
        query: what asks. Shape: (B, Hq, Q, E).
        key: what is asked. Shape: (B, Hkv, KV, E).
        value: what is answered. Shape: (B, Hkv, KV, V).
        score_mod: called once with all scores and the numbers of batch entries, heads, queries and keys, which
            broadcast; gives what the scores become.
        block_mask: who sees whom.
        scale: the factor of the scores; ``1 / sqrt(E)`` where not given.
        enable_gqa: Hq may be a multiple of Hkv.
        return_lse: an older way to ask for ``AuxRequest(lse=True)``.
        kernel_options: accepted.
        return_aux: what to return beside the output, as an `AuxOutput`.

    Shape: (B, Hq, Q, V).

    Raises:
        ValueError: shapes that do not fit, or a mask of other lengths.
        UnsupportedError: not four dims.
    """
    _check(query, key, value, block_mask, enable_gqa)
    mask = None if block_mask is None else block_mask._dense
    if score_mod is None and not return_lse and return_aux is None:
        return scaled_dot_product_attention(query, key, value, mask, scale=scale, enable_gqa=enable_gqa)
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (ops.repeat_interleave(each, groups, 1) for each in (key, value))
    working = dt.float64 if query.dtype is dt.float64 else dt.float32
    factor = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = ops.matmul(query.to(working), key.to(working).transpose(-2, -1)) * factor
    if score_mod is not None:
        sizes = (*query.shape[:3], key.shape[2])
        scores = score_mod(scores, *positions(sizes, query.device)).to(working).expand(sizes)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    highest = ops.amax(scores, -1)
    sees_nothing = (highest == -math.inf).unsqueeze(-1)
    weights = ops.softmax(scores.masked_fill(sees_nothing, 0.0), -1).masked_fill(sees_nothing, 0.0)
    output = ops.matmul(weights.to(value.dtype), value).to(query.dtype)
    if return_aux is not None:
        lse = ops.logsumexp(scores, -1) if return_aux.lse else None
        return output, AuxOutput(lse, highest if return_aux.max_scores else None)
    if return_lse:
        warn(
            "return_lse is deprecated and will be removed in v2.10. Please use return_aux=AuxRequest(lse=True) "
            "instead.",
            FutureWarning,
        )
        return output, ops.logsumexp(scores, -1)
    return output


def _check(query: Tensor, key: Tensor, value: Tensor, mask: BlockMask | None, enable_gqa: bool) -> None:
    if not query.ndim == key.ndim == value.ndim == 4:
        raise UnsupportedError("flex_attention: query, key, and value must be 4D tensors")
    if not query.dtype is key.dtype is value.dtype:
        raise ValueError(
            f"Expected query, key, and value to have the same dtype, but got query.dtype: {query.dtype}, "
            f"key.dtype: {key.dtype}, and value.dtype: {value.dtype} instead."
        )
    heads, theirs = query.shape[1], key.shape[1]
    if heads != theirs and not enable_gqa:
        raise ValueError(
            f"Expect query and key/value to have the same number of heads but got Hq={heads} and Hkv={theirs}. Try "
            "setting enable_gqa=True for GQA."
        )
    if heads % theirs:
        raise ValueError(
            f"Expect number of query heads to be a multiple of kv heads for GQA but got Hq={heads} and Hkv={theirs}."
        )
    if mask is not None and mask.seq_lengths != (query.shape[2], key.shape[2]):
        raise ValueError(
            f"block_mask was created for block_mask.shape={mask.shape} but got q_len={query.shape[2]} and "
            f"kv_len={key.shape[2]}. Create a block mask with these lengths."
        )
