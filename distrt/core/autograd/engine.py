"""The engine: runs the graph backwards, newest node first, without recursion.

Called by ``Tensor.backward`` and ``autograd.grad``. Every consumer of a value is newer than its producer, so newest
first is a topological order, and it is the same order on every rank. A leaf's gradient is delivered the moment its
last consumer has run (not at the end), which is what lets gradients travel while the pass goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from operator import attrgetter, itemgetter
from sys import getrefcount
from typing import TYPE_CHECKING, Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.autograd.node import AccumulateGrad, Edge, Node
from distrt.core.errors import AutogradError
from distrt.core.modes import modes

if TYPE_CHECKING:
    from distrt.core.tensor import Tensor


def run_backward(
    roots: list[Edge],
    gradients: list[Any],
    keep_graph: bool,
    create_graph: bool,
    captured: list[Edge] | None = None,
    deliver: Callable[[list[Any]], None] | None = None,
) -> list[Any]:
    """Runs every node reachable from ``roots`` once.

    Args:
        roots: where the gradients enter.
        gradients: one for each root: arrays, or tensors under ``create_graph``.
        keep_graph: keep what the nodes saved, so that they can be run again.
        create_graph: run the rules on tensors, so that the gradients can themselves be differentiated.
        captured: edges whose gradients are returned (in this order) instead of being added to leaves.
        deliver: called with these gradients while the pass still counts as running.

    Returns:
        The gradients of ``captured``; None where nothing arrived.
    """
    outer = bool(modes.grad)
    modes.record(create_graph)
    current = _Pass(keep_graph, create_graph, captured)
    _running.passes.append(current)
    try:
        found = current.run(roots, gradients)
        if deliver is not None:
            deliver(found)
        for callback in current.callbacks:
            callback()
        return found
    finally:
        _running.passes.pop()
        modes.record(outer)


def backward_to(
    root: Tensor, gradient: Any, inputs: list[Tensor], keep_graph: bool, create_graph: bool
) -> None:
    """Adds the gradients of ``root`` to ``.grad`` of the ``inputs`` alone, leaves or not."""
    edges: list[Any] = [each._edge for each in inputs]
    if None in edges:
        raise AutogradError("One of the differentiated Tensors does not require grad")

    def deliver(found: list[Any]) -> None:
        for tensor, edge, arrived in zip(inputs, edges, found, strict=True):
            if arrived is None:
                continue
            if type(edge[0]) is AccumulateGrad:
                accumulate(edge[0], arrived)
            else:
                _accumulate_tensor(tensor, _as_tensor(arrived))

    run_backward([root._edge], [gradient], keep_graph, create_graph, captured=edges, deliver=deliver)  # type: ignore[list-item]


def _as_tensor(gradient: Any) -> Tensor:
    from distrt.core.tensor import Tensor, wrap

    return gradient if isinstance(gradient, Tensor) else wrap(np.array(gradient))


class _Running(threading.local):
    """The passes that run in this thread, the innermost last."""

    def __init__(self) -> None:
        self.passes: list[_Pass] = []


_running = _Running()


def queue_callback(callback: Callable[[], None]) -> None:
    """Calls ``callback`` when the backward pass that runs now has delivered its last gradient.

    Called from a gradient hook; DistributedDataParallel waits for its last bucket there.
    """
    if not _running.passes:
        raise AutogradError("queue_callback: no backward pass is running in this thread")
    _running.passes[0].callbacks.append(callback)


class _Pass:
    """One backward pass: what has arrived where, and which leaves still wait for a consumer."""

    def __init__(self, keep_graph: bool, create_graph: bool, captured: list[Edge] | None) -> None:
        self.keep_graph = keep_graph
        self.create_graph = create_graph
        self.captured: dict[Edge, Any] | None = None if captured is None else dict.fromkeys(captured)
        self.wanted = captured or []
        self.arrived: dict[Any, Any] = {}  # by node for output 0, by edge for the others
        self.summed: set[Any] = set()  # where the engine made the sum itself, and may go on adding in place
        self.callbacks: list[Callable[[], None]] = []
        self.consumers: dict[AccumulateGrad, int] = {}

    def run(self, roots: list[Edge], gradients: list[Any]) -> list[Any]:
        order = self._order(roots)
        for (node, number), gradient in zip(roots, gradients, strict=True):
            self._arrive((node, number) if number else node, gradient)
        for node, _ in roots:
            if type(node) is AccumulateGrad:
                self._consumed(node)
        self._run_nodes(order, self._needed(order))
        if self.captured is None:
            return []
        return [self.captured[edge] for edge in self.wanted]

    def _order(self, roots: list[Edge]) -> list[Node]:
        """The reachable nodes, newest first; counts the consumers of each leaf on the way."""
        found: set[Any] = set()
        order: list[Any] = []
        consumers = self.consumers
        edges: Any = roots
        position = 0
        while True:
            for edge in edges:
                if edge is not None:
                    node = edge[0]
                    if node.__class__ is AccumulateGrad:
                        consumers[node] = consumers.get(node, 0) + 1
                    elif node not in found:
                        found.add(node)
                        order.append(node)
            if position == len(order):
                order.sort(key=_by_age, reverse=True)
                return order
            edges = order[position].edges
            position += 1

    def _needed(self, order: list[Node]) -> set[Node] | None:
        """With captured edges: the nodes on a path to one of them; the others need not run. None means all."""
        if self.captured is None:
            return None
        needed: set[Any] = set()
        for node in reversed(order):
            if any(edge is not None and (edge in self.captured or edge[0] in needed) for edge in node.edges):
                needed.add(node)
        return needed

    def _run_nodes(self, order: list[Node], needed: set[Node] | None) -> None:
        """The loop that a backward pass spends its time in; what is unusual is in the methods below."""
        arrived, consumers, summed = self.arrived, self.consumers, self.summed
        results: Any
        result: Any
        for node in order:
            edges, definition = node.edges, node.definition
            if definition.output_names or node.hooks is not None or needed is not None:
                gradients = self._gradients(node, needed)
            else:
                gradient = arrived.pop(node, None)
                gradients = None if gradient is None else (gradient,)
                gradient = None
            if gradients is None:
                results = (None,) * len(edges)
            elif self.create_graph:
                results = _differentiate_on_tensors(node, node.take_saved(self.keep_graph), gradients)
            else:
                into = self._slots(node) if definition.takes_into else None
                backward: Any = definition.backward or definition.compile()
                first = gradients[0]
                if first.__class__ is np.ndarray and first.dtype is not F32 and first.dtype.kind == "c":
                    backward = _conjugating(definition, backward)
                first = None
                results = backward(edges, node.take_saved(self.keep_graph), *gradients, into)
            finished = None
            for edge, meta, result in zip(edges, node.metas, results, strict=True):
                if edge is None:
                    continue
                target, number = edge
                if result is not None:
                    if (
                        result.__class__ is not np.ndarray
                        or result.dtype is not meta[1]
                        or result.shape != meta[0]
                    ):
                        result = _fit(result, meta, node)
                    place = edge if number else target
                    known = arrived.get(place)
                    if known is None:
                        arrived[place] = result
                    elif place in summed:
                        known += result
                    else:
                        self._arrive(place, result)
                if target.__class__ is AccumulateGrad:
                    consumers[target] -= 1
                    if not consumers[target]:
                        finished = [target] if finished is None else [*finished, target]
            if finished is not None:
                results = result = known = gradients = (
                    None  # nothing but `arrived` holds the leaves' gradients now
                )
                for target in finished:
                    self._finish(target)

    def _arrive(self, place: Any, gradient: Any) -> None:
        known = self.arrived.get(place)
        if known is None:
            self.arrived[place] = gradient
            return
        self.arrived[place] = total = known + gradient
        if total.__class__ is np.ndarray:
            self.summed.add(place)

    def _gradients(self, node: Node, needed: set[Node] | None) -> Any:
        """What has arrived for each output, after hooks and capture; None where the node need not run."""
        count = len(node.definition.output_names) or 1
        gradients = [self.arrived.pop((node, number) if number else node, None) for number in range(count)]
        wanted = needed is None or node in needed
        captured = [number for number in range(count) if self.captured and (node, number) in self.captured]
        if node.hooks is not None and (wanted or captured):
            self._run_hooks(node, gradients)
        for number in captured:
            self.captured[node, number] = gradients[number]  # type: ignore[index]
        return gradients if wanted and any(gradient is not None for gradient in gradients) else None

    def _run_hooks(self, node: Node, gradients: list[Any]) -> None:
        for number, hooks in (node.hooks or {}).items():
            for _, hook in sorted(hooks.items(), key=itemgetter(0)):
                if gradients[number] is not None:
                    gradients[number] = _call_hook(hook, gradients[number], self.create_graph)

    def _slots(self, node: Node) -> tuple[Array | None, ...]:
        """For each input, the bucket slot that its gradient may be written into: a leaf's that nothing else feeds."""
        slots = []
        for edge in node.edges:
            slot = None
            if edge is not None and type(edge[0]) is AccumulateGrad and self.captured is None:
                leaf = edge[0].variable
                alone = self.consumers[edge[0]] == 1 and edge[0] not in self.arrived and not edge[0].hooks
                if leaf is not None and leaf.grad is None and alone:
                    slot = leaf._grad_slot
            slots.append(slot)
        return tuple(slots)

    def _consumed(self, leaf_node: AccumulateGrad) -> None:
        self.consumers[leaf_node] -= 1
        if not self.consumers[leaf_node]:
            self._finish(leaf_node)

    def _finish(self, leaf_node: AccumulateGrad) -> None:
        """Hands a leaf its gradient: its last consumer has run."""
        if leaf_node not in self.arrived or (
            self.captured is not None and (leaf_node, 0) not in self.captured
        ):
            return
        gradient = self.arrived.pop(leaf_node)
        for hook in tuple(leaf_node.hooks.values()):
            gradient = _call_hook(hook, gradient, self.create_graph)
        if self.captured is None:
            accumulate(leaf_node, gradient)
        else:
            self.captured[leaf_node, 0] = gradient


