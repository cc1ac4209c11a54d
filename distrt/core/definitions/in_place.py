"""In-place forms: computed out of place, written into the memory, and the tensor moved to its new place in the graph.

``NAME_`` of an operation is one entry of ``IN_PLACE`` in ``core/tensors/names.py``; what has no out-of-place twin is
written out here. Bound to ``Tensor`` by ``core/tensors/methods.py``; what a change does to the graph is in
``core/tensors/history.py``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core import gpu, ops
from distrt.core.arrays import Array, Scalar, is_dense, is_on_gpu
from distrt.core.autocast import as_it_comes
from distrt.core.definitions.older_forms import in_newer_order
from distrt.core.dtypes.promotion import are_mixed
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.gpu.places import at
from distrt.core.modes import modes, used
from distrt.core.op import op
from distrt.core.ops.pointwise.comparison import zero_unless
from distrt.core.overriding import doors
from distrt.core.sparse.array import LayoutFault
from distrt.core.sparse.forms import sparse_form_for
from distrt.core.tensor import Tensor, wrap, wrap_unseen
from distrt.core.tensors.assignment import set_item
from distrt.core.tensors.history import adopt, overwrite_by, require_no_leaf, require_writeable, write
from distrt.core.tensors.names import IN_PLACE, listed
from distrt.core.tensors.random_fill import METHODS as RANDOM
from distrt.core.tensors.versions import note_change

#: Augmented assignments, by the in-place form that does the work.
AUGMENTED = {
    "__iadd__": "add_",
    "__iand__": "bitwise_and_",
    "__ifloordiv__": "floor_divide_",
    "__ilshift__": "bitwise_left_shift_",
    "__imod__": "remainder_",
    "__imul__": "mul_",
    "__ior__": "bitwise_or_",
    "__ipow__": "pow_",
    "__irshift__": "bitwise_right_shift_",
    "__isub__": "sub_",
    "__itruediv__": "true_divide_",
    "__ixor__": "bitwise_xor_",
}


def in_place(function: Callable[..., Any], name: str) -> Callable[..., Tensor]:
    """The method ``name`` that overwrites its tensor with ``function(tensor, ...)``."""
    is_operation = hasattr(function, "definition")
    takes_any_layout = is_operation and bool(function.definition.layouts)  # type: ignore[attr-defined]
    may_overwrite = is_operation and function.overwriting is not None  # type: ignore[attr-defined]

    direct = _DIRECT.get(name)

    def change(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if used.gpu and direct is not None and not kwargs and _takes_directly(self, args):
            return overwrite_by(self, lambda array: direct(array, array.dtype.type(args[0]), out=array))
        if self._edge is not None or self._base is not None:
            require_no_leaf(self)
        if used.gpu and may_overwrite and (over := _overwriting(function, self, args, kwargs)) is not None:
            require_writeable(self)
            return adopt(self, as_it_comes(over, wrap(self._array, self._edge), *args, **kwargs), name)
        # A stand-in with its own counter: what the operation keeps of it is copied before it is overwritten. What a
        # function of several operations, or a watcher of the recording, keeps is not known: they get a copy.
        is_known = is_operation and modes.grad is True
        if takes_any_layout and self._inner is not None:  # it is replaced, not overwritten
            stand_in = wrap_unseen(self._inner, self._edge)
        else:
            array = self._array if is_known or not modes.grad else _copy_of(self._array)
            stand_in = wrap(array, self._edge)
        run = function if modes.autocast is None else functools.partial(as_it_comes, function)
        if used.gpu and not is_operation:
            run = functools.partial(gpu.calls.there, run)
        try:
            result = run(stand_in, *args, **kwargs)  # in place, nothing is cast
        except TypeError:
            newer = in_newer_order(name, True, (stand_in, *args), kwargs)
            if newer is None:
                if doors.is_first_sight_of_method((*args, *kwargs.values())):
                    return change(self, *args, **kwargs)
                raise
            result = run(*newer[0], **newer[1])
        except LayoutFault as fault:
            result = sparse_form_for(function.__name__, fault, (stand_in, *args), kwargs)
        return adopt(self, result, name)

    change.__name__ = change.__qualname__ = name
    change.__doc__ = f"In-place form of ``{name.rstrip('_')}``; returns this tensor."
    change.__wrapped__ = function  # type: ignore[attr-defined]
    return change


#: What CuPy does in place with a number, in one launch instead of two or three.
_DIRECT = {"add_": np.add, "mul_": np.multiply, "sub_": np.subtract}


def _takes_directly(tensor: Tensor, args: tuple[Any, ...]) -> bool:
    """Whether a number goes into a tensor on a GPU without a graph, and without a change of kind."""
    if len(args) != 1 or tensor._inner is not None or modes.watch is not None:
        return False
    array, number = tensor._array, args[0]
    if not is_on_gpu(array) or (modes.grad and (tensor._edge is not None or tensor._base is not None)):
        return False
    if number.__class__ is int:
        return abs(number) < 1 << 53 and (array.dtype.kind == "f" or array.dtype == np.int64)
    return number.__class__ is float and array.dtype.kind == "f"


def _overwriting(
    function: Any, tensor: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Callable[..., Any] | None:
    """The form of an operation that writes where a tensor on a GPU lies: one launch, where a copy takes another.

    None where there is none, where the result has another shape or dtype, and where the node keeps what is overwritten,
    or refuses the change: for one through a view, say.
    """
    if tensor._inner is not None or modes.watch is not None:
        return None
    array = tensor._array
    if not is_on_gpu(array) or array.dtype.kind not in "fV" or not is_dense(array):
        return None
    is_recorded = tensor._edge is not None
    for each in (*args, *kwargs.values()):
        if isinstance(each, Tensor):
            if not _goes_into(each, array):
                return None
            is_recorded = is_recorded or each._edge is not None
        elif each.__class__ is not int and each.__class__ is not float:
            return None
    definition = function.definition
    form: Callable[..., Any] | None = definition.overwriting_form()
    if modes.grad and is_recorded:
        has_views = tensor._base is not None or len(tensor._counter) > 1
        if has_views or definition.tensors[0] in definition.kept:
            return None
    return form


def _goes_into(tensor: Tensor, array: Array) -> bool:
    """Whether an operation on an array and this tensor gives what the array can hold."""
    own = tensor._array
    if not is_on_gpu(own) or own.ndim > array.ndim:
        return False
    if own.dtype != array.dtype and not (array.dtype == np.float32 and are_mixed(own, array)):
        return False
    return all(size in (1, have) for size, have in zip(own.shape[::-1], array.shape[::-1], strict=False))


def _copy_of(array: Array) -> Array:
    if used.gpu:
        with at(array):  # CuPy makes copies on the GPU that is the current one
            return array.copy()
    return array.copy()


#: In place, the result must be of the tensor's own dtype: elsewhere a narrower one would be cast.
_SAME_DTYPE = ("abs", "absolute", "float_power")


def _of_own_dtype(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def checked(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        result = function(input, *args, **kwargs)
        if result.dtype is not input.dtype:
            raise DtypeError(
                f"{function.__name__}_: a tensor of {input.dtype} cannot hold the result, which is of {result.dtype}"
            )
        return result

    return checked


# Overwriting


@op(node="CopyBackwards")
def _copied(input: Array, src: Array) -> Array:
    """``src``, broadcast to the shape of ``input`` and in its dtype."""
    return _fitted(src, input)


def _fitted(src: Array, like: Array) -> Array:
    try:
        return np.broadcast_to(src, like.shape).astype(like.dtype)
    except ValueError:
        raise ShapeError(
            f"The size of tensor a {list(like.shape)} must match the size of tensor b {list(src.shape)}: "
            "the second cannot be broadcast to the first"
        ) from None


_copied.gradient(input=lambda g: zero_unless(g, False), src=lambda g: g)


@op()
def _fill(input: Array, value: Array | Scalar) -> Array:
    """``value`` everywhere."""
    made = np.empty(input.shape, input.dtype, like=input)
    made[...] = value if is_on_gpu(value) else np.asarray(value)[()]
    return made


_fill.gradient(input=lambda g: zero_unless(g, False), value=lambda g: ops.sum(g))


def _stand_in(self: Tensor) -> Tensor:
    """The tensor before it is overwritten whole. A view's old values need no gradient: its base says what is left."""
    return wrap(self._array, None if self._base is not None else self._edge)


