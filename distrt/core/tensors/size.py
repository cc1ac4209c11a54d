"""``Size``: the tuple that ``tensor.shape`` is, printed and indexed as PyTorch does."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any

from distrt.core.errors import DimensionError


class Size(tuple[int, ...]):
    """The sizes of a tensor's dims; slicing, adding and repeating give a Size again.

    Raises:
        TypeError: for an element that is no integer.
    """

    __slots__ = ()

    def __new__(cls, sizes: Iterable[Any] = ()) -> Size:
        """A Size of integers, or of what stands for one (a 0-d tensor)."""
        return tuple.__new__(cls, [_integer(number, size) for number, size in enumerate(sizes)])

    def numel(self) -> int:
        """The number of elements of a tensor of this size."""
        return math.prod(self)

    def __getitem__(self, index: Any) -> Any:
        picked = tuple.__getitem__(self, index)
        return Size(picked) if isinstance(index, slice) else picked

    def __add__(self, other: Any) -> Size:
        if not isinstance(other, tuple):
            raise TypeError(f"can only concatenate tuple (not {type(other).__name__}) to torch.Size")
        return Size(tuple.__add__(self, other))

    def __radd__(self, other: Any) -> Size:
        return Size(other).__add__(self)

    def __mul__(self, count: Any) -> Size:
        return Size(tuple.__mul__(self, count))

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Size, (tuple(self),)


def _integer(number: int, size: Any) -> int:
    try:
        return operator.index(size)
    except TypeError:
        raise TypeError(
            f"torch.Size() takes an iterable of 'int' (item {number} is '{type(size).__name__}')"
        ) from None


def one_of(method: str, values: Sequence[int], dim: Any) -> int:
    """The value of one dim, for ``size(dim)`` and ``stride(dim)``.

    Raises:
        TypeError: for a dim that is no integer.
        DimensionError: for one that is not there.
    """
    if not hasattr(dim, "__index__") or isinstance(dim, bool):
        raise TypeError(f"{method}(): argument 'dim' (position 1) must be int, not {type(dim).__name__}")
    rank = len(values)
    if not rank:
        raise DimensionError(f"Dimension specified as {dim} but tensor has no dimensions")
    if not -rank <= dim < rank:
        raise DimensionError(
            f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], but got {dim})"
        )
    return values[operator.index(dim)]
