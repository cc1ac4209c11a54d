"""Which ranks stand together along the dims of a mesh: arithmetic of sizes and strides, called by ``device_mesh``.

An *axis* is one dim of a mesh: pairs of (size, stride), the outermost first, that say which places of the root mesh's
row of ranks belong together. A dim of the root mesh has one pair; one that was flattened from dims that are not
neighbours has several. Equal axes are equal tuples: pairs are merged where they can be, and those of size 1 left out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "Axis",
    "axes_of",
    "flattened",
    "has_overlap",
    "is_ascending",
    "length",
    "rows",
    "split",
    "strides",
]

Axis: TypeAlias = tuple[tuple[int, int], ...]


def axes_of(shape: Iterable[int]) -> tuple[Axis, ...]:
    """The axes of a root mesh of this shape."""
    axes: list[Axis] = []
    stride = 1
    for size in reversed(tuple(shape)):
        axes.append(_merged([(size, stride)]))
        stride *= size
    return tuple(reversed(axes))


def flattened(axes: Sequence[Axis]) -> Axis:
    """One axis of all the ranks of several."""
    return _merged([pair for axis in axes for pair in axis])


def length(axis: Axis) -> int:
    """How many ranks stand along the axis."""
    return math.prod(size for size, _ in axis)


def strides(axis: Axis) -> int | tuple[int, ...]:
    """The axis's stride; several for a flattened one, and none for one of length 1."""
    return axis[0][1] if len(axis) == 1 else tuple(stride for _, stride in axis)


def is_ascending(axes: Sequence[Axis]) -> bool:
    """Whether the axes come in the root mesh's order."""
    steps = [stride for _, stride in flattened(axes)]
    return steps == sorted(steps, reverse=True)


def has_overlap(axes: Sequence[Axis]) -> bool:
    """Whether some rank could be reached in two ways."""
    pairs = sorted((stride, size) for size, stride in flattened(axes))
    return any(outer % (stride * size) for (stride, size), (outer, _) in itertools.pairwise(pairs))


def rows(axes: Sequence[Axis], ranks: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """All meshes with these axes that the root mesh is cut into.

    Shape: ranks is the root mesh's row -> (number of meshes, *lengths of the axes).
    """
    places: npt.NDArray[Any] = np.zeros((), np.int64)
    for size, stride in (*_others(flattened(axes), len(ranks)), *(pair for axis in axes for pair in axis)):
        places = np.add.outer(places, np.arange(size) * stride)
    found: npt.NDArray[Any] = ranks[places.reshape(-1, *map(length, axes))]
    return found


def split(axis: Axis, sizes: Sequence[int]) -> tuple[Axis, ...]:
    """Axes of these lengths that give the axis again when they are flattened.

    Raises:
        ValueError: where the lengths cut across those that the axis was flattened from.
    """
    left = list(axis)
    found = [_merged(_taken(left, size)) for size in reversed(sizes)]
    return tuple(reversed(found))


def _taken(left: list[tuple[int, int]], wanted: int) -> list[tuple[int, int]]:
    """The innermost ``wanted`` places of the pairs in ``left``, which keeps the others."""
    pairs: list[tuple[int, int]] = []
    while wanted > 1 and left:
        size, stride = left.pop()
        part = min(size, wanted)
        if size % part or wanted % part:
            raise ValueError(
                f"a mesh dim made of {size} ranks times others cannot be split into runs of {wanted}"
            )
        if size > part:
            left.append((size // part, stride * part))
        pairs.insert(0, (part, stride))
        wanted //= part
    return pairs


def _others(axis: Axis, total: int) -> list[tuple[int, int]]:
    """Pairs that reach every place out of ``total`` where a copy of ``axis`` begins."""
    found: list[tuple[int, int]] = []
    reached = 1
    for stride, size in sorted((stride, size) for size, stride in axis):
        found.insert(0, (stride // reached, reached))
        reached = stride * size
    return [(-(-total // reached), reached), *found]


def _merged(pairs: Iterable[tuple[int, int]]) -> Axis:
    merged: list[tuple[int, int]] = []
    for size, stride in pairs:
        if size == 1:
            continue
        if merged and merged[-1][1] == size * stride:
            size *= merged.pop()[0]
        merged.append((size, stride))
    return tuple(merged)
