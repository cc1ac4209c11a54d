"""In-place changes: what may be changed, and writing into a tensor's memory.

A recorded change gives the tensor the edge of the operation that computed its new values, and moves its base and their
views (`distrt.core.tensors.rebase`).
Source: https://pytorch.org/docs/stable/notes/autograd.html (in-place correctness).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from distrt.core.arrays import is_array, is_on_gpu, is_writeable, memory_of
from distrt.core.autograd.node import AccumulateGrad
from distrt.core.dtypes.promotion import fitted
from distrt.core.errors import AutogradError, DtypeError, ShapeError
from distrt.core.gpu.places import at
from distrt.core.modes import modes, used
from distrt.core.storage.sealed import unseal
from distrt.core.tensors.rebase import (
    followers,
    is_through_custom,
    move,
    of_siblings,
    pairs_of,
    through_custom,
    without_grad,
)
from distrt.core.tensors.versions import note_change, require_changeable

if TYPE_CHECKING:
    from distrt.core.arrays import Array
    from distrt.core.tensor import Tensor


def require_no_leaf(tensor: Tensor, of_part: bool = False) -> None:
    """Refuses a change, in grad mode, that could not be differentiated: of a leaf, or through some views.

    Args:
        tensor: what is changed.
        of_part: what is written to is a view of the tensor.

    Raises:
        AutogradError: for a leaf that requires grad, a view of one, and a view whose place in the graph says something
            else than "part of the base".
    """
    if not modes.grad:
        return
    edge, base = tensor._edge, tensor._base
    if base is not None:
        _require_own_view(tensor, base)
    if edge is not None and type(edge[0]) is AccumulateGrad:
        part = "view of a leaf" if of_part else "leaf"
        raise AutogradError(f"a {part} Variable that requires grad is being used in an in-place operation.")
    if base is not None and base._edge is not None and type(base._edge[0]) is AccumulateGrad:
        raise AutogradError(
            "a view of a leaf Variable that requires grad is being used in an in-place operation."
        )


def _require_own_view(tensor: Tensor, base: Tensor) -> None:
    if tensor._edge is None:
        if tensor._made_without_grad and base._edge is not None and type(base._edge[0]) is not AccumulateGrad:
            raise AutogradError(without_grad("is being modified inplace"))
        return
    if is_through_custom(tensor, base):
        raise AutogradError(through_custom(tensor, "is being"))
    if tensor._one_of_several is not None:
        raise AutogradError(of_siblings(tensor, "is being"))


def as_siblings(views: tuple[Any, ...], operation: str) -> tuple[Any, ...]:
    """Marks views that one call returned together: recorded changes of them are refused, as in PyTorch."""
    for number, view in enumerate(views):
        if hasattr(view, "_counter"):
            view._one_of_several = (operation, number)
    return views


def write(tensor: Tensor, values: Any, is_one_value: bool = False) -> None:
    """Overwrites the values, unrecorded, and counts the change.

    Raises:
        DtypeError: for a number that is too big for the dtype.
        ShapeError: for memory that cannot be written to, such as that of an expanded tensor; with ``is_one_value`` all
            elements get the same, and an expanded tensor can be written to.
    """
    require_writeable(tensor, is_one_value, is_overwritten=True)
    if used.gpu:
        with at(tensor._array):
            _overwrite(tensor, values)
    else:
        _overwrite(tensor, values)
    note_change(tensor._counter)


def overwrite_by(tensor: Tensor, change: Callable[[Array], object]) -> Tensor:
    """Has its array on a GPU changed in place, unrecorded, and counts the change; raises what ``write`` does."""
    require_writeable(tensor)
    with at(tensor._array):
        change(tensor._array)
    note_change(tensor._counter)
    return tensor


def _overwrite(tensor: Tensor, values: Any) -> None:
    if values is tensor._array:
        return
    try:
        tensor._array[...] = values if not isinstance(values, np.ndarray) or values.ndim else values[()]
    except OverflowError:
        if not isinstance(values, int):
            raise DtypeError(
                f"value cannot be converted to type {tensor.dtype} without overflow: {values}"
            ) from None
        tensor._array[...] = fitted(values, tensor._array.dtype)


def require_writeable(tensor: Tensor, may_repeat: bool = False, is_overwritten: bool = False) -> None:
    """Raises what a change of this tensor's memory would raise, before anything is computed.

    A tensor of sealed memory gets memory that can be changed; with ``is_overwritten``, without its values.
    """
    require_changeable(tensor._counter)
    array = tensor._array
    if is_writeable(array):
        return
    steps = zip(array.shape, array.strides, strict=True)
    if not may_repeat and any(step == 0 and size > 1 for size, step in steps):
        raise ShapeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
            "Please clone() the tensor before performing the operation."
        )
    if unseal(tensor, is_overwritten):
        return
    from distrt.core.arrays import place_in, place_of, row_of

    memory = memory_of(array)
    if isinstance(memory, np.ndarray) and not memory.flags.writeable:
        raise ShapeError(
            "this tensor's memory is read-only (that of a NumPy array or file): clone() it first"
        )
    # NumPy marks what was ever broadcast as read-only, and its parts too.
    tensor._array = place_in(row_of(memory), place_of(array))


def adopt(tensor: Tensor, result: Tensor, name: str, is_one_value: bool = False) -> Tensor:
    """Gives ``tensor`` the values of ``result``, which was computed from its old ones, and its place in the graph.

    Raises:
        ShapeError: where ``result`` has another shape.
        DtypeError: where its values would lose their kind (a float in an integer tensor).
    """
    if tensor._inner is not None and result._inner is not None and _are_alike(tensor, result):
        return _exchange(tensor, result)
    array, made = tensor._array, result._array
    if made.shape != array.shape:
        raise ShapeError(
            f"output with shape {list(array.shape)} doesn't match the broadcast shape {list(made.shape)}"
        )
    if made.dtype != array.dtype:
        result = _as_dtype_of(tensor, result)
    edge = result._edge
    if edge is None:
        moves = tensor._edge is not None and modes.grad  # constants, in (a part of) what had a history
        if moves:
            _require_same_kind(tensor)
        write(tensor, result._array, is_one_value)
        if moves:
            move(tensor, None)
        return tensor
    _require_followed(tensor)
    _require_same_kind(tensor)
    require_writeable(tensor, is_one_value)
    if used.gpu:
        with at(array):
            _take_over(tensor, result)
    else:
        _take_over(tensor, result)
    note_change(tensor._counter)
    move(tensor, edge)
    return tensor


def _are_alike(tensor: Tensor, result: Tensor) -> bool:
    return tensor.shape == result.shape and tensor.dtype is result.dtype


def _exchange(tensor: Tensor, result: Tensor) -> Tensor:
    """As ``adopt``, of elements that nobody has seen: no view shares their memory, so another can take its place."""
    require_changeable(tensor._counter)
    edge = result._edge
    if edge is None:
        moves = tensor._edge is not None and modes.grad
    else:
        moves, counter = True, tensor._counter
        node: Any = edge[0]
        if any(value is result._inner for value in node.saved):  # a kept output: from now on this tensor's
            node.counters = tuple(counter if each is result._counter else each for each in node.counters)
            node.stamp += (counter[0] + 1) - result._counter[0]
    tensor._inner = result._inner
    note_change(tensor._counter)
    if moves:
        move(tensor, edge)
    return tensor


def _as_dtype_of(tensor: Tensor, result: Tensor) -> Tensor:
    from distrt.core import ops

    require_kept(result, tensor)
    return ops.to_dtype(result, tensor._array.dtype)  # type: ignore[no-any-return]


def require_kept(result: Tensor, tensor: Tensor) -> None:
    """Raises DtypeError where a result is of a higher category than what is to keep it, in PyTorch's words."""
    from distrt.core.ops.pointwise.type_names import scalar_type

    if result.dtype.category > tensor.dtype.category:
        raise DtypeError(
            f"result type {scalar_type(result)} can't be cast to the desired output type {scalar_type(tensor)}"
        )