_by_age = attrgetter("sequence")


F32 = np.dtype(np.float32)


def _conjugating(definition: Any, backward: Callable[..., Any]) -> Callable[..., Any]:
    """The backward function for complex numbers, of rules that are written as for real ones.

    The gradient is that of a real loss, conjugated as PyTorch has it: ``conj(conj(g) * f'(x))`` for a holomorphic f.
    """
    if not definition.holomorphic:
        return backward
    from distrt.core import ops

    def conjugated(edges: Any, saved: Any, *gradients_and_into: Any) -> Any:
        *gradients, into = gradients_and_into
        results = backward(edges, saved, *(g if g is None else ops.conj(g) for g in gradients), into)
        return [result if result is None else ops.conj(result) for result in results]

    return conjugated


def _fit(gradient: Any, meta: Any, node: Node) -> Any:
    """Undoes broadcasting and promotion, and holds the rule to the law: a gradient has its input's shape and dtype."""
    shape, dtype = meta
    if type(gradient) is np.ndarray:
        if gradient.shape != shape:
            gradient = _sum_to(gradient, shape, node)
        if gradient.dtype.kind == "c" and dtype.kind != "c":
            gradient = gradient.real
        return gradient if gradient.dtype is dtype or gradient.dtype == dtype else gradient.astype(dtype)
    from distrt.core import ops

    if not hasattr(gradient, "_array"):
        return _fit(np.asarray(gradient), meta, node)
    if gradient._array.shape != shape:
        gradient = ops.sum_to_shape(gradient, shape)
    if gradient._array.dtype.kind == "c" and dtype.kind != "c":
        gradient = ops.real(gradient)
    return gradient if gradient._array.dtype == dtype else ops.to_dtype(gradient, dtype)


