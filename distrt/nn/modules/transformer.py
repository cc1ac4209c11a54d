"""The transformer: stacks of its layers, and the whole encoder-decoder model."""

from __future__ import annotations

import copy
import math
from typing import Any

from distrt.backends import mha
from distrt.core import ops
from distrt.core.arrays import known
from distrt.core.creation import full
from distrt.core.modes import is_grad_enabled
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.nn import functional as F
from distrt.nn import init
from distrt.nn.functional.multi_head_attention import canonical_mask
from distrt.nn.modules.container import ModuleList
from distrt.nn.modules.module import Module
from distrt.nn.modules.normalization import LayerNorm
from distrt.nn.modules.transformer_layers import (
    Activation,
    TransformerDecoderLayer,
    TransformerEncoderLayer,
    _get_activation_fn,  # noqa: F401 - layers of users import it from here
)

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]


class Transformer(Module):
    """An encoder of the source and a decoder of the target that attends to it.

    Args:
        d_model: the width of the inputs and outputs.
        nhead: how many heads each attention has.
        num_encoder_layers: how many layers the encoder has.
        num_decoder_layers: how many layers the decoder has.
        dim_feedforward: the width between the two linear maps of a layer.
        dropout: the probability of dropout, everywhere.
        activation: "relu", "gelu" or a function.
        custom_encoder: a module to take the encoder's place.
        custom_decoder: a module to take the decoder's place.
        layer_norm_eps: what keeps the layer norms from dividing by 0.
        batch_first: (batch, length, features) instead of (length, batch, features).
        norm_first: normalise before each block instead of after.
        bias: whether linear maps and layer norms have biases.

    Source: Vaswani et al. 2017; https://pytorch.org/docs/stable/generated/torch.nn.Transformer.html
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        shared = (
            d_model,
            nhead,
            dim_feedforward,
            dropout,
            activation,
            layer_norm_eps,
            batch_first,
            norm_first,
        )

        def norm() -> LayerNorm:
            return LayerNorm(d_model, eps=layer_norm_eps, bias=bias, device=device, dtype=dtype)

        if custom_encoder is not None:
            self.encoder = custom_encoder
        else:
            encoder_layer = TransformerEncoderLayer(*shared, bias, device=device, dtype=dtype)
            self.encoder = TransformerEncoder(encoder_layer, num_encoder_layers, norm())
        if custom_decoder is not None:
            self.decoder = custom_decoder
        else:
            decoder_layer = TransformerDecoderLayer(*shared, bias, device=device, dtype=dtype)
            self.decoder = TransformerDecoder(decoder_layer, num_decoder_layers, norm())
        self._reset_parameters()
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Shape: (S, N, d_model), (T, N, d_model) -> (T, N, d_model); masks as in ``MultiheadAttention``."""
        batch_dim = 0 if self.batch_first else 1
        if src.ndim == 3 and src.shape[batch_dim] != tgt.shape[batch_dim]:
            raise RuntimeError("the batch number of src and tgt must be equal")
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise RuntimeError("the feature number of src and tgt must be equal to d_model")
        memory = self.encoder(
            src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal
        )
        return self.decoder(  # type: ignore[no-any-return]
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """-inf above the diagonal, 0 elsewhere. Shape: (sz, sz)."""
        return _causal_mask(sz, device, dtype)

    def _reset_parameters(self) -> None:
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)


