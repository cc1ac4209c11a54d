"""Folding a batch normalisation, whose statistics are fixed in evaluation, into the layer before it."""

from __future__ import annotations

import copy
from typing import TypeVar

from distrt.core import ops
from distrt.core.creation import ones_like, zeros_like
from distrt.core.tensor import Tensor
from distrt.nn.modules.linear import Linear
from distrt.nn.modules.module import Module
from distrt.nn.parameter import Parameter

__all__ = [
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
]

C = TypeVar("C", bound=Module)
L = TypeVar("L", bound=Linear)


def fuse_conv_bn_eval(conv: C, bn: Module, transpose: bool = False) -> C:
    """A new convolution that computes what the two layers, both in evaluation mode, compute together.

    Args:
        conv: the convolution.
        bn: the batch normalisation after it.
        transpose: the convolution is a transposed one.

    Raises:
        AssertionError: for a layer in training mode, or a normalisation without running statistics.
    """
    fused = _fusible(conv, bn)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight,
        fused.bias,
        bn.running_mean,
        bn.running_var,
        bn.eps,
        bn.weight,
        bn.bias,
        transpose,
    )
    return fused


def _fusible(layer: C, bn: Module) -> C:
    """A copy of the layer, where it can be fused."""
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")
    return copy.deepcopy(layer)


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of :func:`fuse_conv_bn_eval`, from those of the two layers and the running statistics."""
    bias = zeros_like(bn_rm) if conv_b is None else conv_b
    scale = ops.mul(ones_like(bn_rm) if bn_w is None else bn_w, ops.rsqrt(ops.add(bn_rv, bn_eps)))
    shift = zeros_like(bn_rm) if bn_b is None else bn_b
    shape = [1] * conv_w.ndim
    shape[1 if transpose else 0] = -1
    fused = ops.mul(conv_w, ops.reshape(scale, shape))
    return (
        Parameter(fused.to(conv_w.dtype), conv_w.requires_grad),
        Parameter(
            ((bias - bn_rm) * scale + shift).to((conv_w if conv_b is None else conv_b).dtype),
            bias.requires_grad,
        ),
    )


def fuse_linear_bn_eval(linear: L, bn: Module) -> L:
    """A new linear layer that computes what the two layers, both in evaluation mode, compute together.

    Raises:
        AssertionError: for a layer in training mode, a normalisation without running statistics, or of another number
            of features.
    """
    fused = _fusible(linear, bn)
    if bn.num_features not in (linear.out_features, 1):
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got "
            f"linear.out_features={linear.out_features} and bn.num_features={bn.num_features}"
        )
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return fused


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor,
    bn_b: Tensor,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of :func:`fuse_linear_bn_eval`, from those of the two layers and the running statistics."""
    bias = zeros_like(bn_rm) if linear_b is None else linear_b
    scale = ops.mul(bn_w, ops.rsqrt(ops.add(bn_rv, bn_eps)))
    return (
        Parameter(linear_w * scale.unsqueeze(-1).to(linear_w.dtype), linear_w.requires_grad),
        Parameter(
            ((bias - bn_rm) * scale + bn_b).to((linear_w if linear_b is None else linear_b).dtype),
            bias.requires_grad,
        ),
    )