def _sum_to(gradient: Array, shape: tuple[int, ...], node: Node) -> Array:
    extra = gradient.ndim - len(shape)
    if extra < 0 or any(
        want not in (1, have) for want, have in zip(shape, gradient.shape[extra:], strict=True)
    ):
        raise AssertionError(
            f"{node.name()}: a rule gave a gradient of shape {gradient.shape} for an input of {shape}"
        )
    stretched = tuple(
        extra + dim for dim, size in enumerate(shape) if size == 1 and gradient.shape[extra + dim] != 1
    )
    summed = gradient.sum(axis=(*range(extra), *stretched), keepdims=True)
    return summed.reshape(shape)


def _call_hook(hook: Any, gradient: Any, create_graph: bool) -> Any:
    """Hooks see tensors; what they return replaces the gradient."""
    from distrt.core.tensor import Tensor, wrap

    given = gradient if create_graph else wrap(np.asarray(gradient))
    returned = hook(given)
    if returned is None:
        return gradient
    if not isinstance(returned, Tensor):
        raise TypeError(
            f"a gradient hook must return a Tensor or None, but returned {type(returned).__name__}"
        )
    return returned if create_graph else returned._array


def _differentiate_on_tensors(node: Node, saved: tuple[Any, ...], gradients: Any) -> Any:
    """Runs the rules on tensors that stand where the kept arrays stood in the graph, so that they record."""
    definition = node.definition
    values = tuple(_restore(node, name, value) for name, value in zip(definition.kept, saved, strict=True))
    if definition.joint_rule is not None and definition.function.composite is not None:
        return _differentiate_composite(node, dict(zip(definition.kept, values, strict=True)), gradients)
    backward = definition.backward or definition.compile()
    if any(gradient is not None and gradient._array.dtype.kind == "c" for gradient in gradients):
        backward = _conjugating(definition, backward)
    return backward(node.edges, values, *gradients, None)


