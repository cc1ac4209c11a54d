"""Grids, their coordinates, and selections made of vectors: meshgrid, products, combinations, one-hot rows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import is_on_gpu, known
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.kernels import on_gpu
from distrt.core.modes import used
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor, wrap

__all__ = ["cartesian_prod", "combinations", "meshgrid", "one_hot", "unravel_index"]


def _unpacked(tensors: tuple[Any, ...]) -> list[Any]:
    only = len(tensors) == 1 and isinstance(tensors[0], list | tuple)
    return list(tensors[0] if only else tensors)


def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Any, ...]:
    """For vectors of sizes n, m, ...: each vector as a view of shape (n, m, ...) that varies along its own dim.

    ``indexing="xy"`` exchanges the first two dims of the results, as plots want them.

    Raises:
        ShapeError: for a tensor of two dims or more, or for none.
    """
    given = _unpacked(tensors)
    if indexing is None:
        warn("torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument.")
    elif indexing not in ("ij", "xy"):
        raise ShapeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    if not given:
        raise ShapeError("meshgrid expects a non-empty TensorList")
    if any(each.ndim > 1 for each in given):
        raise ShapeError("torch.meshgrid: Expected 0D or 1D tensor in the tensor list")
    if len({str(each.dtype) for each in given}) > 1:
        raise DtypeError("torch.meshgrid expects all tensors to have the same dtype")
    sizes = tuple(each.shape[0] if each.ndim else 1 for each in given)
    grids = []
    for dim, each in enumerate(given):
        along = tuple(size if n == dim else 1 for n, size in enumerate(sizes))
        grids.append(ops.expand(ops.reshape(each, along), sizes))
    if indexing == "xy" and len(grids) > 1:
        grids = [ops.transpose(grid, 0, 1) for grid in grids]
    return tuple(grids)


def cartesian_prod(*tensors: Any) -> Any:
    """Every combination of one element of each vector, a row each; one vector is given back."""
    given = _unpacked(tensors)
    for each in given:
        if each.ndim != 1:
            raise ShapeError(f"Expect a 1D vector, but got shape {list(each.shape)}")
    if len(given) == 1:
        return given[0]
    grids = meshgrid(given, indexing="ij")
    return ops.stack([ops.reshape(grid, (-1,)) for grid in grids], 1)


def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """Every choice of ``r`` elements of a vector, in order, a row each.

    Raises:
        ShapeError: for other than one dim, or a negative ``r``.
    """
    if input.ndim != 1:
        raise ShapeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise ShapeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return wrap(np.empty(0, input._array.dtype, like=input._array))
    choose: Any = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    chosen = np.array(list(choose(range(input.shape[0]), r)), np.int64, like=input._array).reshape(-1, r)
    return ops.index(input, (wrap(chosen),))


def unravel_index(indices: Any, shape: Any) -> tuple[Any, ...]:
    """The coordinates in a grid of ``shape`` of elements given by their number in its row: one tensor for each dim.

    Raises:
        TypeError: for indices that are no integers, or another ``shape`` than an int or a sequence of them.
        ValueError: for a negative size.
    """
    if not isinstance(indices, Tensor) or indices._array.dtype.kind not in "iu":
        kind = indices.dtype if isinstance(indices, Tensor) else type(indices).__name__
        raise TypeError(f"expected 'indices' to be integer dtype, but got {kind}")
    if not isinstance(shape, int | Sequence):
        raise TypeError(f"expected 'shape' to be int or sequence of ints, but got {type(shape)}")
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    for size in sizes:
        if not isinstance(size, int):
            raise TypeError(f"expected 'shape' sequence to only contain ints, but got {type(size)}")
    if any(size < 0 for size in sizes):
        raise ValueError(f"'shape' cannot have negative values, but got {sizes}")
    if 0 in sizes and indices._array.size:
        raise ShapeError(f"unravel_index: a grid of shape {list(sizes)} has no element")
    left = indices._array.astype(np.int64)
    coordinates = np.empty((*left.shape, len(sizes)), np.int64, like=left)
    for dim, size in reversed(list(enumerate(sizes))):
        coordinates[..., dim] = left % max(size, 1)
        left = left // max(size, 1)
    return tuple(wrap(coordinates[..., dim]) for dim in range(len(sizes)))


def one_hot(tensor: Tensor, num_classes: int = -1) -> Any:
    """For each class number, a row of zeros with a 1 at that class. Shape: (*) -> (*, num_classes).

    Raises:
        DtypeError: for numbers that are not int64.
        ShapeError: for a negative class, one beyond ``num_classes``, or nothing to count the classes of.
    """
    classes = tensor._array
    if classes.dtype != np.int64:
        raise DtypeError(
            f"one_hot is only applicable to index tensor of type LongTensor, got {tensor.dtype}."
        )
    if not classes.size:
        if num_classes <= 0:
            raise ShapeError("Can not infer total number of classes from empty tensor.")
        return wrap(np.zeros((*classes.shape, num_classes), np.int64, like=classes))
    if used.gpu and is_on_gpu(classes) and num_classes > 0:
        message = "Class values must be non-negative and smaller than num_classes ({1}), got {0}."
        on_gpu.checks.require_range(classes, 0, num_classes, message, error=ShapeError)
    elif known(classes.min() < 0):
        raise ShapeError("Class values must be non-negative.")
    if num_classes == -1:
        num_classes = int(classes.max()) + 1
    elif num_classes < 1:
        raise ShapeError("num_classes should be positive")
    elif not is_on_gpu(classes) and classes.max() >= num_classes:
        raise ShapeError(
            f"Class values must be smaller than num_classes ({num_classes}), got {classes.max()}."
        )
    return wrap((classes[..., None] == np.arange(num_classes, like=classes)).astype(np.int64))
