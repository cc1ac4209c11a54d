"""Vision transformers: Dosovitskiy et al., An image is worth 16x16 words (2020), https://arxiv.org/abs/2010.11929."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from distrt import nn
from distrt.core import ops
from distrt.core.creation import empty, zeros
from distrt.core.tensor import Tensor
from distrt.nn import init
from distrt.vision.models._api import builder
from distrt.vision.models._weights import weights_enum
from distrt.vision.ops.misc import MLP, Conv2dNormActivation

__all__ = [
    "ViT_B_16_Weights",
    "ViT_B_32_Weights",
    "ViT_H_14_Weights",
    "ViT_L_16_Weights",
    "ViT_L_32_Weights",
    "VisionTransformer",
    "vit_b_16",
    "vit_b_32",
    "vit_h_14",
    "vit_l_16",
    "vit_l_32",
]

ViT_B_16_Weights: Any = weights_enum("ViT_B_16_Weights", __name__)
ViT_B_32_Weights: Any = weights_enum("ViT_B_32_Weights", __name__)
ViT_L_16_Weights: Any = weights_enum("ViT_L_16_Weights", __name__)
ViT_L_32_Weights: Any = weights_enum("ViT_L_32_Weights", __name__)
ViT_H_14_Weights: Any = weights_enum("ViT_H_14_Weights", __name__)

_Norm = Callable[..., nn.Module]
_layer_norm: _Norm = partial(nn.LayerNorm, eps=1e-6)


class ConvStemConfig(NamedTuple):
    """One convolution of a stem that takes the place of the patches' projection."""

    out_channels: int
    kernel_size: int
    stride: int
    norm_layer: _Norm = nn.BatchNorm2d
    activation_layer: _Norm = nn.ReLU


class MLPBlock(MLP):
    """The transformer's MLP. Shape: (*, in_dim) -> (*, in_dim)."""

    _version = 2

    def __init__(self, in_dim: int, mlp_dim: int, dropout: float) -> None:
        super().__init__(in_dim, [mlp_dim, in_dim], activation_layer=nn.GELU, inplace=None, dropout=dropout)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    init.normal_(layer.bias, std=1e-6)

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: dict[str, Any], *others: Any
    ) -> None:
        if (local_metadata.get("version") or 1) < 2:  # the layers had names of their own
            for number in range(2):
                for kind in ("weight", "bias"):
                    old = f"{prefix}linear_{number + 1}.{kind}"
                    if old in state_dict:
                        state_dict[f"{prefix}{3 * number}.{kind}"] = state_dict.pop(old)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *others)


