"""The array libraries underneath: which one an array belongs to, and NumPy's faults in a tensor user's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from distrt.core.errors import DistrtError, DtypeError, ShapeError
from distrt.core.modes import used

Array = Any  # a numpy.ndarray, or a cupy.ndarray or a MetaArray of the same interface
Scalar = bool | int | float | complex

#: What a processor keeps and hands to another one as a whole: two ranks never write to one line.
CACHE_LINE_BYTES = 64


class Place(NamedTuple):
    """Where an array lies in the row of memory that owns its elements; steps and offset in bytes."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    dtype: Any


#: What Python and NumPy say where a tensor user should read something else.
FOREIGN = re.compile(
    r"numpy|ufunc|\baxis\b|\baxes\b|operands could not|array element|for array|input array|"
    r"array is|arrays? (?:must|to)\b|object has no attribute|not supported between|"
    r"unsupported operand|bad operand|cannot be interpreted|is not iterable|not subscriptable|has no len|not aligned|"
    r"invalid literal|could not convert|(?<!slice )indices must be|(?<!have an )__index__|"
    r"list index out of range|iteration over a 0-d|core dimension|unhashable|inhomogeneous"
)

#: What NumPy raises for arguments that do not fit.
FAULTS = (AttributeError, ValueError, IndexError, TypeError)


def array_module(array: Array) -> Any:
    """NumPy for a NumPy array, CuPy for a CuPy one: for the few functions that do not ask an array whose they are."""
    if array.__class__ is np.ndarray:
        return np
    if is_on_gpu(array):
        import cupy

        return cupy
    if is_meta(array):
        from distrt.core.meta import library

        return library
    return np


def is_on_gpu(value: Any) -> bool:
    """True for an array of CuPy's; False for a tensor, and for what other libraries have on GPUs."""
    return value.__class__ is not np.ndarray and isinstance(value, used.gpu_array)


def is_meta(value: Any) -> bool:
    """True for an array without data (``core/meta``)."""
    return value.__class__ is not np.ndarray and hasattr(value, "__meta_array__")


def known_or(value: Any, otherwise: Any) -> Any:
    """A number that was computed from data; what to take in its place where there is no data."""
    return otherwise if is_meta(value) else value


def known(answer: Any) -> bool:
    """Whether something is known to be the case: where there is no data, nothing is. For checks of values."""
    return not is_meta(answer) and bool(answer)


def is_array(value: Any) -> bool:
    """True for an array of NumPy's or CuPy's, or one without data."""
    return isinstance(value, np.ndarray) or is_on_gpu(value) or is_meta(value)


def as_array(value: Any) -> Array:
    """What a function of NumPy's or CuPy's returned, as an array: NumPy gives numbers where CuPy gives 0-d arrays."""
    return value if hasattr(value, "__array_function__") else np.asarray(value)


def row_major(array: Array) -> Array:
    """The elements in row-major order: this very array where they stand so, else a copy."""
    return np.ascontiguousarray(array, like=array)


def accumulated(function: np.ufunc, array: Array, axis: int) -> Array:
    """``function.accumulate``, which CuPy has for sums and products only: there, by doubling the reach each time."""
    if not is_on_gpu(array):
        return function.accumulate(array, axis=axis)
    running, reach = np.moveaxis(array, axis, 0).copy(), 1
    while reach < len(running):
        running[reach:] = function(running[:-reach], running[reach:])
        reach *= 2
    return np.moveaxis(running, 0, axis)


def chosen(condition: Array, one: Any, other: Any) -> Array:
    """``np.where``, which makes float32 of bfloat16 on a GPU: there, the bits are chosen."""
    place = next((value for value in (condition, one, other) if is_on_gpu(value)), None) if used.gpu else None
    if place is None:
        return np.where(condition, one, other)
    condition = np.asarray(condition, like=place)
    kinds = {value.dtype for value in (one, other) if hasattr(value, "dtype")}
    if len(kinds) != 1:
        return np.where(condition, one, other)
    kind = kinds.pop()
    return through_bits(lambda *bits: np.where(condition, *bits), kind, one, other)


