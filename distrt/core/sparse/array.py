"""What a sparse tensor has in the place of its array: the elements that are given, and where they are.

A sparse array has the sizes and the dtype of an array, and none of its other attributes: whoever computes on one as if
it were dense gets a `LayoutFault`. An operation catches that, where it catches its other faults, and asks
``core/sparse/functions.py`` for its sparse form; so dense tensors pay for sparse ones at no place that they pass. Only
sums and conjugates are made here (`__array_ufunc__`), since the engine makes them of gradients without asking.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from distrt.core.arrays import Array
from distrt.core.errors import ShapeError, UnsupportedError
from distrt.core.sparse.places import Rows
from distrt.core.tensors.formats import layout

if TYPE_CHECKING:
    from distrt.core.sparse.coo import Coo

__all__ = ["LayoutFault", "SparseArray", "is_sparse", "require_no_sparse", "require_on_cpu"]


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

    def emptied(self) -> Any:
        """An array of the same sizes and sparse dims of which no element is given."""
        raise NotImplementedError

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
        return self.of_coo(self.coo().with_more(other.coo()))

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
