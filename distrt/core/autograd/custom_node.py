"""The node of a user's ``Function``: how it stands in the graph, and what the engine runs.

It has a node's interface. Its definition is one object for each number of outputs; what differs from one call to the
next comes to the backward function as the "saved values", which are the node itself.
"""

from __future__ import annotations

import functools
import weakref
from typing import Any

import numpy as np

from distrt.core.arrays import as_array, beside
from distrt.core.autograd.context import FunctionCtx, let_go, save
from distrt.core.autograd.node import AccumulateGrad, Edge, Node, next_sequence
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import AutogradError
from distrt.core.modes import modes
from distrt.core.tensor import Tensor, wrap, wrap_unseen
from distrt.core.tensors.rebase import move
from distrt.core.tensors.versions import note_change


class FunctionNode(Node):
    """One call of a ``Function``. What is not an attribute of nodes is looked up on its ``ctx``."""

    __slots__ = ("ctx", "keeps_graph", "output_metas", "positions")

    is_custom = True
    function: Any = None

    def __init__(self, ctx: FunctionCtx, args: tuple[Any, ...], count: int) -> None:
        tensors = [(number, each) for number, each in enumerate(args) if isinstance(each, Tensor)]
        self.definition = _definition(self.function.__name__ + "Backward", count)  # type: ignore[assignment]
        self.edges = tuple([each._edge for _, each in tensors])
        self.metas = tuple([(each._array.shape, each._array.dtype) for _, each in tensors])
        self.positions = [number for number, _ in tensors]
        self.saved = self.counters = ()
        self.stamp = 0
        self.hooks = None
        self.sequence = next_sequence()
        self.ctx = ctx
        self.keeps_graph = False
        self.output_metas: list[Any] = [None] * count

    def take_saved(self, keep_graph: bool) -> Any:
        """The node itself; its tensors are checked when ``ctx.saved_tensors`` is read."""
        self.keeps_graph = keep_graph
        return self

    def __repr__(self) -> str:
        return f"<torch.autograd.function.{self.name()} object at {id(self):#x}>"

    def __getattr__(self, name: str) -> Any:
        if name in ("ctx", "_metadata"):
            raise AttributeError(name)
        return getattr(self.ctx, name)


class _FunctionDefinition:
    """What the engine asks of a node's definition."""

    takes_into = False
    delivers_last_first = False
    keeps_arrays = False
    holomorphic = False  # users' gradients are conjugated by the user
    joint_rule = None
    name_of = None
    shown = None

    def __init__(self, node_name: str, count: int) -> None:
        self.node_name = node_name
        self.output_names = tuple(f"output {number}" for number in range(count))
        self.kept: tuple[str, ...] = ()

    @staticmethod
    def backward(edges: Any, saved: FunctionNode, *gradients_and_into: Any) -> list[Any]:
        """The gradients of the tensor inputs: tensors where tensors came in, else arrays."""
        *gradients, _ = gradients_and_into
        on_tensors = any(isinstance(gradient, Tensor) for gradient in gradients) or _records()
        like = next((each for each in gradients if each is not None), None)
        given = [_as_tensor(saved, number, each, like) for number, each in enumerate(gradients)]
        returned = _backward_of(saved.function)(saved.ctx, *given)
        found = _checked(saved, returned if isinstance(returned, tuple) else (returned,))
        if not saved.keeps_graph:
            let_go(saved.ctx)
        return [each if each is None or on_tensors else each._array for each in found]


@functools.cache
def _definition(node_name: str, count: int) -> _FunctionDefinition:
    return _FunctionDefinition(node_name, count)


def _records() -> bool:
    return bool(modes.grad)


def _as_tensor(node: FunctionNode, number: int, gradient: Any, like: Any) -> Any:
    if isinstance(gradient, Tensor):
        return gradient
    if gradient is not None:
        return wrap_unseen(as_array(gradient))
    meta = node.output_metas[number]
    return (
        None if meta is None or not node.ctx._notes.materialize else wrap(np.zeros(*meta, like=beside(like)))
    )


def _backward_of(function: Any) -> Any:
    from distrt.core.autograd.function import Function

    has_vjp = function.vjp is not Function.vjp
    if has_vjp and function.backward is not Function.backward:
        raise AutogradError(
            "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should only implement "
            "one of them."
        )
    return function.vjp if has_vjp else function.backward


def _checked(node: FunctionNode, returned: tuple[Any, ...]) -> list[Any]:
    """The gradients of the tensors among the inputs; a surplus of None is let pass, as in PyTorch."""
    expected = len(node.ctx.needs_input_grad)
    if len(returned) < expected or any(each is not None for each in returned[expected:]):
        raise AutogradError(
            f"function {node.name()} returned an incorrect number of gradients (expected {expected}, got "
            f"{len(returned)})"
        )
    for number, each in enumerate(returned[:expected]):
        if each is None:
            continue
        if number not in node.positions:
            raise AutogradError(
                f"function {node.name()} returned a gradient different than None at position {number + 1}, but the "
                "corresponding forward input was not a Variable"
            )
        if not isinstance(each, Tensor):
            raise AutogradError(f"expected Variable or None (got {type(each).__name__})")
    return [returned[number] for number in node.positions]


def record_outputs(
    node: FunctionNode | None, ctx: FunctionCtx, args: tuple[Any, ...], outputs: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Gives the outputs their places in the graph, and keeps what forward has saved.

    An input that is returned as it came becomes an alias, so that the input keeps its own place. Without a node,
    nothing is recorded, but outputs are new tensors all the same.
    """
    notes = ctx._notes
    inputs = {id(each) for each in args if isinstance(each, Tensor)}
    dirty = {id(each) for each in notes.dirty}
    fixed = {id(each) for each in notes.non_differentiable}
    if not dirty <= {id(each) for each in outputs}:
        raise AutogradError(
            "Some elements marked as dirty during the forward method were not returned as output. The inputs that are "
            "modified inplace must all be outputs of the Function."
        )
    recorded = []
    for number, each in enumerate(outputs):
        if isinstance(each, Tensor):
            edge: Edge | None = None
            if node is not None:
                node.output_metas[number] = (each._array.shape, each._array.dtype)
                if id(each) not in fixed and each._array.dtype in dt.FLOATING_NUMPY:
                    edge = (node, number)
            if id(each) in dirty:
                _rebase(each, edge)
            elif id(each) in inputs:
                each = _alias(each, edge)
            else:
                each._edge = edge
            if each._base is not None and modes.grad:
                each._made_without_grad = False  # forward ran without, its caller did not
        recorded.append(each)
    if node is not None:
        save(ctx, node)
    notes.to_save = notes.dirty = notes.non_differentiable = ()
    return tuple(recorded)


def _rebase(changed: Tensor, edge: Edge | None) -> None:
    if edge is not None:
        for each in (changed, changed._base):
            if each is not None and each._edge is not None and type(each._edge[0]) is AccumulateGrad:
                what = "a leaf Variable" if each is changed else "a view of a leaf Variable"
                raise AutogradError(f"{what} that requires grad has been used in an in-place operation.")
    note_change(changed._counter)
    if edge is not None:
        move(changed, edge)


def _alias(returned: Tensor, edge: Edge | None) -> Tensor:
    alias = wrap(returned._array, edge)
    alias._counter = returned._counter
    if edge is not None:
        alias._base = returned if returned._base is None else returned._base
        alias._counter.append(weakref.ref(alias))  # a recorded change of the base must reach it
    return alias
