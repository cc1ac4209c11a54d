"""Products of matrices and their kin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core.meta.array import made
from distrt.core.meta.ufuncs import require_fit_out, require_together

__all__ = ["RULES", "matmul"]


def _kind(*arrays: Any) -> Any:
    """The dtype of a sum of products."""
    return np.multiply(*(np.ones(1, each.dtype) for each in arrays)).dtype


def matmul(first: Any, second: Any, /, out: Any = None, **named: Any) -> Any:
    """``np.matmul``.

    Raises:
        ValueError: as NumPy, for 0-d arrays and inner sizes that differ.
    """
    for number, each in enumerate((first, second)):
        if not each.ndim:
            raise ValueError(
                f"matmul: Input operand {number} does not have enough dimensions (has 0, gufunc core with signature "
                "(n?,k),(k,m?)->(n?,m?) requires 1)"
            )
    rows = first.shape[-2:-1]
    columns = second.shape[-1:] if second.ndim > 1 else ()
    inner = second.shape[-2] if second.ndim > 1 else second.shape[0]
    if first.shape[-1] != inner:
        raise ValueError(
            "matmul: Input operand 1 has a mismatch in its core dimension 0, with gufunc signature "
            f"(n?,k),(k,m?)->(n?,m?) (size {inner} is different from {first.shape[-1]})"
        )
    shape = (*np.broadcast_shapes(first.shape[:-2], second.shape[:-2]), *rows, *columns)
    if out is not None:
        target = out[0] if isinstance(out, tuple) else out
        require_fit_out(shape, target.shape)
        return target
    return made(shape, _kind(first, second))


def _dot(a: Any, b: Any, out: Any = None) -> Any:
    require_together("dot", (a, b))
    if not a.ndim or not b.ndim:
        return a * b
    if a.ndim <= 2 and b.ndim <= 2:
        return matmul(a, b, out=out)
    if a.shape[-1] != (b.shape[-2] if b.ndim > 1 else b.shape[0]):
        raise ValueError(f"shapes {a.shape} and {b.shape} not aligned")
    return made((*a.shape[:-1], *b.shape[:-2], *b.shape[-1:]), _kind(a, b))


RULES: dict[str, Callable[..., Any]] = {"dot": _dot}
