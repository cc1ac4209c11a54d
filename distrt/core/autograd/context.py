"""``ctx``: what a ``Function`` keeps between its forward and its backward pass."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from distrt.core.autograd import complaint, packing
from distrt.core.autograd.node import FREED, SECOND_TIME
from distrt.core.errors import AutogradError

if TYPE_CHECKING:
    from distrt.core.autograd.custom_node import FunctionNode


class _Notes:
    """What a ``ctx`` was told; apart from it, so that users may call their attributes as they like."""

    __slots__ = ("__weakref__", "dirty", "materialize", "node", "non_differentiable", "saved", "to_save")

    def __init__(self) -> None:
        self.to_save: tuple[Any, ...] = ()
        self.saved: Any = ()
        self.dirty: tuple[Any, ...] = ()
        self.non_differentiable: tuple[Any, ...] = ()
        self.materialize = True
        self.node: weakref.ref[FunctionNode] | None = None  # weak: the node refers to its ctx


class FunctionCtx:
    """What ``forward`` leaves for ``backward``: saved tensors, and any attribute that a user sets."""

    #: For each argument of ``apply``: True for a tensor that requires grad.
    needs_input_grad: tuple[bool, ...] = ()

    def __init__(self) -> None:
        self._notes = _Notes()

    def save_for_backward(self, *tensors: Any) -> None:
        """Keeps tensors (or None) for ``saved_tensors``; call it once, in the forward pass."""
        self._notes.to_save = tensors

    def save_for_forward(self, *tensors: Any) -> None:
        """Accepted for PyTorch's sake; there is no forward-mode differentiation."""

    def mark_dirty(self, *tensors: Any) -> None:
        """Says which inputs the forward pass has changed in place; each must be returned."""
        self._notes.dirty = tensors

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Says which outputs have no gradient; backward still gets zeros for them."""
        self._notes.non_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """With False, backward gets None instead of zeros for an output that has no gradient."""
        self._notes.materialize = value

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The tensors that were saved, at their places in the graph.

        Raises:
            AutogradError: after a backward pass has let them go, or when one was changed in place.
        """
        saved = self._notes.saved
        if saved is FREED:
            raise AutogradError(SECOND_TIME)
        node = None if self._notes.node is None else self._notes.node()
        return tuple([None if each is None else each.tensor(node) for each in saved])

    @property
    def to_save(self) -> tuple[Any, ...]:
        """What ``save_for_backward`` was given."""
        return self._notes.to_save


def save(ctx: FunctionCtx, node: FunctionNode) -> None:
    """Keeps what ``save_for_backward`` was given, now that the outputs have their places in the graph.

    Raises:
        TypeError: for what is neither a tensor nor None.
    """
    from distrt.core.tensor import Tensor

    notes = ctx._notes
    for number, each in enumerate(notes.to_save):
        if each is not None and not isinstance(each, Tensor):
            raise TypeError(
                f"save_for_backward can only save variables, but argument {number} is of type {type(each).__name__}"
            )
    notes.node = weakref.ref(node)
    notes.saved = tuple([None if each is None else _Saved(each, node) for each in notes.to_save])
    notes.to_save = ()


def let_go(ctx: FunctionCtx) -> None:
    """Frees the saved tensors; without any, there is nothing that a second pass would miss."""
    if ctx._notes.saved:
        ctx._notes.saved = FREED


class _Saved:
    """One saved tensor: an output without its node (a cycle otherwise), any other as it is, or what a hook made."""

    __slots__ = ("array", "counter", "edge", "number", "original", "version")

    def __init__(self, tensor: Any, node: FunctionNode) -> None:
        edge = tensor._edge
        is_output = edge is not None and edge[0] is node
        self.counter, self.version = tensor._counter, tensor._counter[0]
        self.edge = None if is_output else edge
        self.number = edge[1] if is_output else None
        is_packed = packing.is_active()
        self.array = packing.Packed(tensor._array) if is_packed else tensor._array
        self.original = None if is_packed or is_output else tensor

    def tensor(self, node: FunctionNode | None) -> Any:
        """The tensor, if nobody has changed it."""
        from distrt.core.tensor import wrap

        edge = self.edge
        if self.number is not None and node is not None:
            edge = (node, self.number)
        if isinstance(self.array, packing.Packed):
            return wrap(self.array.array(), edge)
        if self.counter[0] != self.version:
            edge = edge if self.original is None else self.original._edge
            raise complaint.error(complaint.describe(self.array, edge), self.counter[0], self.version)
        if self.original is not None:
            return self.original
        made = wrap(self.array, edge)
        made._counter = self.counter
        return made
