"""Attention with the projections around it: what ``MultiheadAttention`` computes."""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops
from distrt.core.autocast import lowered
from distrt.core.creation import zeros
from distrt.core.modes import modes
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.nn.functional.attention import scaled_dot_product_attention
from distrt.nn.functional.dropout import dropout

__all__ = ["multi_head_attention_forward"]


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """What :class:`~distrt.nn.MultiheadAttention` computes, from its parameters.

    ``is_causal`` is a hint that ``attn_mask`` is the causal mask.

    Shape: (L, N, E), (S, N, K), (S, N, V), or without N -> (L, N, E), and the weights, where they are needed: (N, L, S)
    if averaged, else (N, num_heads, L, S).
    Source: https://pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html
    """
    is_batched = _check_ranks(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not is_batched:
        query, key, value = (each.unsqueeze(1) for each in (query, key, value))
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    length, batch, embed_dim = query.shape
    padding = canonical_mask(key_padding_mask, "key_padding_mask", attn_mask, "attn_mask", query.dtype)
    _check_hint(is_causal, attn_mask)
    hinted = is_causal and padding is None and not need_weights
    mask = None if hinted else canonical_mask(attn_mask, "attn_mask", None, "", query.dtype)
    _check_widths(query, key, value, embed_dim_to_check, num_heads, use_separate_proj_weight)
    if use_separate_proj_weight:
        weights = (q_proj_weight, k_proj_weight, v_proj_weight)
        q, k, v = _separately_projected(query, key, value, weights, in_proj_bias)
    else:
        q, k, v = _projected(query, key, value, in_proj_weight, in_proj_bias)
    mask = _fitting_mask(mask, length, key.shape[0], batch * num_heads)
    extra = 0
    if bias_k is not None or bias_v is not None:
        k, v = _with_bias_rows(k, v, bias_k, bias_v, (static_k, static_v))
        extra += 1
    heads = (batch, num_heads, embed_dim // num_heads)
    q, k, v = (each.reshape(each.shape[0], *heads).permute(1, 2, 0, 3) for each in (q, k, v))
    k = k if static_k is None else _static(static_k, "static_k", *heads)
    v = v if static_v is None else _static(static_v, "static_v", *heads)
    if add_zero_attn:
        k, v = (_with_zero_row(each) for each in (k, v))
        extra += 1
    mask = _merged(mask, padding, extra, batch, num_heads, k.shape[-2])
    attended, found = _attend(q, k, v, mask, dropout_p if training else 0.0, need_weights, hinted)
    if found is not None:
        found = found.mean(1) if average_attn_weights else found
        found = found if is_batched else found.squeeze(0)
    out = _joined(attended, out_proj_weight, out_proj_bias)
    return (out if is_batched else out.squeeze(1)), found


def _check_ranks(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding_mask: Tensor | None,
    attn_mask: Tensor | None,
    num_heads: int,
) -> bool:
    """Whether there is a batch; AssertionError, as PyTorch has it, for inputs that differ in that."""
    dims = query.ndim
    if dims not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {dims}-D query tensor"
        )
    kind = f"{'batched' if dims == 3 else 'unbatched'} ({dims}-D)"
    if key.ndim != dims or value.ndim != dims:
        raise AssertionError(
            f"For {kind} `query`, expected `key` and `value` to be {dims}-D but found {key.ndim}-D and {value.ndim}-D "
            "tensors respectively"
        )
    if key_padding_mask is not None and key_padding_mask.ndim != dims - 1:
        raise AssertionError(
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {dims - 1}-D but found "
            f"{key_padding_mask.ndim}-D tensor instead"
        )
    if attn_mask is not None and attn_mask.ndim not in (2, 3):
        raise AssertionError(
            f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found {attn_mask.ndim}-D tensor "
            "instead"
        )
    if dims == 2 and attn_mask is not None and attn_mask.ndim == 3:
        expected = (num_heads, query.shape[0], key.shape[0])
        if attn_mask.shape != expected:
            raise AssertionError(f"Expected `attn_mask` shape to be {expected} but got {attn_mask.shape}")
    return dims == 3


def canonical_mask(
    mask: Tensor | None, mask_name: str, other: Tensor | None, other_name: str, dtype: Any
) -> Tensor | None:
    """The mask as numbers to add: -inf where a mask of bools is true. Warns where ``other`` is of another dtype."""
    if mask is None:
        return None
    is_bool = str(mask.dtype) == "torch.bool"
    if not is_bool and not mask.is_floating_point():
        raise AssertionError(f"only bool and floating types of {mask_name} are supported")
    if other is not None and mask.dtype != other.dtype:
        warn(
            f"Support for mismatched {mask_name} and {other_name} is deprecated. Use same type for both instead.",
            UserWarning,
        )
    return (
        zeros(tuple(mask.shape), dtype=dtype, device=mask.device).masked_fill_(mask, -math.inf)
        if is_bool
        else mask
    )


def _check_hint(is_causal: bool, attn_mask: Tensor | None) -> None:
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module method "
            "`generate_square_subsequent_mask` to create this mask."
        )


