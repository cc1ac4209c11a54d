"""Gamma and Dirichlet draws with pathwise gradients: how a draw moves with its parameters while its rank stays."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import numerics
from distrt.core.arrays import Array, as_array, on_host
from distrt.core.gpu.places import beside
from distrt.core.op import IndexArray, op
from distrt.core.ops.pointwise.arithmetic import mul, sub
from distrt.core.ops.pointwise.half import no_derivative
from distrt.core.ops.reductions.reduction import sum
from distrt.core.random.generator import Generator, numpy_generator

__all__ = ["dirichlet_drawn", "gamma_drawn", "sample_dirichlet", "standard_gamma"]


@op(node="StandardGamma")
def gamma_drawn(concentration: Array, values: IndexArray) -> Array:
    """``values``, which were drawn from gamma distributions of these shapes and rate 1."""
    return values


@op(node="StandardGammaGrad")
def gamma_slope(concentration: Array, values: IndexArray) -> Array:
    """How much a gamma variable grows with its shape."""
    wide = numerics.pathwise.gamma_path(concentration.astype(np.float64), values.astype(np.float64))
    return wide.astype(concentration.dtype)


gamma_drawn.gradient(
    concentration=lambda g, concentration, values: mul(g, gamma_slope(concentration, values))
)
gamma_slope.gradient(concentration=lambda g: no_derivative("_standard_gamma_grad"))


@op(node="SampleDirichlet")
def dirichlet_drawn(concentration: Array, values: IndexArray) -> Array:
    """``values``, which were drawn from the Dirichlet distributions of the last dim."""
    return values


@op(node="DirichletGrad")
def dirichlet_slope(concentration: Array, values: IndexArray) -> Array:
    """How much each part grows with its own concentration, over what is left for the others.

    A part of a Dirichlet variable is a beta variable; when it grows, the others shrink in proportion.
    """
    parts, own = values.astype(np.float64), concentration.astype(np.float64)
    others = own.sum(-1, keepdims=True) - own
    rest = np.maximum(1 - parts, np.finfo(np.float64).tiny)
    return (numerics.pathwise.beta_path(parts, own, others) / rest).astype(concentration.dtype)


def _dirichlet_rule(g: Any, concentration: Any, values: Any) -> Any:
    aside = sum(mul(values, g), -1, keepdim=True)
    return mul(dirichlet_slope(concentration, values), sub(g, aside))


dirichlet_drawn.gradient(concentration=_dirichlet_rule)
dirichlet_slope.gradient(concentration=lambda g: no_derivative("_dirichlet_grad"))


def standard_gamma(concentration: Any, generator: Generator | None = None) -> Any:
    """A draw of each element's gamma distribution with rate 1, at least the dtype's smallest normal number."""
    kind = concentration._array.dtype
    drawn = numpy_generator(generator, concentration._array).standard_gamma(
        on_host(concentration._array).astype(np.float64)
    )
    return gamma_drawn(concentration, beside(np.maximum(drawn, _tiny(kind)).astype(kind), concentration))


def sample_dirichlet(concentration: Any, generator: Generator | None = None) -> Any:
    """A draw of the Dirichlet distribution of each row. Shape: (…, parts)."""
    kind = concentration._array.dtype
    drawn = _log_gamma(on_host(concentration._array).astype(np.float64), generator)
    shares = np.exp(drawn - drawn.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    return dirichlet_drawn(concentration, beside(np.maximum(shares, _tiny(kind)).astype(kind), concentration))


def _log_gamma(shapes: Array, generator: Generator | None) -> Array:
    """Logarithms of gamma draws, also of shapes so small that the draws themselves would be 0."""
    source = numpy_generator(generator, shapes)
    raised = source.standard_gamma(shapes + 1)
    return as_array(np.log(raised) + np.log1p(-source.random(shapes.shape)) / shapes)


def _tiny(kind: np.dtype[Any]) -> float:
    return float(np.finfo(np.float64 if kind == np.float64 else np.float32).tiny)