class TransformerEncoder(Module):
    """Copies of a layer, one after the other, and a norm after the last.

    Args:
        encoder_layer: the layer; the copies start with its values.
        num_layers: how many copies.
        norm: what follows the last of them.
        enable_nested_tensor: in evaluation, padding at the end of sequences need not be computed, and is 0 in what the
            layers give.
        mask_check: whether that first looks if all padding is at the end.
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _get_clones(encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm
        self.enable_nested_tensor = enable_nested_tensor
        self.use_nested_tensor = enable_nested_tensor
        self.mask_check = mask_check
        reason = _why_not_nested(encoder_layer)
        if enable_nested_tensor and reason:
            warn(
                "enable_nested_tensor is True, but self.use_nested_tensor is False because "
                f"encoder_layer{reason}"
            )
            self.use_nested_tensor = False

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """Shape: (S, N, d_model) -> the same. ``is_causal`` is a hint; by default the mask is looked at."""
        padding = canonical_mask(src_key_padding_mask, "src_key_padding_mask", mask, "mask", src.dtype)
        mask = canonical_mask(mask, "mask", None, "", src.dtype)
        first: Any = self.layers[0]
        batch_first = first.self_attn.batch_first
        padded = self._padding_to_skip(src, mask, padding)
        if padded is not None:
            padding = canonical_mask(padded, "src_key_padding_mask", None, "", src.dtype)
        causal = _is_causal(mask, is_causal, _sequence_length(src, batch_first))
        output = src
        for layer in self.layers:
            output = layer(output, src_mask=mask, is_causal=causal, src_key_padding_mask=padding)
        if padded is not None:
            output = output.masked_fill(padded.unsqueeze(-1), 0.0)
        return output if self.norm is None else self.norm(output)

    def _padding_to_skip(self, src: Tensor, mask: Tensor | None, padding: Tensor | None) -> Tensor | None:
        """True where PyTorch's evaluation cuts padding off, so that its outputs are 0 there; None where it does not.

        It does in evaluation without gradients, if the padding ends the sequences and there is no other mask.
        """
        first: Any = self.layers[0]
        if padding is None or mask is not None or src.ndim != 3 or first.training:
            return None
        if not self.use_nested_tensor or not mha.get_fastpath_enabled():
            return None
        padded = ops.ne(padding, 0)
        kept = ~padded._array
        if self.mask_check and (kept[:, 1:] > kept[:, :-1]).any():
            return None
        if is_grad_enabled() and any(
            each is not None and each.requires_grad for each in (src, *first.parameters())
        ):
            return None
        return padded  # type: ignore[no-any-return]


class TransformerDecoder(Module):
    """Copies of a layer, one after the other, and a norm after the last; as :class:`TransformerEncoder`."""

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _get_clones(decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Shape: (T, N, d_model), (S, N, d_model) -> (T, N, d_model)."""
        first: Any = self.layers[0]
        causal = _is_causal(tgt_mask, tgt_is_causal, _sequence_length(tgt, first.self_attn.batch_first))
        output = tgt
        for layer in self.layers:
            output = layer(
                output,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=causal,
                memory_is_causal=memory_is_causal,
            )
        return output if self.norm is None else self.norm(output)


def _get_clones(module: Module, count: int) -> ModuleList:
    return ModuleList([copy.deepcopy(module) for _ in range(count)])


def _why_not_nested(layer: Any) -> str:
    """Why PyTorch would not cut padding off for this layer; "" where it would."""
    if not isinstance(layer, TransformerEncoderLayer):
        return " was not TransformerEncoderLayer"
    attention = layer.self_attn
    reasons = {
        ".norm_first was True": layer.norm_first,
        ".self_attn.batch_first was not True(use batch_first for better inference performance)": (
            not attention.batch_first
        ),
        ".self_attn._qkv_same_embed_dim was not True": not attention._qkv_same_embed_dim,
        ".self_attn was passed bias=False": attention.in_proj_bias is None,
        ".activation_relu_or_gelu was not True": not layer.activation_relu_or_gelu,
        ".norm1.eps was not equal to encoder_layer.norm2.eps": layer.norm1.eps != layer.norm2.eps,
        ".self_attn.num_heads is odd": attention.num_heads % 2 == 1,
    }
    return next((reason for reason, applies in reasons.items() if applies), "")


def _causal_mask(size: int, device: Any = None, dtype: Any = None) -> Tensor:
    return ops.triu(full((size, size), -math.inf, dtype=dtype, device=device), 1)  # type: ignore[no-any-return]


def _sequence_length(src: Tensor, batch_first: bool) -> int:
    return int(src.shape[1 if src.ndim == 3 and batch_first else 0])


def _is_causal(mask: Tensor | None, hint: bool | None, size: int) -> bool:
    """The hint; without one, whether the mask is the causal mask."""
    if hint is not None or mask is None:
        return hint is True
    if tuple(mask.shape) != (size, size):
        return False
    return known(ops.eq(mask, _causal_mask(size, mask.device, mask.dtype)).all()._array)