def _restore(node: Node, name: str, value: Any) -> Any:
    """A kept array as the tensor it was: an input with its own edge, an output with this node's."""
    from distrt.core import ops
    from distrt.core.tensor import wrap

    definition = node.definition
    if value is None:
        return None
    if name == "out":
        return wrap(value, (node, 0))
    if name in definition.output_names:
        return wrap(value, (node, definition.output_names.index(name)))
    if name == definition.sequence:
        return [wrap(each, edge) for each, edge in zip(value, node.edges, strict=True)]
    if name not in definition.tensors or not hasattr(value, "dtype"):
        return value
    names = definition.differentiable
    position = names.index(name) if name in names else None
    if position is None or node.edges[position] is None:
        return wrap(value)
    meta = node.metas[position]
    if value.dtype == meta[1]:
        return wrap(value, node.edges[position])
    return ops.to_dtype(
        wrap(value.astype(meta[1]), node.edges[position]), value.dtype
    )  # it was promoted on the way in


def _differentiate_composite(node: Node, values: dict[str, Any], gradients: Any) -> Any:
    """Re-runs the operation as plain ops on stand-ins of its inputs, and differentiates that.

    The stand-ins are copies of the graph's edges (an identity op), so the gradient of each input arrives exactly
    once, here, and not at the leaves behind it. An input that the joint rule does not name has no part in any
    gradient: zeros stand for it.
    """
    from distrt.core import ops
    from distrt.core.tensor import wrap

    definition = node.definition
    with_edges = []
    for name, edge, meta in zip(definition.differentiable, node.edges, node.metas, strict=True):
        if edge is not None:
            with_edges.append(name)
            values[name] = ops.identity(values[name] if name in values else wrap(np.zeros(*meta), edge))
    arguments = {name: values[name] for name in definition.parameters if name in values}
    result = definition.function.composite(**arguments)  # type: ignore[misc]
    wanted = [values[name]._edge for name in with_edges]
    found = run_backward([result._edge], gradients[:1], keep_graph=True, create_graph=True, captured=wanted)
    by_name = dict(zip(with_edges, found, strict=True))
    return tuple(by_name.get(name) for name in definition.differentiable)


#: References to a fresh array while ``accumulate`` holds it: the caller's variable, the parameter, getrefcount's own.
_REFERENCES_WHEN_OURS = 3


def accumulate(leaf_node: AccumulateGrad, gradient: Any) -> None:
    """Adds a gradient to the leaf's ``.grad`` and runs the hooks that wait for it.

    With a bucket slot, ``.grad`` becomes a view of the slot (a kernel may have written there already). Otherwise a
    fresh array that nobody else holds is taken as it is, and any other is copied.
    """
    from distrt.core.tensor import Tensor, wrap

    leaf = leaf_node.variable
    if leaf is None or leaf._edge is None:  # gone, or frozen since the forward pass
        return
    if isinstance(gradient, Tensor):
        _accumulate_tensor(leaf, gradient)
    elif leaf.grad is not None:
        held = leaf.grad._array
        held += gradient
        leaf.grad._counter[0] += 1
    elif leaf._grad_slot is not None:
        slot = leaf._grad_slot
        if gradient is not slot:
            slot[...] = gradient
        leaf.grad = wrap(slot)
    else:
        fresh = type(gradient) is np.ndarray and gradient.base is None and gradient.flags.c_contiguous
        ours = fresh and getrefcount(gradient) <= _REFERENCES_WHEN_OURS
        leaf.grad = wrap(gradient if ours else np.array(gradient, order="C"))
    for hook in tuple(leaf_node.post_hooks.values()):
        hook(leaf)


def _accumulate_tensor(leaf: Tensor, gradient: Tensor) -> None:
    if leaf.grad is not None:
        leaf.grad = leaf.grad + gradient
    elif leaf._grad_slot is not None:
        leaf._grad_slot[...] = gradient._array
        leaf.grad = gradient
    else:
        leaf.grad = gradient


def grad_of_root(root: Tensor, gradient: Any, create_graph: bool) -> Any:
    """The gradient that a backward pass starts with: the one given, or 1 for a root of one element.

    Raises:
        AutogradError: for a root that has no graph, or several elements and no gradient given.
        RuntimeError: for a gradient of another shape.
    """
    from distrt.core.tensor import Tensor, wrap

    if root._edge is None:
        raise AutogradError("element 0 of tensors does not require grad and does not have a grad_fn")
    if gradient is None:
        if root._array.size != 1:
            raise AutogradError(
                f"grad can be implicitly created only for scalar outputs; this one has shape {list(root.shape)}: "
                "reduce it first, e.g. with .sum(), or pass backward(gradient=...)"
            )
        started = np.ones(root._array.shape, root._array.dtype)
        return wrap(started) if create_graph else started
    if not isinstance(gradient, Tensor):
        raise TypeError(f"gradients can be either Tensors or None, but got {type(gradient).__name__}")
    if gradient._array.shape != root._array.shape:
        raise AutogradError(
            f"Mismatch in shape: grad_output[0] has a shape of {gradient.shape} and output[0] has a shape of "
            f"{root.shape}."
        )
    return gradient if create_graph else gradient._array.astype(root._array.dtype, copy=False)
