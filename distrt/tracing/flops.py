"""How many floating-point operations products and convolutions take; a multiplication and an addition are two."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["flops_of"]

Shape = Sequence[int]


def flops_of(name: str, shapes: Sequence[Any], result: Shape) -> int:
    """Of one call; 0 where it is not known.

    Args:
        name: the operation's, without what is before the last dot.
        shapes: of the arguments, in order; [] for what is no tensor.
        result: the result's shape.
    """
    rule = _RULES.get(name)
    return 0 if rule is None else rule(shapes, result)


def _product(left: int) -> Callable[[Sequence[Any], Shape], int]:
    """Of matrices, the left one of which is the argument of this number."""
    return lambda shapes, result: 2 * math.prod(result) * int(shapes[left][-1])


def _convolution(shapes: Sequence[Any], result: Shape) -> int:
    weight: Shape = shapes[1]
    return 2 * math.prod(result) * math.prod(weight[1:])


def _transposed(shapes: Sequence[Any], result: Shape) -> int:
    input: Shape = shapes[0]
    weight: Shape = shapes[1]
    return 2 * math.prod(input) * math.prod(weight[1:])


_RULES: dict[str, Callable[[Sequence[Any], Shape], int]] = {
    **dict.fromkeys(("mm", "bmm", "matmul", "linear", "mv", "__matmul__"), _product(0)),
    **dict.fromkeys(("addmm", "baddbmm", "addmv"), _product(1)),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _convolution),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _transposed),
}
