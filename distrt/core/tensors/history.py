"""In-place changes: writing into a tensor's memory, and moving it (and what shares its memory) in the graph.

A recorded change gives the tensor the edge of the operation that computed its new values. Changed through a view, the
base becomes "what it was, with these values put there" (a ``CopySlices`` node); every view of it then becomes a view of
the new base. Source: https://pytorch.org/docs/stable/notes/autograd.html (in-place correctness).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from distrt.core.arrays import is_array, is_on_gpu, is_writeable, memory_of
from distrt.core.autograd.node import RUNS_LAST, AccumulateGrad, Edge, Node, next_sequence
from distrt.core.dtypes.dtype import FLOATING_NUMPY
from distrt.core.dtypes.promotion import fitted
from distrt.core.errors import AutogradError, DtypeError, ShapeError
from distrt.core.gpu.places import at
from distrt.core.modes import modes, used
from distrt.core.storage.sealed import unseal
from distrt.core.tensors.versions import live_views, note_change, require_changeable

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
            raise AutogradError(_without_grad("is being modified inplace"))
        return
    if _is_through_custom(tensor, base):
        raise AutogradError(_through_custom(tensor, "is being"))
    if tensor._one_of_several is not None:
        raise AutogradError(_siblings(tensor, "is being"))


def _is_through_custom(view: Tensor, base: Tensor) -> bool:
    """True where a user's Function stands between the base and the view."""
    edge = view._edge
    while edge is not None and edge != base._edge:
        node: Any = edge[0]
        if node.is_custom:
            return True
        if type(node) is AccumulateGrad or not node.definition.view:
            return False
        edge = node.edges[0]
    return False


def _through_custom(view: Tensor, event: str) -> str:
    node, number = view._edge  # type: ignore[misc]
    name = node.name().removesuffix("Backward").removesuffix("Backward0")
    return (
        f"Output {number} of {name} is a view and {event} modified inplace. This view was created inside a custom "
        "Function (or because an input was returned as-is) and the autograd logic to handle view+inplace would "
        "override the custom backward associated with the custom Function, leading to incorrect gradients. This "
        "behavior is forbidden. You can fix this by cloning the output of the custom Function."
    )


def _without_grad(event: str) -> str:
    return (
        f"A view was created in no_grad mode and {event} with grad mode enabled. Given that this use case is ambiguous "
        "and error-prone, it is forbidden. You can clarify your code by moving both the view and the inplace either "
        "both inside the no_grad block (if you don't want the inplace to be tracked) or both outside (if you want the "
        "inplace to be tracked)."
    )


def _siblings(view: Tensor, event: str) -> str:
    operation, number = view._one_of_several or ("", 0)
    name = operation.removesuffix("Backward0")
    return (
        f"Output {number} of {name} is a view and {event} modified inplace. This view is the output of a function that "
        "returns multiple views. Such functions do not allow the output views to be modified inplace. You should "
        "replace the inplace operation by an out-of-place one."
    )


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
        said = _siblings(tensor, "is being")
        if tensor._edge is None:  # PyTorch's words for the pieces of a constant
            said = _without_grad("is being modified inplace").partition(" Given")[0]
            said += _siblings(tensor, "is being").partition(" inplace.")[2]
        raise AutogradError(said)
    if tensor._made_without_grad:
        raise AutogradError(_without_grad("is being modified inplace"))


def _require_same_kind(tensor: Tensor) -> None:
    """Refuses a recorded change of memory that is seen as two floating dtypes, of which neither is part of the other.

    Raises:
        AutogradError: naming both, before anything is written.
    """
    base = tensor if tensor._base is None else tensor._base
    for view in (tensor, *_followers(base)):
        if view._array.dtype != base._array.dtype:
            _pairs(base, view)


def _followers(base: Tensor) -> list[Tensor]:
    """The views that have a part of the base's gradient: those of its integers have none."""
    return [
        view
        for view in live_views(base._counter)
        if view._base is base and view._array.dtype in FLOATING_NUMPY
    ]


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


def move(tensor: Tensor, edge: Edge | None) -> None:
    """Gives a changed tensor its new place in the graph, and with it its base and their views."""
    base = tensor if tensor._base is None else tensor._base
    views = {id(view): view for view in _followers(base)}
    refusals = {key: _refusal(view, base) for key, view in views.items()}  # while the base is where it was
    if tensor is base:
        _place(tensor, edge)
    else:
        _place(base, _with_part(base, tensor, edge))
        views[id(tensor)] = tensor
    for key, view in views.items():
        made = _part(base, view)
        if refusals.get(key) is not None:
            made[0].__class__ = _RefusedNode
            made[0].saved = refusals[key]
        _place(view, made)


