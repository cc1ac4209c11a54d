"""Functions of float32 numbers in few operations, correct to about one unit in the last place.

The coefficients are minimax fits, computed in float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from distrt.core.kernels.formulas import choose, formula, from_exponent, greatest, least

__all__ = ["bent_chance", "bent_slope", "erf", "normal_chance", "normal_slope"]

_MAGIC = 1.5 * 2**23 + 127  # adding it rounds to a whole number, and puts that into the exponent's place
# The first has so few digits that its products with whole numbers up to 128 are exact.
_LN2 = 355 / 512, math.log(2) - 355 / 512

# (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2, in r
_EXP = (
    0.4999999334643369,
    0.16666519130026783,
    0.04166840572366336,
    0.00836889867985406,
    0.0013814221777800739,
)

# erf(x) / x - 1 on [0, 1], in x^2
_NEAR = (
    0.1283791657267077,
    -0.37612625824217516,
    0.11283585148440428,
    -0.026853811928058302,
    0.005188327671976592,
    -0.0008010193504150859,
    7.853860952539149e-05,
)

# exp(x^2) erfc(x) on [1, 4], in x - 2.5
_FAR = (
    0.21080760555344832,
    -0.07434218681840167,
    0.024914624820065727,
    -0.00813225390789671,
    0.002302502188462171,
    -0.0006611180301267332,
    0.0005433237767111174,
    0.00022506478327193047,
    0.0001068435798261963,
)


def _polynomial(x: Any, coefficients: Sequence[float]) -> Any:
    found = x * coefficients[-1] + coefficients[-2]
    for coefficient in reversed(coefficients[:-2]):
        found = found * x + coefficient
    return found


def _exp(x: Any) -> Any:
    """``exp(x)`` for x of up to 88; 0 below -87."""
    bounded = greatest(x, -87.0)
    shifted = bounded * (1 / math.log(2)) + _MAGIC
    whole = shifted - _MAGIC
    rest = bounded - whole * _LN2[0] - whole * _LN2[1]
    found = (1.0 + (rest + rest * rest * _polynomial(rest, _EXP))) * from_exponent(shifted)
    return choose(-87.0 - x, 0.0, found)


@formula
def erf(x: Any) -> Any:
    """The error function."""
    size = least(abs(x), 4.0)  # beyond, it is 1
    square = size * size
    near = x + x * _polynomial(square, _NEAR)
    far = 1.0 - _exp(-square) * _polynomial(size - 2.5, _FAR)
    return choose(size - 1.0, choose(x, far, -far), near)


@formula
def normal_chance(x: Any) -> Any:
    """``x`` times the chance that a normal number is below it, and that chance."""
    chance = (erf.of(x * math.sqrt(0.5)) + 1.0) * 0.5
    return x * chance, chance


@formula
def normal_slope(g: Any, x: Any, chance: Any) -> Any:
    """The gradient of the first result of `normal_chance`, from that of a loss and the second one."""
    density = _exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))
    return g * (chance + x * density)


_WIDTH, _BEND = math.sqrt(2 / math.pi), 0.044715


@formula
def bent_chance(x: Any) -> Any:
    """As `normal_chance`, with the chance of Hendrycks and Gimpel's curve, ``(1 + tanh(...)) / 2``."""
    exponent = (x + x * x * x * _BEND) * (-2 * _WIDTH)
    chance = 1.0 / (1.0 + _exp(least(exponent, 88.0)))
    return x * chance, chance


@formula
def bent_slope(g: Any, x: Any, chance: Any) -> Any:
    """As `normal_slope`, for `bent_chance`."""
    density = chance * (1.0 - chance) * ((x * x * (3 * _BEND) + 1.0) * (2 * _WIDTH))
    return g * (chance + x * density)
