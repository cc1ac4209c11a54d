"""Draws whose distribution a tensor gives: bernoulli, binomial, multinomial, poisson. Their gradients are 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import gpu
from distrt.core.arrays import Array, is_meta, is_on_gpu
from distrt.core.definitions.out import write_out
from distrt.core.errors import DtypeError, NoKernelError, ShapeError
from distrt.core.gpu.places import at
from distrt.core.modes import used
from distrt.core.op import IndexArray, op
from distrt.core.ops.pointwise.comparison import zero_unless
from distrt.core.ops.pointwise.half import wide
from distrt.core.ops.reductions.sorting import sorted_order
from distrt.core.random.draws import draw_bernoulli, draw_exponential, draw_wide_uniform
from distrt.core.random.families import draw_binomial, draw_poisson
from distrt.core.random.generator import Generator
from distrt.core.tensor import Tensor, wrap

__all__ = ["bernoulli", "binomial", "multinomial", "poisson", "sampled"]


@op(node="Sampled")
def sampled(input: Array, values: IndexArray) -> Array:
    """``values``, which were drawn from what ``input`` says; its gradient is 0."""
    return values


sampled.gradient(input=lambda g: zero_unless(g, False))


def _returned(name: str, result: Any, out: Any) -> Any:
    return result if out is None else write_out(name, result, out)


def require_floating(name: str, input: Tensor) -> Array:
    """The elements of a tensor of floats; raises for anything else."""
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    if not input.dtype.is_floating_point:
        raise NoKernelError(f'"{name}_cpu" not implemented for {input.dtype}')
    return input._array


def bernoulli(
    input: Tensor, p: float | None = None, *, generator: Generator | None = None, out: Any = None
) -> Any:
    """1 with the probability that each element gives (or with ``p`` for all), else 0.

    Raises:
        ShapeError: for a probability outside 0 to 1.
    """
    if p is not None:
        array = input._array
        drawn = wrap(draw_bernoulli(p, array.shape, array.dtype, generator, array))
        return _returned("bernoulli", drawn, out)
    chances = require_floating("bernoulli", input)
    drawn = draw_bernoulli(wide(chances), chances.shape, chances.dtype, generator, chances)
    return _returned("bernoulli", sampled(input, drawn), out)


def poisson(input: Tensor, generator: Generator | None = None) -> Any:
    """A count drawn from the Poisson distribution with each element as its rate.

    Raises:
        ShapeError: for a negative rate.
    """
    rates = require_floating("poisson", input)
    return sampled(input, _narrow(draw_poisson(rates, generator), rates))


def binomial(count: Tensor, prob: Tensor, generator: Generator | None = None) -> Any:
    """How many of ``count`` tries succeed, each with probability ``prob``; NaN for NaN. Shape: the two broadcast."""
    tries, chances = require_floating("binomial", count), require_floating("binomial", prob)
    given = (tries, chances, generator)
    drawn = gpu.calls.run("binomial", draw_binomial, *given) if used.gpu else draw_binomial(*given)
    return wrap(_narrow(drawn, tries))


def _narrow(drawn: Array, like: Array) -> Array:
    with at(like):
        return drawn.astype(like.dtype)


def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
    out: Any = None,
) -> Any:
    """The numbers of classes, drawn with the weights that each row gives. Shape: (classes,) or (rows, classes).

    Without ``replacement`` the drawn classes are distinct.

    Raises:
        ShapeError: for weights that are negative, not finite or all 0, and for more samples than classes.
    """
    if not input.dtype.is_floating_point:
        raise DtypeError(f"multinomial only supports floating-point dtypes for input, got: {input.dtype}")
    weights = input._array
    if weights.ndim not in (1, 2):
        raise ShapeError("prob_dist must be 1 or 2 dim")
    if num_samples <= 0:
        raise ShapeError("cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > weights.shape[-1]:
        raise ShapeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    if is_meta(weights):
        drawn = np.empty((*weights.shape[:-1], num_samples), np.int64, like=weights)
        return _returned("multinomial", wrap(drawn), out)
    rows = wide(weights).reshape(-1, weights.shape[-1])
    if not bool((np.isfinite(rows) & (rows >= 0)).all()):
        raise ShapeError("probability tensor contains either `inf`, `nan` or element < 0")
    if bool((rows.sum(1) <= 0).any()):
        raise ShapeError("invalid multinomial distribution (sum of probabilities <= 0)")
    pick = _with_replacement if replacement and num_samples > 1 else _distinct
    picked = pick(rows, num_samples, generator)
    return _returned("multinomial", wrap(picked.reshape(*weights.shape[:-1], num_samples)), out)


def _with_replacement(rows: Array, count: int, generator: Generator | None) -> Array:
    edges = np.cumsum(rows, 1)
    edges /= edges[:, -1:]
    drawn = draw_wide_uniform((rows.shape[0], count), generator, rows)
    if is_on_gpu(rows):  # all rows at once, one behind the other
        number = np.arange(rows.shape[0], dtype=np.float64, like=rows)[:, None]
        places = np.searchsorted((edges + number).reshape(-1), (drawn + number).reshape(-1), side="right")
        first = number.astype(np.int64) * rows.shape[1]
        return np.clip(places.reshape(drawn.shape) - first, 0, rows.shape[1] - 1)
    found = [np.searchsorted(edge, each) for edge, each in zip(edges, drawn, strict=True)]
    return np.array(found, np.int64).reshape(rows.shape[0], count)


def _distinct(rows: Array, count: int, generator: Generator | None) -> Array:
    """The classes that ring first, where each waits an exponential time with its weight as the rate."""
    waited = draw_exponential(rows.shape, generator, rows).astype(rows.dtype)
    hurry = -rows / np.maximum(waited, np.finfo(rows.dtype).tiny)
    if count == 1:  # a token of a text: without sorting them all
        return hurry.argmin(1, keepdims=True).astype(np.int64)
    order = sorted_order(hurry, 1)
    return order[:, :count].astype(np.int64)
