"""Gamma and Dirichlet draws with pathwise gradients: how a draw moves with its parameters while its rank stays.

``distrt`` shows four of them as ``_standard_gamma`` and its kin, which libraries of distributions call.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import numerics
from distrt.core.arrays import Array, as_array, is_on_gpu
from distrt.core.dtypes import dtype as dt
from distrt.core.gpu.places import at
from distrt.core.kernels import on_gpu
from distrt.core.op import IndexArray, op
from distrt.core.ops.pointwise.arithmetic import mul, sub
from distrt.core.ops.pointwise.half import no_derivative
from distrt.core.ops.random.sampling import require_floating
from distrt.core.ops.reductions.reduction import sum
from distrt.core.random.families import draw_gamma, draw_log_gamma
from distrt.core.random.generator import Generator

__all__ = [
    "dirichlet_drawn",
    "dirichlet_slope",
    "gamma_drawn",
    "gamma_slope",
    "sample_dirichlet",
    "standard_gamma",
]


@op(node="StandardGamma")
def gamma_drawn(concentration: Array, values: IndexArray) -> Array:
    """``values``, which were drawn from gamma distributions of these shapes and rate 1."""
    return values


@op(node="StandardGammaGrad")
def gamma_slope(concentration: Array, values: IndexArray) -> Array:
    """How much a gamma variable grows with its shape."""
    path = on_gpu.special if is_on_gpu(values) else numerics.pathwise
    found = path.gamma_path(concentration.astype(np.float64), values.astype(np.float64))
    return found.astype(concentration.dtype)


gamma_drawn.gradient(
    concentration=lambda g, concentration, values: mul(g, gamma_slope(concentration, values))
)
gamma_slope.gradient(concentration=lambda g: no_derivative("_standard_gamma_grad"))


@op(node="SampleDirichlet")
def dirichlet_drawn(concentration: Array, values: IndexArray) -> Array:
    """``values``, which were drawn from the Dirichlet distributions of the last dim."""
    return values


@op(node="DirichletGrad")
def dirichlet_slope(x: Array, alpha: Array, total: Array) -> Array:
    """How much each part ``x`` grows with its own concentration ``alpha``, over what is left for the others.

    A part of a Dirichlet variable is a beta variable; when it grows, the others shrink in proportion.
    """
    parts, own, all_of_them = (each.astype(np.float64) for each in (x, alpha, total))
    rest = np.maximum(1 - parts, np.finfo(np.float64).tiny)
    path = on_gpu.special if is_on_gpu(parts) else numerics.pathwise
    return as_array(path.beta_path(parts, own, all_of_them - own) / rest).astype(alpha.dtype)


def _dirichlet_rule(g: Any, concentration: Any, values: Any) -> Any:
    aside = sum(mul(values, g), -1, keepdim=True)
    total = sum(concentration, -1, keepdim=True, dtype=dt.float64)
    return mul(dirichlet_slope(values, concentration, total), sub(g, aside))


dirichlet_drawn.gradient(concentration=_dirichlet_rule)
for _name in ("x", "alpha", "total"):
    dirichlet_slope.gradient(**{_name: lambda g: no_derivative("_dirichlet_grad")})


def standard_gamma(concentration: Any, generator: Generator | None = None) -> Any:
    """A draw of each element's gamma distribution with rate 1, at least the dtype's smallest normal number."""
    shapes = require_floating("gamma", concentration)
    with at(shapes):
        values = _above_zero(draw_gamma(shapes, generator), shapes.dtype)
    return gamma_drawn(concentration, values)


def sample_dirichlet(concentration: Any, generator: Generator | None = None) -> Any:
    """A draw of the Dirichlet distribution of each row. Shape: (…, parts)."""
    shapes = require_floating("dirichlet", concentration)
    with at(shapes):
        drawn = draw_log_gamma(shapes, generator)
        shares = np.exp(drawn - drawn.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        values = _above_zero(shares, shapes.dtype)
    return dirichlet_drawn(concentration, values)


def _above_zero(drawn: Array, kind: np.dtype[Any]) -> Array:
    smallest = np.finfo(np.float64 if kind == np.float64 else np.float32).tiny
    return as_array(np.maximum(drawn, float(smallest))).astype(kind)
