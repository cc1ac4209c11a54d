"""What a sparse tensor has in the place of its array: the elements that are given, and where they are.

A sparse array has the sizes and the dtype of an array, and none of its other attributes: whoever computes on one as if
it were dense gets a `LayoutFault`. An operation catches that, where it catches its other faults, and asks
``core/sparse/functions.py`` for its sparse form; so dense tensors pay for sparse ones at no place that they pass. Only
sums and conjugates are made here (`__array_ufunc__`), since the engine makes them of gradients without asking.
"""

from __future__ import annotations

import math
from typing import Any, NoReturn

import numpy as np

from distrt.core.arrays import Array
from distrt.core.errors import ShapeError, UnsupportedError
from distrt.core.modes import used
from distrt.core.sparse.places import (
    Rows,
    added_to,
    coalesced,
    first_of_each,
    found,
    merged,
    numbered,
    ordered_rows,
    picked,
    scattered,
)
from distrt.core.tensors.formats import layout, sparse_coo

__all__ = [
    "Coo",
    "LayoutFault",
    "SparseArray",
    "empty_out",
    "is_sparse",
    "require_no_sparse",
    "require_on_cpu",
]


class LayoutFault(UnsupportedError, AttributeError):  # noqa: N818 - raised and caught within
    """A sparse tensor where only dense ones can be: ``AttributeError``, so that ``hasattr`` says no."""


def is_sparse(array: Any) -> bool:
    """Whether an array is a sparse one."""
    return isinstance(array, SparseArray)


def require_on_cpu(*parts: Any) -> None:
    """Raises UnsupportedError for parts of a sparse tensor that are elsewhere than in the memory of the CPU."""
    if not all(isinstance(each, np.ndarray) for each in parts):
        raise UnsupportedError(
            "sparse tensors are in the memory of the CPU only, and so are sparse gradients: use sparse=False, or dense "
            "tensors, on other devices"
        )


def require_no_sparse(array: Any, target: Any) -> None:
    """Raises UnsupportedError for a sparse array, which cannot be moved."""
    if is_sparse(array):
        raise UnsupportedError(
            f"to({str(target)!r}): a tensor of the layout {array.layout} stays in the memory of the CPU"
        )


class _Flags:
    """What is asked of an array before it is changed: a sparse one is given new parts, never written into."""

    writeable = True
    carray = False
    c_contiguous = False
    f_contiguous = False


#: What a copy or a pickle has of its own.
_OF_THE_PROCESS = ("version", "counters", "_rows")