def _check_widths(
    query: Tensor, key: Tensor, value: Tensor, embed_dim: int, num_heads: int, separate: bool
) -> None:
    width = query.shape[-1]
    if width != embed_dim:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim}, but got {width}")
    if width % num_heads:
        raise AssertionError(f"embed_dim {width} not divisible by num_heads {num_heads}")
    if separate and key.shape[:2] != value.shape[:2]:
        raise AssertionError(
            f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}"
        )
    if not separate and key.shape != value.shape:
        raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")


def _projected(
    query: Tensor, key: Tensor, value: Tensor, weight: Tensor | None, bias: Tensor | None
) -> tuple[Any, ...]:
    """Queries, keys and values by one packed weight; inputs that are one tensor are multiplied once."""
    if weight is None:
        raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
    width = query.shape[-1]
    if query is key and key is value:
        return ops.linear(query, weight, bias).unflatten(-1, (3, width)).unbind(-2)  # type: ignore[no-any-return]
    if key is value:
        of_query, of_rest = weight.split([width, 2 * width])
        biases = (None, None) if bias is None else bias.split([width, 2 * width])
        rest = ops.linear(key, of_rest, biases[1]).unflatten(-1, (2, width)).unbind(-2)
        return (ops.linear(query, of_query, biases[0]), *rest)
    return _each_projected((query, key, value), weight.chunk(3), bias)


def _separately_projected(
    query: Tensor, key: Tensor, value: Tensor, weights: tuple[Tensor | None, ...], bias: Tensor | None
) -> tuple[Any, ...]:
    width = query.shape[-1]
    for name, input, weight in zip(("query", "key", "value"), (query, key, value), weights, strict=True):
        if weight is None:
            raise AssertionError(f"use_separate_proj_weight is True but {name[0]}_proj_weight is None")
        expected = (width, input.shape[-1])
        if weight.shape != expected:
            raise AssertionError(f"expecting {name} weights shape of {expected}, but got {weight.shape}")
    return _each_projected((query, key, value), weights, bias)


def _each_projected(inputs: tuple[Tensor, ...], weights: Any, bias: Tensor | None) -> tuple[Any, ...]:
    biases = (None, None, None) if bias is None else bias.chunk(3)
    return tuple(ops.linear(x, weight, b) for x, weight, b in zip(inputs, weights, biases, strict=True))


def _fitting_mask(mask: Tensor | None, length: int, source: int, heads: int) -> Tensor | None:
    """The mask with a dim for the heads of all batches, of size 1 where they share it."""
    if mask is None:
        return None
    expected = (length, source) if mask.ndim == 2 else (heads, length, source)
    if mask.shape != expected:
        raise RuntimeError(
            f"The shape of the {mask.ndim}D attn_mask is {mask.shape}, but should be {expected}."
        )
    return mask.unsqueeze(0) if mask.ndim == 2 else mask