def through_bits(move: Callable[..., Array], kind: np.dtype[Any], *values: Any) -> Array:
    """``move(*values)``, which moves elements and computes nothing: of bfloat16 as whole numbers of the same bits."""
    if kind.kind != "V":
        return move(*values)
    bits = np.dtype(f"u{kind.itemsize}")
    return move(*((v if is_array(v) else np.asarray(v, kind)[()]).view(bits) for v in values)).view(kind)


def summed_to(array: Array, shape: tuple[int, ...]) -> Array:
    """The sum over what broadcasting an array of this shape would repeat; half precision is rounded once."""
    extra = array.ndim - len(shape)
    stretched = (extra + dim for dim, size in enumerate(shape) if size == 1 and array.shape[extra + dim] != 1)
    is_half = array.dtype.itemsize == 2 and array.dtype.kind in "fV"
    work = np.float32 if is_half else None
    total = array.sum(axis=(*range(extra), *stretched), dtype=work, keepdims=True)
    return total.astype(array.dtype, copy=False).reshape(shape) if is_half else total.reshape(shape)


def filled(shape: Any, value: Any, dtype: Any, like: Array) -> Array:
    """A new array of one value, where another one is."""
    made: Array = np.empty(shape, dtype, like=like)
    made.fill(value)
    return made


def largest(array: Array, axis: int) -> Array:
    """The largest element along ``axis``, which is kept with size 1; minus infinity where there is none."""
    if not array.shape[axis]:
        shape = list(array.shape)
        shape[axis] = 1
        return filled(shape, -np.inf, array.dtype, array)
    return array.max(axis=axis, keepdims=True)


def identity_matrix(rows: int, columns: int | None, dtype: Any, like: Array) -> Array:
    """Ones on the diagonal, zeros elsewhere, where another array is."""
    return array_module(like).eye(rows, columns, dtype=dtype)


def memory_of(array: Array) -> Array:
    """The array whose memory this one lies in: itself, or what it is a view of in the end."""
    if not isinstance(array, np.ndarray):
        return array if array.base is None else array.base
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def address_of(array: Array) -> int:
    """The address of the first element."""
    if isinstance(array, np.ndarray):
        return int(array.__array_interface__["data"][0])
    return int(array.address if is_meta(array) else array.data.ptr)


def on_host(array: Array) -> Array:
    """The array itself, or what a GPU has in it, copied: for the few things that only the CPU does."""
    return array.get() if is_on_gpu(array) else array


def is_writeable(array: Array) -> bool:
    """True where elements can be written one by one; NumPy marks arrays whose elements share memory."""
    try:
        return array.flags.writeable  # type: ignore[no-any-return]
    except AttributeError:  # CuPy's have no such flag
        return (
            0 not in array.strides
            or not array.size
            or all(step != 0 or size == 1 for step, size in zip(array.strides, array.shape, strict=True))
        )


def beside(value: Any) -> Array:
    """The array of a tensor or of an array, to make another one where it is: ``np.zeros(3, like=beside(g))``."""
    array = getattr(value, "_array", value)
    return array if hasattr(array, "__array_function__") else _NONE  # what NumPy made of a 0-d array


_NONE = np.empty(0)


def dim_order(array: Array) -> list[int]:
    """The dims from the outermost in memory to the innermost."""
    return sorted(range(array.ndim), key=lambda dim: -abs(array.strides[dim]))


def row_of(array: Array) -> Array:
    """All elements of the memory that an array lies in, as one row of the array's own dtype, to be written through."""
    memory = memory_of(array)
    packed = memory.transpose(dim_order(memory))
    if not packed.flags.c_contiguous:  # an array that came from elsewhere, with gaps
        span = sum((size - 1) * step for size, step in zip(packed.shape, packed.strides, strict=True))
        count = span // memory.itemsize + 1 if memory.size else 0
        row = as_strided_view(memory, (count,), (memory.itemsize,))
    else:
        row = packed.reshape(-1)
    return row if row.dtype == array.dtype else row.view(array.dtype)


