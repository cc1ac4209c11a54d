"""Picking and placing along one dim by an index tensor: gather and scatter.

Each element of the index names one element. What names whole slices (``index_select`` and the like) is in
``slicewise.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, Scalar, beside, is_on_gpu, known
from distrt.core.definitions.out import takes_out
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import AutogradError, DtypeError, ShapeError
from distrt.core.op import IndexArray, Meta, op
from distrt.core.ops.indexing import atomic
from distrt.core.ops.indexing.adding_at import add_at
from distrt.core.ops.indexing.masking import assigned_element
from distrt.core.ops.indexing.ranges import require_range
from distrt.core.ops.pointwise.half import wide
from distrt.core.ops.shapes.dims import one_dim
from distrt.core.process.users_code import warn

__all__ = ["gather", "scatter", "scatter_add", "take_along_dim"]


@op()
def gather(input: Array, dim: int, index: IndexArray, *, sparse_grad: bool = False) -> Array:
    """``out[i][j] = input[index[i][j]][j]`` for ``dim=0``. Shape: that of ``index``.

    Raises:
        ShapeError: for an index of another number of dims, or larger than ``input`` in a dim other than ``dim``.
        RuntimeError: for an index out of range; negative ones are.
    """
    axis = one_dim(dim, input.ndim)
    if not index.size:
        return np.empty(index.shape, input.dtype, like=input)
    whole, places = _rows(input), _rows(index)
    _require_index("gather", whole, axis, places)
    part = whole[tuple(slice(None) if n == axis else slice(size) for n, size in enumerate(places.shape))]
    return np.take_along_axis(part, places, axis).reshape(index.shape)


gather.gradient(
    input=lambda g, input_meta, dim, index: scatter_add(zeros_of(input_meta, g), dim, index, g),
)


def zeros_of(meta: Meta, g: Any) -> Array:
    """Zeros of an input's shape and dtype, where the gradient is: what a derivative that places values starts from."""
    return np.zeros(meta.shape, meta.dtype, like=beside(g))


def _rows(array: Array) -> Array:
    """A 0-d array counts as a row of one."""
    return array.reshape(1) if array.ndim == 0 else array


def _require_index(name: str, whole: Array, axis: int, places: Array) -> None:
    if places.dtype not in _INDEX_DTYPES:
        raise DtypeError(f"{name}(): Expected dtype int32/int64 for index, got {dt.of(places)}")
    if places.ndim != whole.ndim:
        raise ShapeError(
            f"Index tensor must have the same number of dimensions as input tensor: {places.ndim} and {whole.ndim}"
        )
    for dim, (wanted, have) in enumerate(zip(places.shape, whole.shape, strict=True)):
        if dim != axis and wanted > have:
            raise ShapeError(
                f"Size does not match at dimension {dim} expected index {list(places.shape)} to be no larger than self "
                f"{list(whole.shape)} apart from dimension {axis}"
            )
    require_in_range(places, axis, whole.shape[axis])


_INDEX_DTYPES = frozenset((np.dtype(np.int64), np.dtype(np.int32)))


def require_in_range(places: Array, axis: int, size: int) -> None:
    """Raises ShapeError, the RuntimeError that PyTorch gives here, for an index outside 0 to ``size`` - 1."""
    said = "index {0} is out of bounds for dimension %d with size {1}"
    require_range(places, 0, size, said, axis, error=ShapeError)


def take_along_dim(input: Any, indices: Any, dim: int | None = None, *, out: Any = None) -> Any:
    """As ``gather``, after input and indices were broadcast in the other dims; without ``dim``, of all elements.

    Negative indices count from the end.

    Raises:
        DtypeError: for indices that are not int64.
        ShapeError: for another number of dims.
    """
    if str(indices.dtype).rpartition(".")[2] != "int64":
        raise DtypeError(f"torch.take_along_dim(): dtype of indices should be Long but got {indices.dtype}")
    if dim is None:
        return take_along_dim(ops.reshape(input, (-1,)), ops.reshape(indices, (-1,)), 0, out=out)
    if input.ndim != indices.ndim:
        raise ShapeError(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, but got "
            f"{input.ndim} dimensions for input, and {indices.ndim} dimensions for indices"
        )
    axis = one_dim(dim, input.ndim)
    shapes = [[1 if n == axis else size for n, size in enumerate(each.shape)] for each in (input, indices)]
    try:
        common = np.broadcast_shapes(*map(tuple, shapes))
    except ValueError:
        raise ShapeError(
            f"take_along_dim: {list(input.shape)} and {list(indices.shape)} do not broadcast apart from dim {axis}"
        ) from None
    size = input.shape[axis] if input.ndim else 1
    if is_on_gpu(indices._array) or (indices.numel() and known(indices._array.min() < 0)):
        indices = ops.where(ops.lt(indices, 0), ops.add(indices, size), indices)
    sizes = [(*common[:axis], each.shape[axis], *common[axis + 1 :]) for each in (input, indices)]
    return gather(ops.expand(input, sizes[0]), dim, ops.expand(indices, sizes[1]), **_out(out))