def _with_bias_rows(
    k: Any, v: Any, bias_k: Tensor | None, bias_v: Tensor | None, static: tuple[Tensor | None, Tensor | None]
) -> tuple[Any, Any]:
    if bias_k is None or bias_v is None:
        given, other = ("bias_v", "bias_k") if bias_k is None else ("bias_k", "bias_v")
        raise AssertionError(f"{given} is set but {other} is None")
    for name, each in zip(("key", "value"), static, strict=True):
        if each is not None:
            raise AssertionError(f"bias cannot be added to static {name}.")
    batch = k.shape[1]
    return ops.cat([k, bias_k.repeat(1, batch, 1)]), ops.cat([v, bias_v.repeat(1, batch, 1)])


def _with_zero_row(heads: Tensor) -> Tensor:
    row = zeros((*heads.shape[:2], 1, heads.shape[3]), dtype=heads.dtype, device=heads.device)
    return ops.cat([heads, row], 2)  # type: ignore[no-any-return]


def _static(given: Tensor, name: str, batch: int, num_heads: int, width: int) -> Tensor:
    if given.shape[0] != batch * num_heads:
        raise AssertionError(f"expecting {name}.size(0) of {batch * num_heads}, but got {given.shape[0]}")
    if given.shape[2] != width:
        raise AssertionError(f"expecting {name}.size(2) of {width}, but got {given.shape[2]}")
    return given.reshape(batch, num_heads, given.shape[1], width)


def _merged(
    mask: Tensor | None, padding: Tensor | None, extra: int, batch: int, num_heads: int, source: int
) -> Tensor | None:
    """Both masks as one that broadcasts to (batch, heads, L, S), with ``extra`` keys that every query sees."""
    if mask is not None:
        mask = mask.unflatten(0, (batch, num_heads)) if mask.shape[0] != 1 else mask.unsqueeze(0)
        mask = _widened(mask, extra)
    if padding is None:
        return mask
    padding = _widened(padding, extra)
    for dim, expected in enumerate((batch, source)):
        if padding.shape[dim] != expected:
            raise AssertionError(
                f"Expected key_padded_mask.shape[{dim}] to be {expected}, but got {padding.shape[dim]}"
            )
    padding = padding.view(batch, 1, 1, source)
    return padding if mask is None else mask + padding


def _widened(mask: Tensor, extra: int) -> Tensor:
    if not extra:
        return mask
    return ops.cat([mask, zeros((*mask.shape[:-1], extra), dtype=mask.dtype, device=mask.device)], -1)  # type: ignore[no-any-return]


def _attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    dropout_p: float,
    need_weights: bool,
    is_causal: bool,
) -> tuple[Tensor, Tensor | None]:
    if need_weights:
        return _attend_with_weights(q, k, v, mask, dropout_p)
    return scaled_dot_product_attention(q, k, v, mask, dropout_p, is_causal), None


def _attend_with_weights(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout_p: float
) -> tuple[Tensor, Tensor]:
    """Attention that also gives its weights; a query that sees no key has NaN for them, as in PyTorch."""
    scores = ops.matmul(q * math.sqrt(1 / q.shape[-1]), k.transpose(-2, -1))
    if mask is not None:  # PyTorch adds it in the same operation
        scores = scores + (mask if modes.autocast is None else lowered(mask))
    weights = dropout(ops.softmax(scores, -1), dropout_p) if dropout_p else ops.softmax(scores, -1)
    return ops.matmul(weights, v), weights


def _joined(heads: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The heads' outputs side by side, projected. Shape: (N, num_heads, L, E / num_heads) -> (L, N, E)."""
    batch, num_heads, length, width = heads.shape
    joined = heads.permute(2, 0, 1, 3).reshape(length * batch, num_heads * width)
    out = ops.linear(joined, weight, bias)
    return out.view(length, batch, out.shape[1])  # type: ignore[no-any-return]
