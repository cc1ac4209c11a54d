"""How many floating-point operations products and convolutions take; a multiplication and an addition are two."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from distrt.core.tensor import Tensor

__all__ = ["flops_of"]

Shape = Sequence[int]


def flops_of(name: str, shapes: Sequence[Any], result: Any) -> int:
    """Of one call; 0 where it is not known.

    Args:
        name: ``aten::mm`` and the like.
        shapes: of the arguments.
        result: what the call has returned.
    """
    rule = _RULES.get(name)
    if rule is None or not isinstance(result, Tensor):
        return 0
    return rule(shapes, tuple(result.shape))


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
    **{f"aten::{name}": _product(0) for name in ("mm", "bmm", "matmul", "linear", "mv")},
    **{f"aten::{name}": _product(1) for name in ("addmm", "baddbmm", "addmv")},
    **{f"aten::conv{dims}d": _convolution for dims in (1, 2, 3)},
    **{f"aten::conv_transpose{dims}d": _transposed for dims in (1, 2, 3)},
}
