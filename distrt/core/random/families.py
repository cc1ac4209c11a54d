"""Draws of families whose parameters are arrays: gamma, Poisson, binomial, von Mises. All is float64.

NumPy makes them of the generator's words. What is drawn for arrays on a GPU is drawn there, and what is wrong with the
parameters is raised where the program waits next.
"""

from __future__ import annotations

import numpy as np

from distrt.core.arrays import Array, as_array, is_on_gpu, known
from distrt.core.errors import ShapeError
from distrt.core.random.draws import where_it_lies
from distrt.core.random.generator import Generator, numpy_generator

__all__ = ["draw_binomial", "draw_gamma", "draw_log_gamma", "draw_poisson", "draw_von_mises"]

#: More tries than this are not whole numbers of 64 bits.
_MOST_TRIES = 9.2e18


@where_it_lies
def draw_gamma(shapes: Array, generator: Generator | None) -> Array:
    """Gamma numbers with rate 1.

    Raises:
        ValueError: for a negative shape.
    """
    return as_array(numpy_generator(generator, shapes).standard_gamma(shapes.astype(np.float64)))


@where_it_lies
def draw_log_gamma(shapes: Array, generator: Generator | None) -> Array:
    """Logarithms of gamma numbers, also of shapes so small that the numbers themselves would be 0."""
    wide, source = shapes.astype(np.float64), numpy_generator(generator, shapes)
    raised = source.standard_gamma(wide + 1)
    return as_array(np.log(raised) + np.log1p(-source.random(wide.shape)) / wide)


@where_it_lies
def draw_poisson(rates: Array, generator: Generator | None) -> Array:
    """Counts of what happens at these rates.

    Raises:
        ShapeError: for a rate that is negative or no number.
    """
    wide = rates.astype(np.float64)
    if not is_on_gpu(wide) and known(~(wide >= 0).all()):
        raise ShapeError("invalid Poisson rate, expected rate to be non-negative")
    return as_array(numpy_generator(generator, rates).poisson(wide))


@where_it_lies
def draw_binomial(tries: Array, chances: Array, generator: Generator | None) -> Array:
    """How many of so many tries succeed: as PyTorch's, none of fewer than 0; chances are bounded; NaN for NaN."""
    source, count, chance = (
        numpy_generator(generator, tries),
        tries.astype(np.float64),
        chances.astype(np.float64),
    )
    if not isinstance(count, np.ndarray):
        return as_array(source.binomial(count, chance))
    is_number = (count < _MOST_TRIES) & ~np.isnan(chance)
    whole = np.where(is_number, np.maximum(count, 0), 0).astype(np.int64)
    drawn = source.binomial(whole, np.clip(np.where(is_number, chance, 0), 0, 1))
    return np.where(is_number, drawn, np.nan)


@where_it_lies
def draw_von_mises(strengths: Array, generator: Generator | None) -> Array:
    """Angles around 0, in radians.

    Raises:
        ValueError: for a negative concentration.
    """
    return as_array(numpy_generator(generator, strengths).vonmises(0.0, strengths.astype(np.float64)))