class EncoderBlock(nn.Module):
    """Attention and MLP, each after its norm and beside a shortcut. Shape: (N, L, hidden_dim) -> the same."""

    def __init__(
        self,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
        norm_layer: _Norm = _layer_norm,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.ln_1 = norm_layer(hidden_dim)
        self.self_attention = nn.MultiheadAttention(
            hidden_dim, num_heads, dropout=attention_dropout, batch_first=True
        )
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = norm_layer(hidden_dim)
        self.mlp = MLPBlock(hidden_dim, mlp_dim, dropout)

    def forward(self, input: Tensor) -> Tensor:
        """The block's output."""
        _check(input.dim() == 3, f"Expected (batch_size, seq_length, hidden_dim) got {tuple(input.shape)}")
        x = self.ln_1(input)
        x, _ = self.self_attention(x, x, x, need_weights=False)
        x = self.dropout(x) + input
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class Encoder(nn.Module):
    """Adds the positions, then all blocks and a norm. Shape: (N, seq_length, hidden_dim) -> the same."""

    def __init__(
        self,
        seq_length: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
        norm_layer: _Norm = _layer_norm,
    ) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(empty(1, seq_length, hidden_dim))
        init.normal_(self.pos_embedding, std=0.02)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.Sequential(
            OrderedDict(
                (
                    f"encoder_layer_{number}",
                    EncoderBlock(num_heads, hidden_dim, mlp_dim, dropout, attention_dropout, norm_layer),
                )
                for number in range(num_layers)
            )
        )
        self.ln = norm_layer(hidden_dim)

    def forward(self, input: Tensor) -> Tensor:
        """The encoded sequence."""
        _check(input.dim() == 3, f"Expected (batch_size, seq_length, hidden_dim) got {tuple(input.shape)}")
        out: Tensor = self.ln(self.layers(self.dropout(input + self.pos_embedding)))
        return out


class VisionTransformer(nn.Module):
    """Shape: (N, 3, image_size, image_size) -> (N, num_classes).

    Args:
        image_size: height and width, a multiple of ``patch_size``.
        patch_size: height and width of what becomes one element of the sequence.
        num_layers: blocks of the encoder.
        num_heads: of its attention.
        hidden_dim: width of the sequence.
        mlp_dim: width of the blocks' hidden layers.
        dropout: after attention and in the MLPs.
        attention_dropout: of the attention's weights.
        num_classes: the number of logits.
        representation_size: width of a hidden layer before the logits, if there is to be one.
        norm_layer: instead of ``LayerNorm(eps=1e-6)``.
        conv_stem_configs: convolutions instead of the projection of patches.
    """

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        num_classes: int = 1000,
        representation_size: int | None = None,
        norm_layer: _Norm = _layer_norm,
        conv_stem_configs: list[ConvStemConfig] | None = None,
    ) -> None:
        super().__init__()
        _check(image_size % patch_size == 0, "Input shape indivisible by patch size!")
        self.image_size = image_size
        self.patch_size = patch_size
        self.hidden_dim = hidden_dim
        self.mlp_dim = mlp_dim
        self.attention_dropout = attention_dropout
        self.dropout = dropout
        self.num_classes = num_classes
        self.representation_size = representation_size
        self.norm_layer = norm_layer
        self.conv_proj: nn.Module = _projection(conv_stem_configs, patch_size, hidden_dim)
        self.class_token = nn.Parameter(zeros(1, 1, hidden_dim))
        self.seq_length = (image_size // patch_size) ** 2 + 1  # the class token comes first
        self.encoder = Encoder(
            self.seq_length,
            num_layers,
            num_heads,
            hidden_dim,
            mlp_dim,
            dropout,
            attention_dropout,
            norm_layer,
        )
        self.heads = _heads(hidden_dim, num_classes, representation_size)

    def _process_input(self, x: Tensor) -> Tensor:
        """The patches as a sequence. Shape: (N, 3, H, W) -> (N, patches, hidden_dim)."""
        count, _, height, width = x.shape
        size = self.image_size
        _check(height == size, f"Wrong image height! Expected {size} but got {height}!")
        _check(width == size, f"Wrong image width! Expected {size} but got {width}!")
        return self.conv_proj(x).reshape(count, self.hidden_dim, -1).permute(0, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        x = self._process_input(x)
        token = self.class_token.expand(x.shape[0], -1, -1)
        x = self.encoder(ops.cat([token, x], dim=1))
        logits: Tensor = self.heads(x[:, 0])
        return logits


def _check(holds: bool, message: str) -> None:
    """Raises AssertionError, as torchvision does, also under ``python -O``."""
    if not holds:
        raise AssertionError(message)


def _projection(configs: list[ConvStemConfig] | None, patch_size: int, hidden_dim: int) -> nn.Module:
    if configs is None:
        projection = nn.Conv2d(3, hidden_dim, kernel_size=patch_size, stride=patch_size)
        fan_in = 3 * patch_size**2
        init.trunc_normal_(projection.weight, std=math.sqrt(1 / fan_in))
        init.zeros_(projection.bias)
        return projection
    stem = nn.Sequential()
    channels = 3
    for number, config in enumerate(configs):
        stem.add_module(
            f"conv_bn_relu_{number}",
            Conv2dNormActivation(
                channels,
                config.out_channels,
                kernel_size=config.kernel_size,
                stride=config.stride,
                norm_layer=config.norm_layer,
                activation_layer=config.activation_layer,
            ),
        )
        channels = config.out_channels
    last = nn.Conv2d(channels, hidden_dim, kernel_size=1)
    init.normal_(last.weight, mean=0.0, std=math.sqrt(2.0 / hidden_dim))
    init.zeros_(last.bias)
    stem.add_module("conv_last", last)
    return stem


def _heads(hidden_dim: int, num_classes: int, representation_size: int | None) -> nn.Sequential:
    heads: OrderedDict[str, nn.Module] = OrderedDict()
    if representation_size is None:
        last = nn.Linear(hidden_dim, num_classes)
    else:
        before = nn.Linear(hidden_dim, representation_size)
        init.trunc_normal_(before.weight, std=math.sqrt(1 / hidden_dim))
        init.zeros_(before.bias)
        heads["pre_logits"] = before
        heads["act"] = nn.Tanh()
        last = nn.Linear(representation_size, num_classes)
    init.zeros_(last.weight)
    init.zeros_(last.bias)
    heads["head"] = last
    return nn.Sequential(heads)


def interpolate_embeddings(
    image_size: int,
    patch_size: int,
    model_state: OrderedDict[str, Tensor],
    interpolation_mode: str = "bicubic",
    reset_heads: bool = False,
) -> OrderedDict[str, Tensor]:
    """The weights of a model for another image size: its positions are resized as an image is.

    Args:
        image_size: the new size.
        patch_size: of the new model.
        model_state: what the trained model has; changed in place.
        interpolation_mode: of ``interpolate``.
        reset_heads: leave out the weights of the heads.
    """
    name = "encoder.pos_embedding"
    positions = model_state[name]
    count, length, width = positions.shape
    if count != 1:
        raise ValueError(f"Unexpected position embedding shape: {positions.shape}")
    new_length = (image_size // patch_size) ** 2 + 1
    if new_length == length:
        return model_state
    side, new_side = math.isqrt(length - 1), math.isqrt(new_length - 1)
    if side * side != length - 1:
        raise ValueError(
            f"seq_length is not a perfect square! Instead got seq_length_1d * seq_length_1d = {side * side} "
            f"and seq_length = {length - 1}"
        )
    token, grid = positions[:, :1], positions[:, 1:].permute(0, 2, 1).reshape(1, width, side, side)
    grid = nn.functional.interpolate(grid, size=new_side, mode=interpolation_mode, align_corners=True)
    model_state[name] = ops.cat([token, grid.reshape(1, width, -1).permute(0, 2, 1)], dim=1)
    if reset_heads:
        for key in [key for key in model_state if key.startswith("heads")]:
            del model_state[key]
    return model_state


def _of_size(weights: Any) -> dict[str, Any]:
    """The image size that a set of weights is for."""
    return {"image_size": weights.meta["min_size"][0]}


@builder(ViT_B_16_Weights, arguments=_of_size)
def vit_b_16(*, image_size: int = 224, **kwargs: Any) -> VisionTransformer:
    """ViT-B/16; the arguments are those of the class."""
    return VisionTransformer(image_size, 16, 12, 12, 768, 3072, **kwargs)


@builder(ViT_B_32_Weights, arguments=_of_size)
def vit_b_32(*, image_size: int = 224, **kwargs: Any) -> VisionTransformer:
    """ViT-B/32; the arguments are those of the class."""
    return VisionTransformer(image_size, 32, 12, 12, 768, 3072, **kwargs)


@builder(ViT_L_16_Weights, arguments=_of_size)
def vit_l_16(*, image_size: int = 224, **kwargs: Any) -> VisionTransformer:
    """ViT-L/16; the arguments are those of the class."""
    return VisionTransformer(image_size, 16, 24, 16, 1024, 4096, **kwargs)


@builder(ViT_L_32_Weights, arguments=_of_size)
def vit_l_32(*, image_size: int = 224, **kwargs: Any) -> VisionTransformer:
    """ViT-L/32; the arguments are those of the class."""
    return VisionTransformer(image_size, 32, 24, 16, 1024, 4096, **kwargs)


@builder(ViT_H_14_Weights, arguments=_of_size)
def vit_h_14(*, image_size: int = 224, **kwargs: Any) -> VisionTransformer:
    """ViT-H/14; the arguments are those of the class."""
    return VisionTransformer(image_size, 14, 32, 16, 1280, 5120, **kwargs)
