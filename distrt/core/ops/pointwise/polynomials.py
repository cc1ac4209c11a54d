"""Orthogonal polynomials, elementwise in their argument and their degree.

They are not differentiated, as in PyTorch: what they give asks for no gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import numerics
from distrt.core.arrays import Array, Scalar, as_array, is_array, is_on_gpu
from distrt.core.op import op
from distrt.core.ops.pointwise.half import refuse

__all__ = [
    "chebyshev_polynomial_t",
    "chebyshev_polynomial_u",
    "chebyshev_polynomial_v",
    "chebyshev_polynomial_w",
    "hermite_polynomial_h",
    "hermite_polynomial_he",
    "laguerre_polynomial_l",
    "legendre_polynomial_p",
    "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w",
]


def _polynomial(name: str, words: str, function: str, is_shifted: bool = False) -> Any:
    """The operation, computed in float64 and rounded once; a degree's fraction is cut off."""

    def forward(input: Array | Scalar, n: Array | Scalar) -> Array:
        x, degree = as_array(input), as_array(n)
        refuse(name, x, "c")
        given: list[Any] = [input, n]
        kind = next(
            each.dtype for each in given if is_array(each)
        )  # the other is a number, or of the same dtype
        wide = x.astype(np.float64)
        pair: tuple[Array, ...] = (2 * wide - 1 if is_shifted else wide, np.trunc(degree.astype(np.float64)))
        where = next((each for each in pair if is_on_gpu(each)), None)
        if where is not None:  # or CuPy broadcasts nothing to what NumPy made of a number
            pair = tuple(np.asarray(each, like=where) for each in pair)
        places = np.broadcast_arrays(*pair)
        with np.errstate(all="ignore"):
            return as_array(getattr(numerics.polynomials, function)(*places)).astype(kind)

    forward.__name__ = forward.__qualname__ = name
    forward.__doc__ = f"{words} polynomial of degree ``n``. Shape: broadcasts."
    return op(dtype="float")(forward)


chebyshev_polynomial_t = _polynomial("chebyshev_polynomial_t", "Chebyshev's first", "chebyshev_t")
chebyshev_polynomial_u = _polynomial("chebyshev_polynomial_u", "Chebyshev's second", "chebyshev_u")
chebyshev_polynomial_v = _polynomial("chebyshev_polynomial_v", "Chebyshev's third", "chebyshev_v")
chebyshev_polynomial_w = _polynomial("chebyshev_polynomial_w", "Chebyshev's fourth", "chebyshev_w")
hermite_polynomial_h = _polynomial("hermite_polynomial_h", "Hermite's (as in physics)", "hermite_h")
hermite_polynomial_he = _polynomial("hermite_polynomial_he", "Hermite's (as in probability)", "hermite_he")
laguerre_polynomial_l = _polynomial("laguerre_polynomial_l", "Laguerre's", "laguerre_l")
legendre_polynomial_p = _polynomial("legendre_polynomial_p", "Legendre's", "legendre_p")
shifted_chebyshev_polynomial_t = _polynomial(
    "shifted_chebyshev_polynomial_t",
    "Chebyshev's first, shifted to [0, 1],",
    "chebyshev_t",
    is_shifted=True,
)
shifted_chebyshev_polynomial_u = _polynomial(
    "shifted_chebyshev_polynomial_u",
    "Chebyshev's second, shifted to [0, 1],",
    "chebyshev_u",
    is_shifted=True,
)
shifted_chebyshev_polynomial_v = _polynomial(
    "shifted_chebyshev_polynomial_v",
    "Chebyshev's third, shifted to [0, 1],",
    "chebyshev_v",
    is_shifted=True,
)
shifted_chebyshev_polynomial_w = _polynomial(
    "shifted_chebyshev_polynomial_w",
    "Chebyshev's fourth, shifted to [0, 1],",
    "chebyshev_w",
    is_shifted=True,
)
