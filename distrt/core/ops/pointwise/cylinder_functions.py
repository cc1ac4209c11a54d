"""Bessel's and Airy's functions of fixed orders.

They are not differentiated, as in PyTorch: what they give asks for no gradient. ``i0`` and ``i1`` of ``special`` have
gradients.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from distrt.core import numerics
from distrt.core.arrays import Array, as_array
from distrt.core.op import op
from distrt.core.ops.pointwise.half import refuse

__all__ = [
    "airy_ai",
    "bessel_j0",
    "bessel_j1",
    "bessel_y0",
    "bessel_y1",
    "modified_bessel_i0",
    "modified_bessel_i1",
    "modified_bessel_k0",
    "modified_bessel_k1",
    "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1",
    "spherical_bessel_j0",
]


def _function(name: str, words: str, place: str) -> Any:
    """The operation of the function at a place of ``core/numerics``, computed in float64 and rounded once."""
    function_in = operator.attrgetter(place)

    def forward(input: Array) -> Array:
        refuse(name, input, "c")
        with np.errstate(all="ignore"):
            return as_array(function_in(numerics)(input.astype(np.float64))).astype(input.dtype)

    forward.__name__ = forward.__qualname__ = name
    forward.__doc__ = f"{words}."
    return op(dtype="float")(forward)


airy_ai = _function("airy_ai", "Airy's function Ai", "airy.airy_ai")
bessel_j0 = _function("bessel_j0", "Bessel's function of the first kind, of order 0", "bessel_waves.j0")
bessel_j1 = _function("bessel_j1", "Bessel's function of the first kind, of order 1", "bessel_waves.j1")
bessel_y0 = _function("bessel_y0", "Bessel's function of the second kind, of order 0", "bessel_waves.y0")
bessel_y1 = _function("bessel_y1", "Bessel's function of the second kind, of order 1", "bessel_waves.y1")
modified_bessel_i0 = _function(
    "modified_bessel_i0", "The modified Bessel function of the first kind, of order 0", "bessel.i0"
)
modified_bessel_i1 = _function(
    "modified_bessel_i1", "The modified Bessel function of the first kind, of order 1", "bessel.i1"
)
modified_bessel_k0 = _function(
    "modified_bessel_k0", "The modified Bessel function of the second kind, of order 0", "bessel_second.k0"
)
modified_bessel_k1 = _function(
    "modified_bessel_k1", "The modified Bessel function of the second kind, of order 1", "bessel_second.k1"
)
scaled_modified_bessel_k0 = _function(
    "scaled_modified_bessel_k0", "``exp(input) * modified_bessel_k0(input)``", "bessel_second.k0e"
)
scaled_modified_bessel_k1 = _function(
    "scaled_modified_bessel_k1", "``exp(input) * modified_bessel_k1(input)``", "bessel_second.k1e"
)
spherical_bessel_j0 = _function(
    "spherical_bessel_j0", "``sin(input) / input``, 1 at 0", "bessel_waves.spherical_j0"
)