def _refusal(view: Tensor, base: Tensor) -> str | None:
    """Why no gradient can go through this view once its base has changed; None where one can."""
    event = "its base or another view of its base has been"
    if view._one_of_several is not None:
        return _siblings(view, event)
    if view._made_without_grad:
        return _without_grad("its base or another view of its base has been modified inplace")
    return _through_custom(view, event) if _is_through_custom(view, base) else None


def _with_part(base: Tensor, view: Tensor, edge: Edge | None) -> tuple[Node, int]:
    """The base with the values of ``edge`` where the view lies."""
    from distrt.core import ops

    if view._array.dtype == base._array.dtype:
        metas = (_meta(base._array), _meta(view._array))
        return _node(ops.strided_put, (base._edge, edge), metas, _geometry(view, base._array))
    pairs = _pairs(base, view)
    as_real = None if base._edge is None else _node(ops.view_as_real, (base._edge,), (_meta(base._array),))
    metas = (_meta(pairs), _meta(view._array))
    put = _node(ops.strided_put, (as_real, edge), metas, _geometry(view, pairs))
    return _node(ops.view_as_complex, (put,), (_meta(pairs),))


def _part(base: Tensor, view: Tensor) -> tuple[Node, int]:
    """The part of the base where the view lies."""
    from distrt.core import ops

    if view._array.dtype == base._array.dtype:
        geometry = _geometry(view, base._array)
        return _node(ops.strided_pick, (base._edge,), (_meta(base._array),), geometry)
    pairs = _pairs(base, view)
    as_real = _node(ops.view_as_real, (base._edge,), (_meta(base._array),))
    return _node(ops.strided_pick, (as_real,), (_meta(pairs),), _geometry(view, pairs))


def _geometry(view: Tensor, base: Array) -> Any:
    """Where the view lies; a view that was moved before stands on a node that knows."""
    from distrt.core import ops
    from distrt.core.ops.shapes.strided import geometry_of

    if view._edge is not None:
        node = view._edge[0]
        if type(node) is ops.strided_pick.definition.node_class:
            return node.saved[0]
    return geometry_of(view._array, base)


def _meta(array: Array) -> tuple[tuple[int, ...], Any]:
    return array.shape, array.dtype


def _pairs(base: Tensor, view: Tensor) -> Array:
    """A complex base as pairs of real numbers, in which its real views lie.

    Raises:
        AutogradError: for any other two dtypes.
    """
    from distrt.core import ops

    array = base._array
    if (
        array.dtype.kind == "c"
        and view._array.dtype.kind == "f"
        and 2 * view._array.itemsize == array.itemsize
    ):
        return ops.view_as_real(array)
    raise AutogradError(
        f"an in-place change of a {base.dtype} tensor cannot be recorded while a view of it as {view.dtype} exists: "
        "use the out-of-place operation"
    )


def _place(tensor: Tensor, edge: Edge | None) -> None:
    """Sets the place in the graph; ``retain_grad`` goes with the tensor, other hooks stay with its old values."""
    before = tensor._edge
    tensor._edge = edge
    if before is not None and edge is not None and before[0].hooks is not None:
        keep = before[0].hooks.get(before[1], {}).pop(RUNS_LAST, None)
        if keep is not None:
            edge[0].hooks_of(edge[1])[RUNS_LAST] = keep


class _RefusedNode(Node):
    """Where one of several views of a changed base stands: no gradient can go through it."""

    __slots__ = ()

    def take_saved(self, keep_graph: bool) -> tuple[Any, ...]:
        raise AutogradError(self.saved)


def _node(
    function: Any, edges: tuple[Edge | None, ...], metas: tuple[Any, ...], *saved: Any
) -> tuple[Node, int]:
    """The node that the operation would record, without running it: the values stand in the memory already."""
    definition = function.definition
    if definition.backward is None:
        definition.compile()
    node: Node = object.__new__(definition.node_class)
    node.definition = definition
    node.edges = edges
    node.metas = metas
    node.saved = saved
    node.counters = ()
    node.stamp = 0
    node.hooks = None
    node.sequence = next_sequence()
    if modes.grad and modes.grad is not True:
        modes.grad(node)
    return (node, 0)
