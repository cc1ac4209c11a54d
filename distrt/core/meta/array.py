"""``MetaArray``: the sizes, the steps and the dtype of an array that is not there."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from distrt.core.meta import refusal

__all__ = ["MetaArray", "made", "strides_of", "view_of"]

_as_strided = np.lib.stride_tricks.as_strided


class MetaArray:
    """An array without data, which NumPy's functions take for one.

    Its ghost is a NumPy array of the same sizes and steps over the memory of one element. Nobody reads or writes it:
    it is there so that NumPy says what views look like.

    Attributes:
        base: the array that this one is a view of; None where it is none.
    """

    __slots__ = ("__weakref__", "_ghost", "base")
    __meta_array__ = True
    __array_priority__ = 200
    __hash__ = None  # type: ignore[assignment]

    _ghost: Any
    base: MetaArray | None

    # -- the protocols by which NumPy's functions come here

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **named: Any) -> Any:
        from distrt.core.meta.ufuncs import apply

        return apply(ufunc, method, inputs, named)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from distrt.core.meta.functions import call

        return call(func, args, kwargs)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise refusal.no_copy()

    # -- attributes

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes."""
        return self._ghost.shape  # type: ignore[no-any-return]

    @property
    def strides(self) -> tuple[int, ...]:
        """The steps, in bytes."""
        return self._ghost.strides  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type."""
        return self._ghost.dtype  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """The number of dims."""
        return self._ghost.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self._ghost.shape)

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return self._ghost.itemsize  # type: ignore[no-any-return]

    @property
    def nbytes(self) -> int:
        """Bytes of all elements, which take none."""
        return self.size * self.itemsize

    @property
    def flags(self) -> Any:
        """NumPy's flags of such an array."""
        return self._ghost.flags

    @property
    def address(self) -> int:
        """Where the ghost lies: two arrays differ in it by as much as their elements would."""
        return self._ghost.__array_interface__["data"][0]  # type: ignore[no-any-return]

    @property
    def T(self) -> MetaArray:  # noqa: N802 - NumPy's name
        """The dims in reverse order."""
        return view_of(self, self._ghost.T)

    @property
    def real(self) -> MetaArray:
        """The real parts, as a view."""
        return self if self.dtype.kind != "c" else view_of(self, self._ghost.real)

    @real.setter
    def real(self, value: Any) -> None:
        self.real[...] = value

    @property
    def imag(self) -> MetaArray:
        """The imaginary parts, as a view; of real numbers zeros."""
        return made(self.shape, self.dtype) if self.dtype.kind != "c" else view_of(self, self._ghost.imag)

    @imag.setter
    def imag(self, value: Any) -> None:
        self.imag[...] = value

    # -- what asks for the data

    def item(self, *index: Any) -> Any:
        """Raises NoDataError."""
        raise refusal.no_data("the value of an element")

    def tolist(self) -> Any:
        """Raises NoDataError."""
        raise refusal.no_data("the values of its elements")

    tobytes = __bool__ = __int__ = __float__ = __complex__ = __index__ = item
    nonzero = item

    # -- a container

    def __len__(self) -> int:
        return len(self._ghost)

    def __iter__(self) -> Iterator[Any]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, key: Any) -> MetaArray:
        from distrt.core.meta.keys import selected

        return selected(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        from distrt.core.meta.keys import has_masks, selected

        if has_masks(key):  # how many elements they select, nobody knows
            return
        require_fit(value, selected(self, key).shape)

    def __repr__(self) -> str:
        return f"MetaArray(shape={self.shape}, dtype={self.dtype}, strides={self.strides})"

    def __reduce__(self) -> Any:
        return made, (self.shape, self.dtype, self.strides)

    def __copy__(self) -> MetaArray:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> MetaArray:
        return self.copy()

    # -- methods that are no functions of NumPy's as well

    def astype(
        self, dtype: Any, order: Any = "K", casting: str = "unsafe", subok: bool = True, copy: bool = True
    ) -> MetaArray:
        """The same sizes in another dtype."""
        if not copy and self.dtype == np.dtype(dtype):
            return self
        from distrt.core.meta.twins import laid_as, twin

        small: Any = twin(self)
        return laid_as(small.astype(dtype, order, casting), self.shape)

    def copy(self, order: Any = "C") -> MetaArray:
        """New elements of the same sizes."""
        return self.astype(self.dtype, order)

    def flatten(self, order: Any = "C") -> MetaArray:
        """New elements in one row."""
        return made((self.size,), self.dtype)

    def view(self, dtype: Any = None) -> MetaArray:
        """The same memory, in another dtype."""
        return view_of(self, self._ghost.view() if dtype is None else self._ghost.view(dtype))

    def fill(self, value: Any) -> None:
        """Does nothing."""

    def sort(self, axis: int = -1, **named: Any) -> None:
        """Does nothing."""

    def partition(self, kth: Any, axis: int = -1, **named: Any) -> None:
        """Does nothing."""

    def put(self, indices: Any, values: Any, mode: str = "raise") -> None:
        """Does nothing."""

    def transpose(self, *axes: Any) -> MetaArray:
        """The dims in another order, as a view."""
        return view_of(self, self._ghost.transpose(*axes))

    def reshape(self, *shape: Any, order: str = "C", copy: bool | None = None) -> MetaArray:
        """Other sizes: a view where steps allow it."""
        wanted = shape[0] if len(shape) == 1 else shape
        try:
            return view_of(self, np.reshape(self._ghost, wanted, copy=False))
        except ValueError as fault:
            if "copy" not in str(fault) or copy is False:
                raise
        plain = made(self.shape, self.dtype)
        return made(np.reshape(plain._ghost, wanted, copy=False).shape, self.dtype)


def made(shape: Any, dtype: Any, strides: tuple[int, ...] | None = None) -> MetaArray:
    """A new meta array, in row-major order where no strides are given."""
    kind = np.dtype(dtype)
    sizes = (int(shape),) if isinstance(shape, int | np.integer) else tuple(map(int, shape))
    if min(sizes, default=0) < 0:
        raise ValueError("negative dimensions are not allowed")
    if strides is None:
        strides = strides_of(sizes, kind.itemsize, range(len(sizes)))
    array = object.__new__(MetaArray)
    array._ghost = _as_strided(np.empty(1, kind), sizes, strides)
    array.base = None
    return array


def strides_of(shape: tuple[int, ...], itemsize: int, order: Sequence[int]) -> tuple[int, ...]:
    """The steps in bytes of elements without gaps, with the dims in this order from the outermost to the innermost."""
    if 0 in shape:  # as NumPy has it
        return (0,) * len(shape)
    strides, reach = [0] * len(shape), itemsize
    for dim in reversed(order):
        strides[dim] = reach
        reach *= max(shape[dim], 1)
    return tuple(strides)


def view_of(array: MetaArray, ghost: Any) -> MetaArray:
    """The elements of ``array`` that a view of its ghost shows."""
    view = object.__new__(MetaArray)
    view._ghost = ghost
    view.base = array if array.base is None else array.base
    return view


def require_fit(value: Any, shape: tuple[int, ...]) -> None:
    """Raises NumPy's error for a value that cannot be broadcast to a shape."""
    given = np.shape(value)
    kept = tuple(given[max(len(given) - len(shape), 0) :])  # leading ones may be too many
    if given != kept and any(size != 1 for size in given[: len(given) - len(shape)]):
        kept = tuple(given)
    try:
        fits = np.broadcast_shapes(kept, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"could not broadcast input array from shape {tuple(given)} into shape {shape}")


def _function(name: str) -> Callable[..., Any]:
    function = getattr(np, name)

    def method(self: MetaArray, *args: Any, **kwargs: Any) -> Any:
        from distrt.core.meta.functions import call

        return call(function, (self, *args), kwargs)

    method.__name__ = name
    return method


for _name in (
    "all any argmax argmin argpartition argsort clip cumprod cumsum diagonal dot max mean min prod ravel repeat round "
    "searchsorted squeeze std sum swapaxes take var"
).split():
    setattr(MetaArray, _name, _function(_name))


def _ufunc(ufunc: Any, reflected: bool = False, in_place: bool = False) -> Callable[..., Any]:
    def apply(self: MetaArray, *other: Any) -> Any:
        from distrt.core.meta.ufuncs import apply

        if other and not isinstance(
            other[0], MetaArray | np.ndarray | np.generic | bool | int | float | complex
        ):
            return NotImplemented
        inputs = (*other, self) if reflected else (self, *other)
        return apply(ufunc, "__call__", inputs, {"out": (self,)} if in_place else {})

    return apply


_OPERATORS = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "floordiv": np.floor_divide,
    "mod": np.remainder, "pow": np.power, "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
    "lshift": np.left_shift, "rshift": np.right_shift, "matmul": np.matmul,
}  # fmt: skip
_COMPARISONS = {
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal
}  # fmt: skip
for _name, _found in _OPERATORS.items():
    setattr(MetaArray, f"__{_name}__", _ufunc(_found))
    setattr(MetaArray, f"__r{_name}__", _ufunc(_found, reflected=True))
    setattr(MetaArray, f"__i{_name}__", _ufunc(_found, in_place=True))
for _name, _found in _COMPARISONS.items():
    setattr(MetaArray, f"__{_name}__", _ufunc(_found))
for _name, _found in {
    "__neg__": np.negative, "__pos__": np.positive, "__abs__": np.absolute, "__invert__": np.invert,
    "conj": np.conjugate, "conjugate": np.conjugate,
}.items():  # fmt: skip
    setattr(MetaArray, _name, _ufunc(_found))
