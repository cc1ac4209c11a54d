"""Products of matrices and their kin."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core.meta.array import MetaArray, made
from distrt.core.meta.twins import twin
from distrt.core.meta.ufuncs import require_fit_out

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
    if not a.ndim or not b.ndim:
        return a * b
    if a.ndim <= 2 and b.ndim <= 2:
        return matmul(a, b, out=out)
    if a.shape[-1] != (b.shape[-2] if b.ndim > 1 else b.shape[0]):
        raise ValueError(f"shapes {a.shape} and {b.shape} not aligned")
    return made((*a.shape[:-1], *b.shape[:-2], *b.shape[-1:]), _kind(a, b))


def _tensordot(a: Any, b: Any, axes: Any = 2) -> MetaArray:
    if isinstance(axes, int):
        ours, others = list(range(a.ndim - axes, a.ndim)), list(range(axes))
    else:
        ours, others = ([each] if isinstance(each, int) else list(each) for each in axes)
    ours, others = [dim % a.ndim for dim in ours], [dim % b.ndim for dim in others]
    if [a.shape[dim] for dim in ours] != [b.shape[dim] for dim in others]:
        raise ValueError("shape-mismatch for sum")
    shape = [size for dim, size in enumerate(a.shape) if dim not in ours]
    shape += [size for dim, size in enumerate(b.shape) if dim not in others]
    return made(shape, _kind(a, b))


def _einsum(subscripts: Any, *operands: Any, out: Any = None, **named: Any) -> MetaArray:
    """Sizes by running NumPy on arrays of one byte, spread over all elements."""
    if not isinstance(subscripts, str):
        raise NotImplementedError("einsum on the meta device takes its subscripts as text")
    given, arrow, wanted = subscripts.replace(" ", "").partition("->")
    terms = given.split(",")
    sizes: dict[str, int] = {}
    common: tuple[int, ...] = ()
    for term, operand in zip(terms, operands, strict=True):
        before, dots, after = term.partition("...")
        rest = operand.ndim - len(before) - len(after)
        common = np.broadcast_shapes(common, operand.shape[len(before) : len(before) + rest] if dots else ())
        ends = (*operand.shape[: len(before)], *operand.shape[operand.ndim - len(after) :])
        for letter, size in zip(before + after, ends, strict=True):
            sizes[letter] = max(sizes.get(letter, 1), size) if size else 0
    if not arrow:
        letters = given.replace("...", "").replace(",", "")
        wanted = ("..." if "..." in given else "") + "".join(
            sorted(x for x in set(letters) if letters.count(x) == 1)
        )
    before, dots, after = wanted.partition("...")
    shape = (*(sizes[x] for x in before), *(common if dots else ()), *(sizes[x] for x in after))
    kinds = [np.ones(1, each.dtype) for each in operands]
    kind = kinds[0].dtype if len(kinds) == 1 else np.result_type(*kinds)
    return made(shape, kind)


def _outer(a: Any, b: Any, out: Any = None) -> MetaArray:
    return made((a.size, b.size), _kind(a, b))


def _kron(a: Any, b: Any) -> MetaArray:
    count = max(a.ndim, b.ndim)
    one, two = ((1,) * (count - each.ndim) + each.shape for each in (a, b))
    return made(tuple(map(math.prod, zip(one, two, strict=True))), _kind(a, b))


def _cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> MetaArray:
    return made(np.broadcast_shapes(a.shape, b.shape), _kind(a, b))


def _trace(
    a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None
) -> MetaArray:
    diagonal = np.diagonal(a._ghost, offset, axis1, axis2)
    return made(diagonal.shape[:-1], np.trace(twin(a), 0, axis1, axis2, dtype).dtype)


RULES: dict[str, Callable[..., Any]] = {
    "cross": _cross,
    "dot": _dot,
    "einsum": _einsum,
    "inner": lambda a, b: _tensordot(a, b, (-1, -1)),
    "kron": _kron,
    "outer": _outer,
    "tensordot": _tensordot,
    "trace": _trace,
    "vdot": lambda a, b: made((), _kind(a, b)),
}