def _out(out: Any) -> dict[str, Any]:
    return {} if out is None else {"out": out}


# Scatter


def _flat_places(index: Array, shape: tuple[int, ...], axis: int) -> Array:
    """For each element of the index, where it lies in the row of all elements of ``shape``."""
    places = np.zeros((1,) * len(shape), np.int64, like=index)
    step = 1
    for dim in reversed(range(len(shape))):
        along = index if dim == axis else np.arange(index.shape[dim], like=index)
        if dim != axis:
            along = along.reshape((-1,) + (1,) * (len(shape) - 1 - dim))
        places = places + along * step
        step *= shape[dim]
    return places


def prepared(name: str, input: Array, dim: int, index: Array, src: Any) -> tuple[Array, Any]:
    """Where to write in the row of all elements of ``input``, and what: checked."""
    axis = one_dim(dim, input.ndim)
    is_array = hasattr(src, "ndim") and (src.ndim > 0 or index.ndim == 0)
    if is_array and src.dtype != input.dtype:
        raise DtypeError(
            f"{name}(): Expected self.dtype to be equal to src.dtype: {dt.of(input)} and {dt.of(src)}"
        )
    if not index.size:
        return np.empty(0, np.int64, like=input), np.empty(0, input.dtype, like=input)
    whole, places = _rows(input), _rows(index)
    _require_index(name, whole, axis, places)
    if is_array:
        rows = _rows(src)
        if rows.ndim != places.ndim:
            raise ShapeError("Index tensor must have the same number of dimensions as src tensor")
        if any(wanted > have for wanted, have in zip(places.shape, rows.shape, strict=True)):
            raise ShapeError(
                f"Expected index {list(index.shape)} to be no larger than self {list(input.shape)} apart from dim "
                f"{axis} and to be no larger size than src {list(src.shape)}"
            )
        src = rows[tuple(slice(size) for size in places.shape)].reshape(-1)
    return _flat_places(places, whole.shape, axis).reshape(-1), src


@op(node="Scatter")
def _scatter(input: Array, src: Array | Scalar, dim: int, index: IndexArray) -> Array:
    """``out[index[i][j]][j] = src[i][j]`` for ``dim=0``; the last of several values for one place stays."""
    places, values = prepared("scatter", input, dim, index, src)
    changed = np.array(input, order="C", like=beside(input))
    changed.reshape(-1)[places] = values
    return changed


_scatter.gradient(
    input=lambda g, dim, index: _scatter(g, 0, dim, index),
    src=lambda g, src_meta, dim, index: gathered(g, src_meta, dim, index),
)


def gathered(g: Any, src_meta: Meta, dim: int, index: Any) -> Any:
    """The gradient of ``src``: what its elements went to, and 0 for those beyond the index."""
    if not src_meta.shape and index.ndim != 0:
        return ops.sum(gather(g, dim, index))
    found = gather(g, dim, index)
    if tuple(index.shape) == tuple(src_meta.shape):
        return found
    key = tuple(slice(size) for size in index.shape)
    return ops.index_scatter(found, src_meta.shape, key)


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "dtype") and hasattr(value, "ndim") and not isinstance(value, np.generic)


