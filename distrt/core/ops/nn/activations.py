"""Activations that curve: the exponential linear ones, gelu, silu, mish, softplus, log_sigmoid, glu.

Half precision computes in float32 and rounds once. Called by ``nn/functional/activation.py``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import ShapeError
from distrt.core.numerics import single
from distrt.core.op import op
from distrt.core.ops.pointwise.half import floating, rounded, wide
from distrt.core.ops.pointwise.half_rules import widened
from distrt.core.ops.shapes.dims import one_dim

__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "log_sigmoid",
    "mish",
    "selu",
    "silu",
    "softplus",
]

# Exponential linear units

# Source: Klambauer et al. 2017, with the digits of PyTorch's.
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


@op()
def elu(input: Array, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Array:
    """``alpha * (exp(input_scale * input) - 1)`` where the input is negative, else the input; all times ``scale``."""
    return _exponential_linear(input, alpha, scale, input_scale)


@op(node="Elu")
def selu(input: Array) -> Array:
    """The ``elu`` that keeps a signal's mean and variance. Source: Klambauer et al. 2017."""
    return _exponential_linear(input, _SELU_ALPHA, _SELU_SCALE, 1.0)


@op()
def celu(input: Array, alpha: float = 1.0) -> Array:
    """The ``elu`` of ``input / alpha`` times ``alpha``, whose slope does not jump.

    Raises:
        ShapeError: for an ``alpha`` of 0.
    """
    if alpha == 0:
        raise ShapeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return _exponential_linear(input, alpha, 1.0, 1 / alpha)


def _exponential_linear(input: Array, alpha: float, scale: float, input_scale: float) -> Array:
    work = floating("elu_cpu", input)
    curved = np.expm1(np.minimum(work, 0) * input_scale) * (alpha * scale)
    return np.where(work <= 0, curved, work * scale).astype(input.dtype, copy=False)


def _exponential_linear_slope(g: Any, input: Any, alpha: float, scale: float, input_scale: float) -> Any:
    g, wider = widened(g), widened(input)
    growth = ops.exp(ops.mul(ops.where(ops.lt(wider, 0), wider, 0.0), input_scale))
    curved = ops.mul(g, ops.mul(growth, alpha * scale * input_scale))
    return ops.where(ops.le(wider, 0), curved, ops.mul(g, scale))


elu.gradient(
    input=lambda g, input, alpha, scale, input_scale: _exponential_linear_slope(
        g, input, alpha, scale, input_scale
    )
)
selu.gradient(input=lambda g, input: _exponential_linear_slope(g, input, _SELU_ALPHA, _SELU_SCALE, 1.0))
celu.gradient(  # PyTorch takes the reciprocal of alpha in float32 here, and in float64 going forward
    input=lambda g, input, alpha: _exponential_linear_slope(
        g, input, alpha, 1.0, 1 / float(np.float32(alpha))
    )
)


# gelu


@op(aux=("chance",))
def gelu(input: Array, *, approximate: str = "none") -> Any:
    """``input`` times the chance that a normal number is below it, or with "tanh" a curve that comes close to it.

    ``chance`` is kept, because the error function is what takes the time. Source: Hendrycks and Gimpel 2016.

    Raises:
        ShapeError: for another approximation.
    """
    if approximate not in ("none", "tanh"):
        raise ShapeError("approximate argument must be either none or tanh.")
    work = input if input.dtype == dt.bfloat16.numpy else floating("GeluKernelImpl", input)
    if work.dtype != np.float64:
        chance_of = single.normal_chance if approximate == "none" else single.bent_chance
        found, chance = chance_of(work, dtype=work.dtype)
        return rounded(found, input.dtype), chance
    if approximate == "none":
        chance = (1 + ops.erf(work * math.sqrt(0.5))) * 0.5
    else:
        chance = (1 + np.tanh(_bent(work))) * 0.5
    return np.multiply(work, chance).astype(input.dtype, copy=False), chance


_WIDTH = math.sqrt(2 / math.pi)
_BEND = 0.044715


def _bent(work: Array) -> Array:
    return _WIDTH * (work + _BEND * work * work * work)


@gelu.gradients
def _gelu_gradients(g: Any, input: Any, chance: Any, approximate: str) -> tuple[Any]:
    if input.dtype != np.float64:
        slope = single.normal_slope if approximate == "none" else single.bent_slope
        own, work = (each if each.dtype == dt.bfloat16.numpy else wide(each) for each in (g, input))
        return (slope(own, work, chance, dtype=work.dtype),)
    work = wide(input)
    if approximate == "none":
        density = np.exp(work * work * -0.5) / math.sqrt(2 * math.pi)
    else:
        density = 2 * chance * (1 - chance) * (_WIDTH * (1 + 3 * _BEND * work * work))
    return (wide(g) * (chance + work * density),)


