"""What views show, in memory of its own: ``transpose_copy``, ``unbind_copy`` and their like."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from distrt.core import ops
from distrt.core.definitions.out import takes_out
from distrt.core.ops.indexing.subscripts import narrow, select
from distrt.core.ops.pointwise.complex_numbers import view_as_complex, view_as_real
from distrt.core.ops.shapes.broadcasting import expand
from distrt.core.ops.shapes.dims import one_dim, varargs
from distrt.core.ops.shapes.shape import permute, squeeze, t, transpose, unsqueeze, view
from distrt.core.ops.shapes.splitting import split, split_with_sizes, unbind
from distrt.core.ops.shapes.strided import as_strided, unfold
from distrt.core.ops.shapes.triangles import diagonal

__all__ = [
    "alias_copy",
    "as_strided_copy",
    "diagonal_copy",
    "expand_copy",
    "narrow_copy",
    "permute_copy",
    "select_copy",
    "slice_copy",
    "split_copy",
    "split_with_sizes_copy",
    "squeeze_copy",
    "t_copy",
    "transpose_copy",
    "unbind_copy",
    "unfold_copy",
    "unsqueeze_copy",
    "view_as_complex_copy",
    "view_as_real_copy",
    "view_copy",
]


def _owned(viewed: Any) -> Any:
    return ops.contiguous(ops.clone(viewed))


def _copy_of(view_of: Callable[..., Any]) -> Callable[..., Any]:
    """The function of the same arguments whose result, or each of whose results, has memory of its own."""

    @functools.wraps(view_of, updated=())  # an operation's definition is its own
    def copied(*args: Any, **kwargs: Any) -> Any:
        viewed = view_of(*args, **kwargs)
        return tuple(map(_owned, viewed)) if isinstance(viewed, tuple) else _owned(viewed)

    copied.__name__ = copied.__qualname__ = f"{view_of.__name__}_copy"
    copied.__doc__ = f"As ``{view_of.__name__}``, in memory of its own."
    return takes_out(copied)


as_strided_copy = _copy_of(as_strided)
diagonal_copy = _copy_of(diagonal)
narrow_copy = _copy_of(narrow)
select_copy = _copy_of(select)
split_copy = _copy_of(split)
split_with_sizes_copy = _copy_of(split_with_sizes)
squeeze_copy = _copy_of(squeeze)
t_copy = _copy_of(t)
transpose_copy = _copy_of(transpose)
unbind_copy = _copy_of(unbind)
unfold_copy = _copy_of(unfold)
unsqueeze_copy = _copy_of(unsqueeze)
view_as_complex_copy = _copy_of(view_as_complex)
view_as_real_copy = _copy_of(view_as_real)


@takes_out
def alias_copy(input: Any) -> Any:
    """The elements as they are, in memory of their own."""
    return _owned(input)


@takes_out
def expand_copy(input: Any, size: Any, *, implicit: bool = False) -> Any:
    """As ``expand``, in memory of its own."""
    return _owned(expand(input, tuple(size)))


@takes_out
def permute_copy(input: Any, dims: Any) -> Any:
    """As ``permute``, in memory of its own."""
    return _owned(permute(input, tuple(dims)))


@takes_out
def slice_copy(
    input: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Any:
    """The elements ``start:end:step`` of ``dim``, in memory of their own."""
    axis = one_dim(dim, input.ndim)
    return _owned(ops.index(input, (slice(None),) * axis + (slice(start, end, step),)))


@takes_out
def view_copy(input: Any, size: Any) -> Any:
    """As ``view`` (to other sizes, or to another dtype), in memory of its own."""
    return _owned(view(input, varargs((size,)) if isinstance(size, int) else size))
