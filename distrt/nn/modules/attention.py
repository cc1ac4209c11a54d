"""Multi-head attention."""

from __future__ import annotations

from typing import Any

from distrt.core.creation import empty
from distrt.core.tensor import Tensor
from distrt.nn import functional as F
from distrt.nn import init
from distrt.nn.functional.multi_head_attention import canonical_mask
from distrt.nn.modules.linear import NonDynamicallyQuantizableLinear
from distrt.nn.modules.module import Module
from distrt.nn.parameter import Parameter

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Attention in several heads, between projections of its inputs and of its output.

    Args:
        embed_dim: the width of queries and outputs; the heads share it.
        num_heads: how many heads.
        dropout: the probability with which a weight is zeroed in training.
        bias: whether the projections have biases.
        add_bias_kv: adds one learnt key and value, which every query sees.
        add_zero_attn: adds a key and value of zeros, which every query sees.
        kdim: the width of keys; ``embed_dim`` by default.
        vdim: the width of values; ``embed_dim`` by default.
        batch_first: (batch, length, features) instead of (length, batch, features).

    Source: Vaswani et al. 2017, section 3.2.2;
    https://pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html
    """

    bias_k: Tensor | None
    bias_v: Tensor | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                f"embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and num_heads={num_heads} "
                "instead"
            )
        super().__init__()
        self.embed_dim = embed_dim
        self.kdim = kdim if kdim is not None else embed_dim
        self.vdim = vdim if vdim is not None else embed_dim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            raise AssertionError("embed_dim must be divisible by num_heads")

        def made(wanted: bool, *shape: int) -> Parameter | None:
            return Parameter(empty(shape, dtype=dtype, device=device)) if wanted else None

        packed = self._qkv_same_embed_dim
        if packed:
            self.register_parameter("in_proj_weight", made(True, 3 * embed_dim, embed_dim))
        self.register_parameter("q_proj_weight", made(not packed, embed_dim, embed_dim))
        self.register_parameter("k_proj_weight", made(not packed, embed_dim, self.kdim))
        self.register_parameter("v_proj_weight", made(not packed, embed_dim, self.vdim))
        if not packed:
            self.register_parameter("in_proj_weight", None)
        self.register_parameter("in_proj_bias", made(bias, 3 * embed_dim))
        self.out_proj = NonDynamicallyQuantizableLinear(
            embed_dim, embed_dim, bias=bias, device=device, dtype=dtype
        )
        if add_bias_kv:
            self.register_parameter("bias_k", made(True, 1, 1, embed_dim))
            self.register_parameter("bias_v", made(True, 1, 1, embed_dim))
        else:
            self.bias_k = self.bias_v = None
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.constant_(self.in_proj_bias, 0.0)
            init.constant_(self.out_proj.bias, 0.0)
        for row in (self.bias_k, self.bias_v):
            if row is not None:
                init.xavier_normal_(row)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """What each query finds, and with ``need_weights`` how much it looked at each key.

        Args:
            query: Shape: (L, N, embed_dim), (N, L, embed_dim) with ``batch_first``, or (L, embed_dim).
            key: Shape: (S, N, kdim), and so on.
            value: Shape: (S, N, vdim), and so on.
            key_padding_mask: true for keys that nobody sees, or numbers to add. Shape: (N, S) or (S).
            need_weights: whether the weights are returned; without them there is less to keep.
            attn_mask: true where a query does not see a key, or numbers to add. Shape: (L, S) or (N * num_heads, L, S).
            average_attn_weights: the mean of the heads' weights instead of each head's.
            is_causal: a hint that ``attn_mask`` is the causal mask.

        Shape: the query's, and (N, L, S), or (N, num_heads, L, S) without the average.
        """
        key_padding_mask = canonical_mask(
            key_padding_mask, "key_padding_mask", attn_mask, "attn_mask", query.dtype
        )
        attn_mask = canonical_mask(attn_mask, "attn_mask", None, "", query.dtype)
        turned = self.batch_first and query.ndim == 3
        if turned:
            query, key, value = _turned(query, key, value)
        output, weights = F.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=not self._qkv_same_embed_dim,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return (output.transpose(0, 1) if turned else output), weights

    def merge_masks(
        self, attn_mask: Tensor | None, key_padding_mask: Tensor | None, query: Tensor
    ) -> tuple[Tensor | None, int | None]:
        """Both masks as one, and its kind: 1 for padding alone, 2 for (N, num_heads, L, L), None for no mask."""
        if attn_mask is None:
            return key_padding_mask, None if key_padding_mask is None else 1
        batch, length, _ = query.shape
        if attn_mask.ndim == 3:
            merged = attn_mask.view(batch, -1, length, length)
        else:
            merged = attn_mask.view(1, 1, length, length).expand(batch, self.num_heads, -1, -1)
        if key_padding_mask is not None:
            merged = merged + key_padding_mask.view(batch, 1, 1, length).expand(-1, self.num_heads, -1, -1)
        return merged, 2


def _turned(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Batch and length exchanged; what was one tensor is one again, so that it is projected at once."""
    turned = {id(each): each.transpose(0, 1) for each in (query, key, value)}
    return turned[id(query)], turned[id(key)], turned[id(value)]