@takes_out
def scatter(
    input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Any:
    """A copy of ``input`` with ``src`` (a tensor, or one number) written where ``index`` says along ``dim``.

    Args:
        input: what is copied.
        dim: the dim that the index counts in.
        index: for each element of ``src``, its place in ``dim``.
        src: the values; a number may be given as ``value``.
        value: the number to write everywhere.
        reduce: "add" or "multiply" what is there already, instead of replacing it.

    Raises:
        ShapeError: for sizes that do not fit, or an index out of range.
        DtypeError: for a ``src`` of another dtype.
    """
    given = value if src is None else src
    if given is None:
        raise TypeError("scatter(): expected src or value")
    as_tensor = _is_tensor(given) and (given.ndim > 0 or index.ndim == 0)
    if not as_tensor:
        given = assigned_element(given, input)
    if reduce is None:
        return _scatter(input, given, dim, index)
    if as_tensor:
        warn(
            "The reduce argument of torch.scatter with Tensor src is deprecated and will be removed in a future "
            "PyTorch release. Use torch.scatter_reduce instead for more reduction options."
        )
    if reduce not in ("add", "multiply"):
        raise ShapeError("reduce argument must be either add or multiply.")
    return _scatter_into(input, given, dim, index, reduce)


@op(node="Scatter")
def _scatter_into(input: Array, src: Array | Scalar, dim: int, index: IndexArray, reduce: str) -> Array:
    """As ``_scatter``, adding to or multiplying what is there."""
    places, values = prepared("scatter", input, dim, index, src)
    return reduced_at(input, places, values, "sum" if reduce == "add" else "prod")


_scatter_into.gradient(
    input=lambda g, reduce: _no_rule() if reduce == "multiply" else g,
    src=lambda g, src_meta, dim, index, reduce: (
        _no_rule() if reduce == "multiply" else gathered(g, src_meta, dim, index)
    ),
)


def _no_rule() -> Any:
    raise AutogradError(
        "derivative for aten::scatter is not implemented where reduce is 'multiply': use scatter_reduce"
    )


#: What scatters may do with several values for one place, by name.
REDUCTIONS = {"sum": np.add, "mean": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}


def _multiplied_at(target: Array, places: Array, values: Any) -> Array:
    """``np.multiply.at``, which CuPy lacks: one turn for each time that a place is named."""
    row, places = target.reshape(-1), places.reshape(-1)
    values = np.broadcast_to(np.asarray(values, like=target), places.shape).reshape(-1)
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    first = np.searchsorted(ordered, ordered)  # where the run of each place begins
    turn = np.arange(ordered.size, like=ordered) - first
    for number in range(int(turn.max()) + 1 if turn.size else 0):
        now = turn == number
        row[ordered[now]] *= values[order[now]]
    return target


def reduced_at(input: Array, places: Array, values: Any, reduce: str) -> Array:
    """A copy of ``input`` with the values added to (multiplied with, ...) what is at their places, in order."""
    changed = np.array(wide(input), order="C", like=beside(input))
    if reduce == "prod" and is_on_gpu(changed):
        return _multiplied_at(changed, places, values).astype(input.dtype, copy=False)
    if reduce in ("sum", "mean") and not isinstance(changed, np.ndarray):
        add_at(changed.reshape(-1), places, wide(values) if hasattr(values, "ndim") else values)
        return changed.astype(input.dtype, copy=False)
    values = wide(values) if hasattr(values, "ndim") else values
    if is_on_gpu(changed):
        atomic.extreme(changed.reshape(-1), places, values, reduce == "amax")
    else:
        REDUCTIONS[reduce].at(changed.reshape(-1), places, values)
    return changed.astype(input.dtype, copy=False)


@op(node="ScatterAdd")
def _scatter_add(input: Array, src: Array, dim: int, index: IndexArray) -> Array:
    """``out[index[i][j]][j] += src[i][j]`` for ``dim=0``."""
    places, values = prepared("scatter", input, dim, index, src)
    return reduced_at(input, places, values, "sum")


_scatter_add.gradient(
    input=lambda g: g,
    src=lambda g, src_meta, dim, index: gathered(g, src_meta, dim, index),
)


@takes_out
def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """A copy of ``input`` with the elements of ``src`` added where ``index`` says along ``dim``.

    Raises:
        ShapeError: for sizes that do not fit, or an index out of range.
        DtypeError: for a ``src`` of another dtype.
    """
    return _scatter_add(input, src, dim, index)