def _require_followed(tensor: Tensor) -> None:
    """Refuses a recorded change through a view that was made without grad mode, or that is one of several."""
    if tensor._base is None:
        return
    if tensor._one_of_several is not None:
        said = of_siblings(tensor, "is being")
        if tensor._edge is None:  # PyTorch's words for the pieces of a constant
            said = without_grad("is being modified inplace").partition(" Given")[0]
            said += of_siblings(tensor, "is being").partition(" inplace.")[2]
        raise AutogradError(said)
    if tensor._made_without_grad:
        raise AutogradError(without_grad("is being modified inplace"))


def _require_same_kind(tensor: Tensor) -> None:
    """Refuses a recorded change of memory that is seen as two floating dtypes, of which neither is part of the other.

    Raises:
        AutogradError: naming both, before anything is written.
    """
    base = tensor if tensor._base is None else tensor._base
    for view in (tensor, *followers(base)):
        if view._array.dtype != base._array.dtype:
            pairs_of(base, view)


def _take_over(tensor: Tensor, result: Tensor) -> None:
    _release(tensor, result)
    if result._array is not tensor._array:  # computed there
        tensor._array[...] = result._array


def _release(tensor: Tensor, result: Tensor) -> None:
    """Frees the memory that is about to be overwritten from what the new node keeps.

    A kept input that lies there is copied; a kept output is from now on this tensor's own memory and counter.
    """
    node: Any = result._edge[0]  # type: ignore[index]
    array, made, counter = tensor._array, result._array, tensor._counter
    saved = node.saved
    if any(value is not made and _is_in(value, array) for value in saved):
        saved = tuple(
            value.copy() if value is not made and _is_in(value, array) else value for value in saved
        )
    if any(value is made for value in saved):
        saved = tuple(array if value is made else value for value in saved)
        node.counters = tuple(counter if each is result._counter else each for each in node.counters)
        node.stamp += (counter[0] + 1) - result._counter[0]
    node.saved = saved


def _is_in(value: Any, array: Array) -> bool:
    # Of one library: a number that was kept beside an array on a GPU may be an array of NumPy's.
    return is_array(value) and is_on_gpu(value) == is_on_gpu(array) and np.may_share_memory(value, array)