def place_in(row: Array, place: Place) -> Array:
    """The elements that lie at ``place`` in a row of memory, to be written through."""
    if 0 in place.shape:
        return np.empty(place.shape, place.dtype, like=row)
    if isinstance(row, np.ndarray):
        return np.ndarray(place.shape, place.dtype, row.view(np.uint8), place.offset, place.strides)
    start: Array = row.view(np.uint8)[place.offset :][: place.dtype.itemsize].view(place.dtype)
    return as_strided_view(start, place.shape, place.strides)


def as_strided_view(array: Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """The same memory from the array's first element on, with other sizes and steps (in bytes)."""
    made = array_module(array).lib.stride_tricks.as_strided(array, shape, strides)
    # CuPy's has no base, as if nobody else had its memory.
    return made.view() if used.gpu and is_on_gpu(made) else made


def place_of(array: Array) -> Place:
    """Where an array lies in its memory."""
    return Place(array.shape, array.strides, address_of(array) - address_of(memory_of(array)), array.dtype)


def require_array(operation: str, name: str, value: Any) -> None:
    """Raises TypeError for what is neither a tensor nor an array nor one of an array's elements."""
    if not hasattr(value, "dtype"):
        raise TypeError(f"{operation}(): argument '{name}' must be Tensor, not {type(value).__name__}")


def number_in(operation: str, name: str, tensor: Any) -> Any:
    """The number that a tensor of one element stands for, where no gradient is lost with it.

    Raises:
        TypeError: for one that requires a gradient.
    """
    if tensor.requires_grad:
        raise TypeError(
            f"{operation}(): argument '{name}' must be Number, not Tensor: it requires grad, and would get none. Use "
            "arithmetic between tensors, or pass tensor.detach()"
        )
    return tensor.item()


def bool_in(operation: str, name: str, value: Any) -> bool:
    """A flag that is neither True nor False: NumPy's, or a tensor without dims.

    Raises:
        TypeError: for anything else: ``x.sum(0, 1)`` would be a sum over dim 0 that keeps it.
    """
    if isinstance(value, np.bool_) or (getattr(value, "ndim", None) == 0 and hasattr(value, "requires_grad")):
        return bool(value)
    raise TypeError(f"{operation}(): argument '{name}' must be bool, not {type(value).__name__}")


def no_argument(operation: str, name: str) -> TypeError:
    """The error for an argument that is missing."""
    return TypeError(f'{operation}() missing 1 required positional arguments: "{name}"')


def no_tensor(operation: str, name: str, value: Any, position: int = 1) -> TypeError:
    """The error for a call by a user without any tensor among the arguments."""
    kind = f"{'numpy.' if isinstance(value, np.ndarray) else ''}{type(value).__name__}"
    return TypeError(f"{operation}(): argument '{name}' (position {position}) must be Tensor, not {kind}")


def require_numbers(operation: str, input: Any, other: Any) -> list[Any]:
    """Two operands without a tensor among them, as Python's numbers; raises TypeError for what is no number."""
    for position, (name, value) in enumerate((("input", input), ("other", other)), 1):
        if not isinstance(value, Scalar | np.number | np.bool_):
            raise no_tensor(operation, name, value, position)
    return [value.item() if isinstance(value, np.generic) else value for value in (input, other)]


def require_sequence(operation: str, name: str, values: Any) -> None:
    """Raises TypeError for what is not a list or tuple of tensors."""
    if not isinstance(values, list | tuple):
        raise TypeError(
            f"{operation}(): argument '{name}' must be tuple of Tensors, not {type(values).__name__}"
        )
    for number, each in enumerate(values):
        if not hasattr(each, "dtype"):
            raise TypeError(
                f"{operation}(): expected Tensor as element {number} in argument '{name}', but got "
                f"{type(each).__name__}"
            )


def explain(fault: Exception, name: str, arguments: tuple[Any, ...]) -> Exception:
    """The error to show for what was raised inside op ``name``: distrt's own words stay, NumPy's are put in others."""
    if isinstance(fault, DistrtError):
        return fault
    name = name.strip("_")
    shapes = [argument.shape for argument in arguments if hasattr(argument, "shape")]
    if isinstance(fault, ValueError) and "broadcast" in str(fault) and len(shapes) >= 2:
        return ShapeError(_first_clash(name, shapes))
    if not FOREIGN.search(str(fault)):
        return ShapeError(str(fault)) if isinstance(fault, ValueError) else fault
    described = ", ".join(map(_describe, arguments))
    if isinstance(fault, TypeError | AttributeError) or any(
        isinstance(each, str | bytes) for each in arguments
    ):
        arrays = [argument for argument in arguments if hasattr(argument, "dtype")]
        plain = [argument for argument in arguments if not hasattr(argument, "dtype")]
        if arrays and "ufunc" in str(fault) and all(isinstance(each, Scalar | None) for each in plain):
            dtypes = " and ".join(dict.fromkeys(f"torch.{each.dtype}" for each in arrays))
            return DtypeError(f'"{name}" not implemented for {dtypes}')
        return TypeError(f"{name}() received an invalid combination of arguments - got ({described})")
    if isinstance(fault, IndexError):
        return IndexError(f"{name}(): an index is out of range; the arguments were ({described})")
    return ShapeError(f"{name}(): the sizes of the arguments do not fit: ({described})")


def _first_clash(name: str, shapes: list[tuple[int, ...]]) -> str:
    rank = max(len(shape) for shape in shapes)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    for dim in reversed(range(rank)):
        sizes = [shape[dim] for shape in padded if shape[dim] != 1]
        for other in sizes[1:]:
            if other != sizes[0]:
                return (
                    f"The size of tensor a ({sizes[0]}) must match the size of tensor b ({other}) at non-singleton "
                    f"dimension {dim} ({name} of {' and '.join(str(list(shape)) for shape in shapes)})"
                )
    return f"{name}: the shapes {shapes} do not fit together"


def _describe(argument: Any) -> str:
    if hasattr(argument, "shape") and hasattr(argument, "dtype"):
        return f"{argument.dtype}{list(argument.shape)}"
    if isinstance(argument, list | tuple) and any(hasattr(each, "shape") for each in argument):
        return "[" + ", ".join(map(_describe, argument)) + "]"
    text = repr(argument)
    return text if len(text) <= 60 else text[:57] + "..."


def dense_like(array: Array, dtype: np.dtype[Any], beside: Array | None = None) -> Array:
    """Memory as it comes, of the same shape and in the same order of dims; gaps and repeated elements are not kept.

    It is where ``array`` is, or where another one is that is given.

    Source: https://pytorch.org/docs/stable/tensor_attributes.html#torch.memory_format (preserve_format).
    """
    if array.flags.c_contiguous or _repeats(array):
        return np.empty(array.shape, dtype, like=array if beside is None else beside)
    if beside is None:
        return np.empty_like(array, dtype, order="K")
    order = dim_order(array)
    made = np.empty([array.shape[dim] for dim in order], dtype, like=beside)
    return made.transpose(np.argsort(order).tolist())


def _repeats(array: Array) -> bool:
    """True where a dim goes through the same elements again and again, as ``expand`` makes them."""
    return any(step == 0 and size > 1 for step, size in zip(array.strides, array.shape, strict=True))


def is_dense(array: Array) -> bool:
    """True where the elements fill their memory without gaps and without sharing."""
    reach = array.itemsize
    for step, size in sorted(zip(array.strides, array.shape, strict=True)):
        if size > 1:
            if step != reach:
                return False
            reach *= size
    return True


def line_bounds(sizes: Sequence[int], itemsize: int = 1) -> list[int]:
    """Where rows of these sizes begin, each in a cache line of its own, and where the last one ends; in elements."""
    line = max(1, CACHE_LINE_BYTES // itemsize)
    bounds = [0]
    for size in sizes:
        bounds.append(bounds[-1] + -(-size // line) * line)
    return bounds