def copy_(self: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:
    """Overwrites the values with those of ``src``, broadcast and converted; returns this tensor."""
    if not isinstance(src, Tensor):
        raise TypeError(f"copy_(): argument 'other' (position 1) must be Tensor, not {type(src).__name__}")
    require_no_leaf(self)
    if src.device != self.device:
        src = ops.to_device(src, self.device, src.device, non_blocking)
    if modes.grad and (self._edge is not None or src._edge is not None) and self.dtype.category > 1:
        return adopt(self, _copied(_stand_in(self), src), "copy_")
    if src._array.shape == self._array.shape:
        write(self, _real_part(src._array, self._array))
    elif used.gpu:
        with at(self._array):
            write(self, _fitted(src._array, self._array))
    else:
        write(self, _fitted(src._array, self._array))
    return self


def _real_part(values: Array, target: Array) -> Array:
    """Complex numbers written into real ones lose their imaginary part, without NumPy's warning."""
    return values.real if values.dtype.kind == "c" and target.dtype.kind != "c" else values


def fill_(self: Tensor, value: Any) -> Tensor:
    """Overwrites every element with ``value``: a number or a 0-d tensor; returns this tensor."""
    require_no_leaf(self)
    if isinstance(value, Tensor):
        if value._array.ndim:
            raise ShapeError(
                f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions."
            )
    elif not isinstance(value, int | float | complex | np.generic):
        raise TypeError(f"fill_(): argument 'value' (position 1) must be Number, not {type(value).__name__}")
    if modes.grad and (self._edge is not None or (isinstance(value, Tensor) and value._edge is not None)):
        return adopt(self, _fill(_stand_in(self), value), "fill_", is_one_value=True)
    if isinstance(value, Tensor):
        value = value._array if value.device == self.device else value.item()
    write(self, value, is_one_value=True)
    return self


def zero_(self: Tensor) -> Tensor:
    """Overwrites every element with 0; returns this tensor."""
    try:
        return fill_(self, 0)
    except LayoutFault:
        array = self._array
        array[...] = array.emptied()
        note_change(self._counter)
        return self


def fill_diagonal_(self: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """Overwrites the main diagonal (of a cube in all its dims) with a number; returns this tensor.

    With ``wrap``, the diagonal of a tall matrix starts anew, one row below each end.

    Raises:
        ShapeError: for fewer than two dims, or more than two of different sizes.
    """
    if not isinstance(fill_value, int | float | complex | np.generic):
        kind = type(fill_value).__name__
        raise TypeError(f"fill_diagonal_(): argument 'fill_value' (position 1) must be Number, not {kind}")
    if self.ndim < 2:
        raise ShapeError(f"dimensions must larger than 1, not {self.ndim}")
    if self.ndim > 2 and len(set(self.shape)) > 1:
        raise ShapeError(f"all dimensions of input must be of equal length, not {list(self.shape)}")
    height, width = self.shape[:2]
    start, step = self.storage_offset(), sum(self.stride())
    fill_(ops.as_strided(self, (min(self.shape),), (step,), start), fill_value)
    if wrap and self.ndim == 2 and height > width + 1:
        below = start + self.stride(0) * (width + 1)
        count = -(-height * width // (width + 1)) - width
        fill_(ops.as_strided(self, (count,), (step,), below), fill_value)
    return self


WRITTEN_OUT: dict[str, Any] = {
    "__setitem__": set_item,
    "copy_": copy_,
    "fill_": fill_,
    "fill_diagonal_": fill_diagonal_,
    "zero_": zero_,
}


def bind() -> None:
    """Puts the in-place forms on ``Tensor``."""
    for name in listed(IN_PLACE):
        function = getattr(ops, name)
        changing = _of_own_dtype(function) if name in _SAME_DTYPE else function
        setattr(Tensor, name + "_", in_place(changing, name + "_"))
    for name, function in {**WRITTEN_OUT, **RANDOM}.items():
        setattr(Tensor, name, doors.own(function))
    for name, plain in AUGMENTED.items():
        setattr(Tensor, name, doors.own(getattr(Tensor, plain)))