class SparseArray:
    """What all sparse layouts have in common.

    Attributes:
        layout: which one it is.
        shape: the sizes of the tensor.
        values: the elements that are given, in one row; (n, …) where each is an array itself.
        version: the counter of changes of the indices.
        index_dtype: of the indices; int32 for compressed ones alone.
    """

    layout: layout
    shape: tuple[int, ...]
    values: Array
    flags = _Flags()
    index_dtype: Any = np.dtype(np.int64)
    version: list[Any]
    _rows: dict[str, tuple[Any, Rows]]

    @property
    def dtype(self) -> Any:
        """Of the elements."""
        return self.values.dtype

    @property
    def ndim(self) -> int:
        """The number of dims."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements, zeros and all."""
        return math.prod(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return int(self.values.itemsize)

    @property
    def strides(self) -> tuple[int, ...]:
        """Zeros, as in PyTorch: no step leads from one element to the next."""
        return (0,) * len(self.shape)

    @property
    def base(self) -> Any:
        """Itself: the memory of its parts may be others', so a gradient is copied before somebody has it."""
        return self

    @property
    def nnz(self) -> int:
        """How many elements are given."""
        return len(self.values)

    def _known(self, name: str, find: Any) -> Rows:
        """What was found before for these indices: a graph's matrix is multiplied again and again."""
        stamp, rows = self._rows.get(name, (None, None))
        if rows is None or stamp != self._stamp():
            rows = find()
            self._rows[name] = self._stamp(), rows
        return rows

    def _stamp(self) -> Any:
        """Is another one after each change of the indices."""
        return self.version[0]

    def __len__(self) -> int:
        return self.shape[0]

    def parts(self) -> tuple[Array, ...]:
        """The dense arrays that it consists of, the values last."""
        raise NotImplementedError

    def with_parts(self, *parts: Array) -> Any:
        """An array of the same sizes and other parts."""
        raise NotImplementedError

    def with_values(self, values: Array) -> Any:
        """Other elements at the same places."""
        return self.with_parts(*self.parts()[:-1], values)

    def coalesced(self) -> Any:
        """Each place once, in order: itself, but in coordinates."""
        return self

    def dense(self) -> Array:
        """All elements."""
        raise NotImplementedError

    def coo(self) -> Coo:
        """The same elements with their coordinates."""
        raise NotImplementedError

    def of_coo(self, given: Coo) -> Any:
        """These elements in the layout of this array."""
        raise NotImplementedError

    def read(self, given: Any) -> Array:
        """What a dense or sparse array of the same sizes has at these places."""
        raise NotImplementedError

    def each_once(self) -> tuple[Any, Any]:
        """Which elements to take, so that each place is given once (None: all), and an array of these places."""
        return None, self

    def rows(self) -> Rows:
        """The elements of a matrix row by row."""
        raise NotImplementedError

    def columns(self) -> Rows:
        """The elements of the transposed matrix row by row."""
        raise NotImplementedError

    def astype(self, dtype: Any, order: str = "K", copy: bool = True) -> Any:
        """The elements in another dtype."""
        return self.with_values(self.values.astype(dtype, copy=copy))

    def copy(self, order: str = "C") -> Any:
        """One with memory of its own."""
        return self.with_parts(*[each.copy() for each in self.parts()])

    # -- what the engine does with gradients

    def __array_ufunc__(
        self, function: Any, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        if function is np.conjugate and method == "__call__" and not options and out is None:
            return self.with_values(np.conjugate(self.values))
        if function is np.add and method == "__call__" and not options and len(inputs) == 2:
            first, second = inputs
            if is_sparse(second) and (is_sparse(first) or type(first) is np.ndarray):
                if out is None:
                    return first.plus(second) if is_sparse(first) else second.plus(first)
                if first is out[0]:
                    second.add_into(first)
                    return first
        raise LayoutFault(f"{function.__name__}: not for the layout {self.layout}")

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function is np.may_share_memory:
            return False
        raise LayoutFault(f"{function.__name__}: not for the layout {self.layout}")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise LayoutFault(f"a tensor of the layout {self.layout} is no array: take its to_dense()")

    def plus(self, other: Any) -> Any:
        """The sum with a dense or sparse array of the same sizes."""
        if not is_sparse(other):
            total = other.copy()
            self.add_into(total)
            return total
        if other.shape != self.shape:
            raise ShapeError(
                f"add: expected sizes of 'self' and 'other' to match, but {list(self.shape)} != {list(other.shape)}"
            )
        return self.of_coo(self.coo().plus(other.coo()))

    def add_into(self, total: Array) -> None:
        """Adds the elements to those of a dense array of the same sizes."""
        self.require_shape(total)
        total += self.dense()

    def require_shape(self, dense: Array) -> None:
        """Raises ShapeError for a dense array of other sizes: sums with sparse ones do not broadcast."""
        if dense.shape != self.shape:
            raise ShapeError(
                f"add: expected 'self' and 'other' to have same size, but self has size {list(dense.shape)} "
                f"while other has size {list(self.shape)} (FYI: dense-sparse addition does not currently support "
                "broadcasting)"
            )

    def __add__(self, other: Any) -> Any:
        return self.plus(other)

    __radd__ = __add__

    def __iadd__(self, other: Any) -> Any:
        total = self.plus(other)
        if not is_sparse(total):
            return total
        self[...] = total
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        if key is not Ellipsis or type(value) is not type(self) or value.shape != self.shape:
            raise LayoutFault(f"elements of a tensor of the layout {self.layout} cannot be assigned to")
        self.__dict__.update(value.__dict__)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in _OF_THE_PROCESS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, version=[0], _rows={})

    def _refuse(self, *args: Any, **options: Any) -> NoReturn:
        raise LayoutFault(f"a tensor of the layout {self.layout} is not computed with as a dense one is")

    __getitem__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __pow__ = __rpow__ = _refuse
    __matmul__ = __rmatmul__ = __floordiv__ = __mod__ = __and__ = __or__ = __xor__ = __invert__ = _refuse
    __neg__ = __abs__ = __bool__ = __float__ = __int__ = __iter__ = _refuse
    __hash__ = object.__hash__

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise LayoutFault(f"a tensor of the layout {self.layout} has no {name!r}: take its to_dense()")


class Coo(SparseArray):
    """The coordinates of each element that is given; the same may be given several times, and counts as the sum.

    Args:
        indices: int64, (sparse dims, n).
        values: (n, …): each is an array over the dense dims, which come last.
        shape: sizes of the sparse dims and of the dense ones.
        is_coalesced: whether the coordinates are in order, each once, as fewer than two always are.
        version: the counter of changes of the tensor that the indices are; its own when not given.
    """

    layout = sparse_coo

    def __init__(
        self,
        indices: Array,
        values: Array,
        shape: tuple[int, ...],
        is_coalesced: bool = False,
        version: list[Any] | None = None,
    ) -> None:
        require_on_cpu(indices, values)
        used.sparse = True
        self.indices, self.values, self.shape = indices, values, tuple(shape)
        self.is_coalesced = is_coalesced or len(values) < 2
        self.version = [0] if version is None else version
        self._rows = {}

    @property
    def sparse_dim(self) -> int:
        """How many dims have coordinates."""
        return len(self.indices)

    def parts(self) -> tuple[Array, ...]:
        """Indices and values."""
        return self.indices, self.values

    def with_parts(self, *parts: Array) -> Coo:
        """An array of the same sizes and other parts."""
        indices, values = parts
        if indices is not self.indices:
            return Coo(indices, values, self.shape, self.is_coalesced)
        made = Coo(indices, values, self.shape, self.is_coalesced, self.version)
        made._rows = self._rows
        return made

    def coalesced(self) -> Coo:
        """Each coordinate once, in order: itself where that is so."""
        if self.is_coalesced:
            return self
        return Coo(*coalesced(self.indices, self.values, self.shape), self.shape, True)

    def common(self, other: Coo) -> Coo:
        """The places that two coalesced arrays both give."""
        if other.indices is self.indices:
            return self
        both, mine = numbered(self.indices, self.shape), numbered(other.indices, self.shape)
        which = np.flatnonzero(np.isin(both, mine))
        return Coo(self.indices[:, which], self.values[which], self.shape, True)

    def each_once(self) -> tuple[Any, Coo]:
        """Which elements to take, so that each coordinate is given once, in order; and an array of these places."""
        if self.is_coalesced:
            return None, self
        indices, which = first_of_each(self.indices, self.shape)
        return which, Coo(indices, self.values[which], self.shape, True)

    def rows(self) -> Rows:
        """The elements of a matrix row by row."""
        return self._known(
            "rows", lambda: ordered_rows(self.indices[0], self.indices[1], self.shape, self.is_coalesced)
        )

    def columns(self) -> Rows:
        """The elements of the transposed matrix row by row."""
        return self._known(
            "columns", lambda: ordered_rows(self.indices[1], self.indices[0], self.shape[::-1], False)
        )

    def read(self, given: Any) -> Array:
        """What a dense or sparse array of the same sizes has at these places."""
        if not is_sparse(given):
            return picked(given, self.indices)
        other = given.coo().coalesced()
        if other.indices is self.indices:
            return other.values
        return found(self.indices, other.parts(), self.shape)

    def coo(self) -> Coo:
        """Itself."""
        return self

    def of_coo(self, given: Coo) -> Coo:
        """What is given."""
        return given

    def dense(self) -> Array:
        """All elements."""
        return scattered(self.indices, self.values, self.shape)

    def plus(self, other: Any) -> Any:
        """The sum, which is coalesced where both are."""
        if not is_sparse(other):
            return super().plus(other)
        if other.shape != self.shape:
            raise ShapeError(
                f"add: expected sizes of 'self' and 'other' to match, but {list(self.shape)} != {list(other.shape)}"
            )
        other = other.coo()
        if other.sparse_dim != self.sparse_dim:
            raise LayoutFault("add: sparse tensors with other sparse dims")
        known = self.is_coalesced and other.is_coalesced
        return Coo(*merged(self.parts(), other.parts(), self.shape, known), self.shape, known)

    def add_into(self, total: Array) -> None:
        """Adds the elements to those of a dense array of the same sizes."""
        self.require_shape(total)
        added_to(total, self.indices, self.values)


def empty_out(tensor: Any) -> None:
    """Makes all elements of a sparse tensor 0, in place."""
    array = tensor._array
    if isinstance(array, Coo):
        array[...] = Coo(array.indices[:, :0], array.values[:0], array.shape, True)
    else:
        array[...] = array.with_values(np.zeros_like(array.values))
    tensor._counter[0] += 1
