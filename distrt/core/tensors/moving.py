"""Methods that move elements: sizes as separate arguments, and the in-place forms that reshape a tensor.

Bound to ``Tensor`` by ``core/tensors/methods.py``; the functions are in ``core/ops``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import row_of
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import AutogradError, ShapeError
from distrt.core.gpu.places import at
from distrt.core.modes import modes, used
from distrt.core.ops.shapes.dims import varargs
from distrt.core.process.determinism import fill_uninitialized
from distrt.core.process.users_code import warn
from distrt.core.storage.storage import TypedStorage
from distrt.core.tensor import Tensor, wrap
from distrt.core.tensors.history import require_no_leaf
from distrt.core.tensors.versions import note_change


def _sized(name: str, keyword: str) -> Callable[..., Tensor]:
    """The method that takes sizes as one tuple or as separate arguments, or by its keyword."""
    function = getattr(ops, name)

    def method(self: Tensor, *sizes: Any, **named: Any) -> Tensor:
        if named:
            if sizes or list(named) != [keyword]:
                raise TypeError(f"{name}() got unexpected arguments: {', '.join(named)}")
            sizes = (named[keyword],)
        elif not sizes and name != "repeat":
            raise TypeError(f"{name}() missing 1 required positional argument: '{keyword}'")
        return function(self, varargs(sizes))  # type: ignore[no-any-return]

    method.__name__ = method.__qualname__ = name
    method.__doc__ = function.__doc__
    return method


def _over_dims(name: str) -> Callable[..., Tensor]:
    """The method that takes dims as one argument, or one by one."""
    function = getattr(ops, name)

    def method(self: Tensor, dim: Any = None, *more: Any, **named: Any) -> Tensor:
        if more:
            dim = (dim, *more)
        return function(self, dim, **named) if named else function(self, dim)  # type: ignore[no-any-return]

    method.__name__ = method.__qualname__ = name
    method.__doc__ = function.__doc__
    return method


def view(self: Tensor, *shape: Any, **named: Any) -> Tensor:
    """The same memory under another shape, or read as another dtype: ``view(2, -1)``, ``view(torch.int32)``.

    Raises:
        ShapeError: where that would need a copy.
    """
    if named:
        shape = (*shape, named.pop("size", None) or named.pop("dtype"))
    if len(shape) == 1 and isinstance(shape[0], dt.dtype):
        return ops.view_dtype(self, shape[0].numpy)  # type: ignore[no-any-return]
    if not shape:
        raise TypeError("view() missing 1 required positional argument: 'size'")
    return ops.view(self, varargs(shape))  # type: ignore[no-any-return]


def expand(self: Tensor, *sizes: Any, implicit: bool = False, size: Any = None) -> Tensor:
    """Dims of size 1 repeated without a copy; -1 keeps a size."""
    return ops.expand(self, varargs(sizes if size is None else (size,)))  # type: ignore[no-any-return]


def unflatten(self: Tensor, dim: int, *sizes: Any, **named: Any) -> Tensor:
    """One dim as several; one of the sizes may be -1."""
    return ops.unflatten(self, dim, varargs(sizes or (named["sizes"],)))  # type: ignore[no-any-return]


def repeat_interleave(
    self: Tensor, repeats: Any, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each slice along ``dim`` as often as ``repeats`` says, side by side."""
    return ops.repeat_interleave(self, repeats, dim, output_size=output_size)  # type: ignore[no-any-return]


# In place: the tensor itself becomes another view of its memory


def _reshaping(name: str) -> Callable[..., Tensor]:
    function = _over_dims(name) if name == "squeeze" else getattr(ops, name)

    def change(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        require_no_leaf(self)
        result = function(self, *args, **kwargs)
        self._array, self._edge = result._array, result._edge
        note_change(self._counter)
        return self

    change.__name__ = change.__qualname__ = name + "_"
    change.__doc__ = f"In-place form of ``{name}``: this tensor gets the new sizes; returns it."
    return change


def resize_(self: Tensor, *sizes: Any, memory_format: Any = None) -> Tensor:
    """Gives the tensor other sizes, in row-major order from its first element; new elements are not initialised.

    Raises:
        AutogradError: for a tensor that requires grad.
    """
    return _resize(self, varargs(sizes))


def resize(self: Tensor, *sizes: Any) -> Tensor:
    """``reshape`` under an older name.

    Raises:
        ShapeError: where the number of elements would change.
    """
    warn("non-inplace resize is deprecated")
    return ops.reshape(self, varargs(sizes))  # type: ignore[no-any-return]


def resize_as_(self: Tensor, the_template: Tensor, *, memory_format: Any = None) -> Tensor:
    """Gives the tensor the sizes of another one."""
    return _resize(self, tuple(the_template._array.shape))


def _resize(self: Tensor, sizes: tuple[int, ...]) -> Tensor:
    if self._edge is not None and modes.grad:
        raise AutogradError("cannot resize variables that require grad")
    if min(sizes, default=0) < 0:
        raise ShapeError(f"Trying to create tensor with negative dimension {min(sizes)}: {list(sizes)}")
    array, count = self._array, math.prod(sizes)
    row, start = row_of(array), self.storage_offset()
    if array.shape == sizes:
        return self
    if start + count > row.size or not array.size:
        with at(array) if used.gpu else nullcontext():
            larger = fill_uninitialized(np.zeros(count, array.dtype, like=array))
            kept = row[start : start + count] if array.size else row[:0]
            larger[: kept.size] = kept
        self._array = larger.reshape(sizes)
    else:
        self._array = row[start : start + count].reshape(sizes)
    return self


def set_(
    self: Tensor, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None
) -> Tensor:
    """Makes the tensor a window on the memory of another one; without a source, an empty tensor.

    Raises:
        DtypeError: for a source of another dtype.
    """
    require_no_leaf(self)
    if source is None:
        self._array = np.empty(0, self._array.dtype, like=self._array)
        return self
    if isinstance(source, TypedStorage):
        source = wrap(source._row)
    if not isinstance(source, Tensor):
        raise TypeError(
            f"set_(): argument 'source' must be a Tensor or a storage, not {type(source).__name__}"
        )
    if source._array.dtype != self._array.dtype:
        raise ShapeError(f"Could not set tensor of type {source.dtype} to a tensor of type {self.dtype}")
    if size is None:
        self._array = source._array
    else:
        sizes = varargs((size,))
        steps = stride if stride is not None else _row_major(sizes)
        self._array = ops.as_strided(source, sizes, tuple(steps), storage_offset)._array
    self._counter = source._counter
    return self


def _row_major(sizes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(sizes[dim + 1 :]) for dim in range(len(sizes)))


METHODS: dict[str, Any] = {
    "count_nonzero": _over_dims("count_nonzero"),
    "squeeze": _over_dims("squeeze"),
    "broadcast_to": _sized("broadcast_to", "size"),
    "expand": expand,
    "flip": _sized("flip", "dims"),
    "permute": _sized("permute", "dims"),
    "repeat": _sized("repeat", "repeats"),
    "repeat_interleave": repeat_interleave,
    "reshape": _sized("reshape", "shape"),
    "resize": resize,
    "resize_": resize_,
    "resize_as_": resize_as_,
    "set_": set_,
    "tile": _sized("tile", "dims"),
    "unflatten": unflatten,
    "view": view,
    **{
        f"{name}_": _reshaping(name)
        for name in ("as_strided", "squeeze", "swapaxes", "swapdims", "t", "transpose", "unsqueeze")
    },
}
