"""How a random variable moves with its distribution's parameter while its rank stays: for ``core/ops/pathwise``.

With F(x; a) kept constant, ``dx/da = -(dF/da) / p(x)``. The derivative of F is an integral of the score,
``dF/da = integral from below to x of p(t) (log t - E[log t]) dt``, or minus the integral above x. Taken on the side
where x lies from the mean, the integrand decays and hardly changes its sign, so nothing cancels; a double-exponential
rule sums it, whatever the scales are. Everything is float64.

Source: Figurnov, Mohamed, Mnih, *Implicit Reparameterization Gradients*, 2018; Takahasi and Mori, 1974.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.numerics.chebyshev import in_blocks
from distrt.core.numerics.gamma import digamma

# Nodes and weights on (0, infinity): u = exp(pi/2 sinh(s)) for equal steps of s.
_STEP = 0.05
_S = np.arange(-3.4, 3.4 + _STEP / 2, _STEP)
NODES = np.exp(math.pi / 2 * np.sinh(_S))
WEIGHTS = _STEP * math.pi / 2 * np.cosh(_S) * NODES


def _integral(values: Array) -> Array:
    return np.where(np.isfinite(values), values, 0.0) @ np.asarray(WEIGHTS, like=values)


@in_blocks
def gamma_path(a: Array, x: Array) -> Array:
    """dx/da of a gamma variable ``x`` of shape ``a`` and rate 1."""
    with np.errstate(all="ignore"):
        below = x < a
        found = np.where(below, _gamma_below(a, np.minimum(x, a)), _gamma_above(a, np.maximum(x, a)))
    return np.where(x > 0, found, 0.0)


def _gamma_below(a: Array, x: Array) -> Array:
    """t = x exp(-u)."""
    scale = 1 / np.maximum(a - x, np.sqrt(a))
    u = scale[..., None] * np.asarray(NODES, like=scale)
    density = np.exp(-a[..., None] * u - x[..., None] * np.expm1(-u))
    return -x * scale * _integral(density * ((np.log(x) - digamma(a))[..., None] - u))


def _gamma_above(a: Array, x: Array) -> Array:
    """t = x + s."""
    scale = np.maximum(x, np.finfo(np.float64).tiny) / np.maximum(x - a, np.sqrt(a))
    scale = np.minimum(scale, 1 + np.sqrt(x))
    s = scale[..., None] * np.asarray(NODES, like=scale)
    ratio = np.log1p(s / x[..., None])
    density = np.exp((a[..., None] - 1) * ratio - s)
    return scale * _integral(density * ((np.log(x) - digamma(a))[..., None] + ratio))


@in_blocks
def beta_path(x: Array, a: Array, b: Array) -> Array:
    """dx/da of a beta variable ``x`` of concentrations ``a`` and ``b``."""
    mean = a / (a + b)
    with np.errstate(all="ignore"):
        expected = digamma(a) - digamma(a + b)
        below = -x * _side(np.minimum(x, mean), a, b, lambda u, rest: np.log(x)[..., None] - u, expected)
        y = 1 - x
        above = y * _side(np.minimum(y, 1 - mean), b, a, lambda u, rest: rest, expected)
        found = np.where(x < mean, below, above)
    return np.where((x > 0) & (x < 1), found, 0.0)


def _side(x: Array, a: Array, b: Array, logarithm: Any, expected: Array) -> Array:
    """The integral over t = x exp(-u) of the density over p(x) x, times the score."""
    scale = 1 / np.maximum(np.abs(a - (a + b) * x) / (1 - x), np.sqrt(a * (a + b) / b))
    u = scale[..., None] * np.asarray(NODES, like=scale)
    rest = np.log1p(-x[..., None] * np.exp(-u))
    density = np.exp(-a[..., None] * u + (b[..., None] - 1) * (rest - np.log1p(-x)[..., None]))
    return scale * _integral(density * (logarithm(u, rest) - expected[..., None]))
