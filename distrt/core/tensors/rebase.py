"""Where a changed tensor, its base and their views stand in the graph.

Changed through a view, the base becomes "what it was, with these values put there" (a ``CopySlices`` node); every view
of it then becomes a view of the new base, or refuses gradients where none can go through it. PyTorch calls that to
rebase the history. Source: https://pytorch.org/docs/stable/notes/autograd.html (in-place correctness).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distrt.core.autograd.node import RUNS_LAST, AccumulateGrad, Edge, Node, next_sequence
from distrt.core.dtypes.dtype import FLOATING_NUMPY
from distrt.core.errors import AutogradError
from distrt.core.modes import modes
from distrt.core.tensors.versions import live_views

if TYPE_CHECKING:
    from distrt.core.arrays import Array
    from distrt.core.tensor import Tensor

__all__ = [
    "followers",
    "is_through_custom",
    "move",
    "of_siblings",
    "pairs_of",
    "through_custom",
    "without_grad",
]


def move(tensor: Tensor, edge: Edge | None) -> None:
    """Gives a changed tensor its new place in the graph, and with it its base and their views."""
    base = tensor if tensor._base is None else tensor._base
    views = {id(view): view for view in followers(base)}
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
        return of_siblings(view, event)
    if view._made_without_grad:
        return without_grad("its base or another view of its base has been modified inplace")
    return through_custom(view, event) if is_through_custom(view, base) else None


def is_through_custom(view: Tensor, base: Tensor) -> bool:
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


def through_custom(view: Tensor, event: str) -> str:
    """What is wrong with a view that a user's Function has made."""
    node, number = view._edge  # type: ignore[misc]
    name = node.name().removesuffix("Backward").removesuffix("Backward0")
    return (
        f"Output {number} of {name} is a view and {event} modified inplace. This view was created inside a custom "
        "Function (or because an input was returned as-is) and the autograd logic to handle view+inplace would "
        "override the custom backward associated with the custom Function, leading to incorrect gradients. This "
        "behavior is forbidden. You can fix this by cloning the output of the custom Function."
    )


def without_grad(event: str) -> str:
    """What is wrong with a view that was made where nothing is recorded."""
    return (
        f"A view was created in no_grad mode and {event} with grad mode enabled. Given that this use case is ambiguous "
        "and error-prone, it is forbidden. You can clarify your code by moving both the view and the inplace either "
        "both inside the no_grad block (if you don't want the inplace to be tracked) or both outside (if you want the "
        "inplace to be tracked)."
    )


def of_siblings(view: Tensor, event: str) -> str:
    """What is wrong with one of several views that an operation has made at once."""
    operation, number = view._one_of_several or ("", 0)
    name = operation.removesuffix("Backward0")
    return (
        f"Output {number} of {name} is a view and {event} modified inplace. This view is the output of a function that "
        "returns multiple views. Such functions do not allow the output views to be modified inplace. You should "
        "replace the inplace operation by an out-of-place one."
    )


def followers(base: Tensor) -> list[Tensor]:
    """The views that have a part of the base's gradient: those of its integers have none."""
    return [
        view
        for view in live_views(base._counter)
        if view._base is base and view._array.dtype in FLOATING_NUMPY
    ]


def _with_part(base: Tensor, view: Tensor, edge: Edge | None) -> tuple[Node, int]:
    """The base with the values of ``edge`` where the view lies."""
    from distrt.core import ops

    if view._array.dtype == base._array.dtype:
        metas = (_meta(base._array), _meta(view._array))
        return _node(ops.strided_put, (base._edge, edge), metas, _geometry(view, base._array))
    pairs = pairs_of(base, view)
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
    pairs = pairs_of(base, view)
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


def pairs_of(base: Tensor, view: Tensor) -> Array:
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