def _plain_gelu(input: Any, approximate: str = "none") -> Any:
    if approximate == "none":
        chance = ops.add(ops.mul(ops.erf(ops.mul(input, math.sqrt(0.5))), 0.5), 0.5)
    else:
        cube = ops.mul(ops.mul(ops.mul(input, input), input), _BEND)
        chance = ops.add(ops.mul(ops.tanh(ops.mul(ops.add(input, cube), _WIDTH)), 0.5), 0.5)
    return ops.mul(input, chance)


gelu.composite = _plain_gelu


# Sigmoids and what is made of them


@op()
def silu(input: Array) -> Array:
    """``input * sigmoid(input)``, also called swish."""
    work = input if input.dtype.kind == "c" else floating("silu_cpu", input)
    return np.multiply(work, ops.sigmoid(work)).astype(input.dtype, copy=False)


def _silu_slope(g: Any, input: Any) -> Any:
    g, wider = widened(g), widened(input)
    rising = ops.sigmoid(wider)
    return ops.mul(g, ops.mul(rising, ops.add(ops.mul(wider, ops.sub(1, rising)), 1)))


silu.gradient(input=lambda g, input: _silu_slope(g, input))


@op()
def softplus(input: Array, beta: float = 1, threshold: float = 20) -> Array:
    """``log(1 + exp(beta * input)) / beta``, and ``input`` where ``beta * input`` is above ``threshold``."""
    work = floating("softplus_cpu", input)
    scaled = work * work.dtype.type(beta)
    curved = np.true_divide(np.log1p(np.exp(scaled)), work.dtype.type(beta))
    return np.where(scaled > threshold, work, curved).astype(input.dtype, copy=False)


def _softplus_slope(g: Any, input: Any, beta: float, threshold: float) -> Any:
    g, scaled = widened(g), ops.mul(widened(input), beta)
    return ops.where(ops.gt(scaled, threshold), g, ops.mul(g, ops.sigmoid(scaled)))


softplus.gradient(
    input=lambda g, input, beta, threshold: _softplus_slope(g, input, beta, threshold),
)


@op()
def mish(input: Array) -> Array:
    """``input * tanh(softplus(input))``, where the tanh is written with one exponential. Source: Misra 2019."""
    work = floating("mish_cpu", input)
    power = np.exp(np.minimum(work, 20))  # beyond, the tanh is 1 in every dtype
    grown = power * (power + 2)
    return np.multiply(work, np.true_divide(grown, grown + 2)).astype(input.dtype, copy=False)


def _mish_slope(g: Any, input: Any) -> Any:
    g, wider = widened(g), widened(input)
    bounded = ops.tanh(ops.softplus(wider))
    bend = ops.mul(ops.mul(wider, ops.sigmoid(wider)), ops.sub(1, ops.mul(bounded, bounded)))
    return ops.mul(g, ops.add(bounded, bend))


mish.gradient(input=lambda g, input: _mish_slope(g, input))


@op()
def log_sigmoid(input: Array) -> Array:
    """``log(sigmoid(input))``, which neither overflows nor loses digits."""
    work = floating("log_sigmoid_cpu", input)
    return (np.minimum(work, 0) - np.log1p(np.exp(-np.abs(work)))).astype(input.dtype, copy=False)


log_sigmoid.gradient(input=lambda g, input: ops.mul(widened(g), ops.sigmoid(ops.neg(widened(input)))))


@op()
def glu(input: Array, dim: int = -1) -> Array:
    """The first half along ``dim`` times the sigmoid of the second half. Source: Dauphin et al. 2017.

    Raises:
        ShapeError: where the dim cannot be halved.
    """
    if not input.ndim:
        raise ShapeError("glu does not support 0-dimensional tensors")
    axis = one_dim(dim, input.ndim)
    if input.shape[axis] % 2:
        raise ShapeError(f"Halving dimension must be even, but dimension {axis} is size {input.shape[axis]}")
    signal, gate = np.split(floating("glu_cpu", input), 2, axis)
    return np.multiply(signal, ops.sigmoid(gate)).astype(input.dtype, copy=False)


def _glu_slope(g: Any, input: Any, dim: int) -> Any:
    g, wider = widened(g), widened(input)
    half = input.shape[dim] // 2
    signal, gate = (ops.narrow(wider, dim, start, half) for start in (0, half))
    rising = ops.sigmoid(gate)
    through = ops.mul(g, rising)
    return ops.cat([through, ops.mul(ops.mul(through, signal), ops.sub(1, rising))], dim)


glu.gradient(input=lambda g, input, dim: _glu_slope(g, input, dim))
