"""Functions that make sparse tensors, of parts or of dense tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.creation import as_tensor
from distrt.core.device import require_available
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DtypeError, ShapeError, UnsupportedError
from distrt.core.ops.shapes.dims import varargs
from distrt.core.sparse.array import is_sparse
from distrt.core.sparse.compressed import Compressed
from distrt.core.sparse.coo import Coo
from distrt.core.sparse.invariants import check_compressed, check_coo, invariants
from distrt.core.sparse.operations import at_places
from distrt.core.tensor import Tensor, wrap
from distrt.core.tensors.formats import layout as layout_type
from distrt.core.tensors.formats import sparse_csc, sparse_csr, strided

__all__ = [
    "empty_coo",
    "in_layout",
    "sparse_bsc_tensor",
    "sparse_bsr_tensor",
    "sparse_compressed_tensor",
    "sparse_coo_tensor",
    "sparse_csc_tensor",
    "sparse_csr_tensor",
]

_MOST = (1 << 63) - 1  # elements: coordinates are compared by their number


def sparse_coo_tensor(
    indices: Any,
    values: Any = None,
    size: Any = None,
    *,
    dtype: dt.dtype | None = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
    is_coalesced: bool | None = None,
) -> Tensor:
    """A sparse tensor of the values at these coordinates; the same coordinate may come several times.

    ``sparse_coo_tensor(size)`` is one of zeros. Gradients flow to ``values`` that require them.

    Args:
        indices: (sparse dims, n), whole numbers.
        values: (n, …): the dims after the first are dense dims of the tensor.
        size: of the tensor; the smallest that holds the coordinates when not given.
        dtype: of the values.
        device: where the tensor is.
        pin_memory: accepted for compatibility.
        requires_grad: whether operations on the tensor are recorded.
        check_invariants: look at the coordinates; ``distrt.sparse.check_sparse_tensor_invariants`` says the default.
        is_coalesced: promises that the coordinates are in order, each once.

    Raises:
        ShapeError: for parts that do not fit.
    """
    if values is None:
        made = empty_coo(varargs((indices,)), dtype, device)
        return made.requires_grad_() if requires_grad else made
    places, given = as_tensor(indices), _values(values, dtype, device)
    array = places._array
    if array.size == 0 and array.dtype.kind == "f":
        array = array.astype(np.int64)
    if array.ndim == 1 and not array.size and size is None:
        array = array.reshape(0, 0)
    if array.ndim != 2:
        _refuse_indices(array, given, size)
    if array.dtype != np.int64:
        array = array.astype(np.int64)
    if not given._array.ndim or array.shape[1] != given._array.shape[0]:
        raise ShapeError(
            "indices and values must have same nnz, but got nnz from indices: "
            f"{array.shape[1]}, nnz from values: {given._array.shape[0] if given._array.ndim else 1}"
        )
    shape = _shape(array, given._array) if size is None else varargs((size,))
    _require_sizes(shape, len(array), given._array)
    if invariants.wanted if check_invariants is None else check_invariants:
        check_coo(array, shape, bool(is_coalesced))
    version = places._counter if array is places._array else None
    pattern = Coo(array, given._array, shape, bool(is_coalesced), version)
    return _finished(given, pattern, requires_grad)


def _values(values: Any, dtype: dt.dtype | None, device: Any) -> Tensor:
    given = as_tensor(values, dtype=dtype)
    if given._array.dtype.kind == "f" and dtype is None and not isinstance(values, Tensor | np.ndarray):
        given = given.to(dt.default.floating)
    return given if device is None else given.to(require_available(device))


def _finished(values: Tensor, pattern: Any, requires_grad: bool) -> Tensor:
    made: Tensor = at_places(values, pattern)
    if requires_grad:
        if values.requires_grad:
            made = made.detach()
        if made.dtype.category < 2:
            raise DtypeError("Only Tensors of floating point and complex dtype can require gradients")
        made.requires_grad_()
    return made


def _refuse_indices(array: Array, given: Tensor, size: Any) -> None:
    if size is None or array.ndim != 1:
        raise ShapeError(f"indices must be sparse_dim x nnz, but got: {list(array.shape)}")
    _require_sizes(varargs((size,)), len(array), given._array)
    raise ShapeError(f"indices must be sparse_dim x nnz, but got: {list(array.shape)}")


def _require_sizes(shape: tuple[int, ...], sparse: int, values: Array) -> None:
    if len(shape) != sparse + values.ndim - 1:
        raise ShapeError(
            f"'len(size) == sparse_dim + dense_dim' is not satisfied: len(size) = {len(shape)}, sparse_dim = {sparse}, "
            f"dense_dim = {values.ndim - 1}"
        )
    _require_countable(shape)
    if values.shape[1:] != tuple(shape[sparse:]):
        raise ShapeError(
            f"values has incorrect size, expected {[len(values), *shape[sparse:]]}, got {list(values.shape)}"
        )


def _require_countable(shape: tuple[int, ...]) -> None:
    """Raises ShapeError where elements, zeros and all, cannot be numbered."""
    if min(shape, default=0) < 0:
        raise ShapeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    if math.prod(shape) > _MOST:
        raise ShapeError(
            f"numel: integer multiplication overflow: {list(shape)} has more than {_MOST} elements"
        )


def _shape(indices: Array, values: Array) -> tuple[int, ...]:
    """The smallest sizes that hold the coordinates."""
    if indices.shape[1] == 0:
        return (*[0] * len(indices), *values.shape[1:])
    if indices.size and indices.min() < 0:
        raise ShapeError(f"found negative index {int(indices.min())} among the coordinates")
    return (*(indices.max(1) + 1).tolist(), *values.shape[1:])


def empty_coo(
    size: tuple[int, ...], dtype: dt.dtype | None = None, device: Any = None, sparse_dim: int | None = None
) -> Tensor:
    """A sparse tensor of zeros, of which none is given."""
    if device is not None:
        require_available(device)
    count = len(size) if sparse_dim is None else sparse_dim
    _require_countable(size)
    values = np.empty((0, *size[count:]), (dtype or dt.default.floating).numpy)
    return wrap(Coo(np.empty((count, 0), np.int64), values, tuple(size), True))


def in_layout(
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    layout: layout_type | None,
    like: Tensor | None,
    device: Any,
    requires_grad: bool,
) -> Tensor:
    """``zeros(2, 3, layout=torch.sparse_coo)``: what a function that makes tensors makes in a sparse layout.

    Args:
        name: of the function, which got ``args`` and ``kwargs``.
        args: as users gave them.
        kwargs: likewise.
        layout: that of ``like`` where it is None.
        like: the tensor that ``zeros_like`` and its kin are given; None for other functions.
        device: where the tensor is.
        requires_grad: whether operations on the tensor are recorded.

    Raises:
        UnsupportedError: for a function whose tensors are not all zeros, and for matrices of blocks.
    """
    if name not in ("zeros", "empty", "zeros_like", "empty_like"):
        raise UnsupportedError(
            f"{name}: not for sparse layouts, nor like a sparse tensor; use to_sparse() on a dense one"
        )
    if like is None:
        size = kwargs.get("size")
        made = empty_coo(varargs(args if size is None else (size,)), kwargs.get("dtype"), device)
    else:
        made = _like(like, layout, kwargs.get("dtype"), device)
    if layout is not None and layout is not made.layout:
        made = made.to_dense() if layout is strided else made.to_sparse(layout=layout)
    return made.requires_grad_() if requires_grad else made


def _like(input: Tensor, layout: layout_type | None, dtype: dt.dtype | None, device: Any) -> Tensor:
    """A sparse tensor of zeros, of the sizes and sparse dims of another one, in its layout where that is asked for."""
    array, kind = input._array, dtype or input.dtype
    if is_sparse(array) and layout in (None, array.layout):
        return wrap(array.emptied().astype(kind.numpy))
    return empty_coo(tuple(input.shape), kind, device)


def sparse_csr_tensor(
    crow_indices: Any,
    col_indices: Any,
    values: Any,
    size: Any = None,
    *,
    dtype: dt.dtype | None = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> Tensor:
    """A sparse matrix, row by row.

    Args:
        crow_indices: (rows + 1): where each row begins among the elements, and where the last one ends.
        col_indices: (n): the column of each element.
        values: (n): the elements.
        size: of the matrix; the smallest that holds them when not given.
        dtype: of the values.
        device: where the tensor is.
        pin_memory: accepted for compatibility.
        requires_grad: whether operations on the tensor are recorded.
        check_invariants: look at the indices.

    Raises:
        ShapeError: for parts that do not fit.
    """
    return _compressed(
        False, crow_indices, col_indices, values, size, dtype, device, requires_grad, check_invariants
    )


def sparse_csc_tensor(
    ccol_indices: Any,
    row_indices: Any,
    values: Any,
    size: Any = None,
    *,
    dtype: dt.dtype | None = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> Tensor:
    """A sparse matrix, column by column: as `sparse_csr_tensor`, of its transpose."""
    return _compressed(
        True, ccol_indices, row_indices, values, size, dtype, device, requires_grad, check_invariants
    )


def sparse_compressed_tensor(
    compressed_indices: Any,
    plain_indices: Any,
    values: Any,
    size: Any = None,
    *,
    layout: layout_type | None = None,
    **options: Any,
) -> Tensor:
    """`sparse_csr_tensor` or `sparse_csc_tensor`, by ``layout``.

    Raises:
        UnsupportedError: for matrices of blocks.
    """
    if layout is sparse_csr:
        return sparse_csr_tensor(compressed_indices, plain_indices, values, size, **options)
    if layout is sparse_csc:
        return sparse_csc_tensor(compressed_indices, plain_indices, values, size, **options)
    raise UnsupportedError(
        f"sparse_compressed_tensor: layout is torch.sparse_csr or torch.sparse_csc; got {layout}"
    )


def sparse_bsr_tensor(*args: Any, **kwargs: Any) -> Tensor:
    """Not in distrt: matrices of blocks, by rows."""
    raise UnsupportedError("sparse_bsr_tensor: distrt has no matrices of blocks; use sparse_csr_tensor")


def sparse_bsc_tensor(*args: Any, **kwargs: Any) -> Tensor:
    """Not in distrt: matrices of blocks, by columns."""
    raise UnsupportedError("sparse_bsc_tensor: distrt has no matrices of blocks; use sparse_csc_tensor")


def _index(given: Any) -> Tensor:
    """Indices as a tensor; an empty list is one of integers."""
    made = as_tensor(given)
    return made.long() if not made._array.size else made


def _compressed(
    is_by_column: bool,
    starts: Any,
    others: Any,
    values: Any,
    size: Any,
    dtype: dt.dtype | None,
    device: Any,
    requires_grad: bool,
    check: bool | None,
) -> Tensor:
    begins, places, given = _index(starts), _index(others), _values(values, dtype, device)
    arrays = begins._array, places._array, given._array
    for name, array in zip(("compressed", "plain"), arrays[:2], strict=True):
        if array.dtype not in (np.int64, np.int32):
            raise DtypeError(f"{name} indices must be int32 or int64, got {array.dtype}")
        if array.ndim != 1:
            raise UnsupportedError(
                f"{name} indices must have one dim: distrt has no batches of sparse matrices"
            )
    if given._array.ndim != 1:
        raise UnsupportedError("values must have one dim: distrt has no compressed matrices with dense dims")
    if size is None:
        count, width = len(arrays[0]) - 1, int(arrays[1].max(initial=-1)) + 1
        shape: tuple[int, ...] = (width, count) if is_by_column else (count, width)
    else:
        shape = varargs((size,))
    if len(shape) != 2:
        raise ShapeError(f"a compressed matrix has two dims, got size {list(shape)}")
    _require_countable(shape)
    check_compressed(*arrays, shape, is_by_column, bool(invariants.wanted if check is None else check))
    counters = begins._counter, places._counter
    return _finished(given, Compressed(*arrays, shape, is_by_column, counters), requires_grad)
