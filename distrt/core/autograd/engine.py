"""The engine: runs the graph backwards, newest node first, without recursion.

Called by ``core/autograd/roots.py``. Every consumer of a value is newer than its producer, so newest first is a
topological order, and it is the same order on every rank. A leaf's gradient is delivered the moment its last consumer
has run (not at the end), which is what lets gradients travel while the pass goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.autograd import hooks as hooking
from distrt.core.autograd.accumulation import accumulate, free_slot
from distrt.core.autograd.laws import brought_home, conjugating, fit
from distrt.core.autograd.node import AFTER, AccumulateGrad, Edge, Node
from distrt.core.autograd.on_tensors import differentiate_on_tensors
from distrt.core.errors import AutogradError
from distrt.core.gpu.places import go_to, staying
from distrt.core.kernels.elements import add_into, added
from distrt.core.modes import modes, used
from distrt.core.process.activity import BACKWARD, doing


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
    current = _Pass(keep_graph, create_graph, captured)
    _running.passes.append(current)
    try:
        modes.record(create_graph)  # in here, so that an interrupt cannot leave it as it is
        with doing(BACKWARD):
            found = current.run(roots, gradients)
            if deliver is not None:
                deliver(found)
            for callback in current.callbacks:
                callback()
        return found
    finally:
        _running.passes.pop().callbacks.clear()  # a callback may refer to its pass
        modes.record(outer)


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


def when_over(callback: Callable[[], None]) -> None:
    """As :func:`queue_callback`; outside a pass, which is over already, calls at no time."""
    if _running.passes:
        queue_callback(callback)


def is_running() -> bool:
    """Whether a pass runs in this thread."""
    return bool(_running.passes)


def running_pass() -> _Pass:
    """The innermost pass that runs in this thread.

    Raises:
        AutogradError: when none runs.
    """
    if not _running.passes:
        raise AutogradError("no backward pass is running in this thread")
    return _running.passes[-1]


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
        self.watcher = modes.backward_watcher  # anomaly mode's
        self._reached: list[Node] = []
        self._needed_nodes: set[Node] | None = None

    def run(self, roots: list[Edge], gradients: list[Any]) -> list[Any]:
        if not used.gpu:
            return self._run(roots, gradients)
        with staying():
            return self._run(roots, gradients)

    def _run(self, roots: list[Edge], gradients: list[Any]) -> list[Any]:
        order = self._order(roots)
        for (node, number), gradient in zip(roots, gradients, strict=True):
            self._arrive((node, number) if number else node, gradient)
        for node, _ in roots:
            if type(node) is AccumulateGrad:
                self._consumed(node)
        self._reached, self._needed_nodes = order, self._needed(order)
        self._run_nodes(order, self._needed_nodes)
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
        arrived, consumers, summed, watcher = self.arrived, self.consumers, self.summed, self.watcher
        create_graph, keep_graph, on_gpus, plain = self.create_graph, self.keep_graph, used.gpu, np.ndarray
        all_plain = needed is None and watcher is None
        results: Any
        result: Any
        for node in order:
            edges, definition, hooks = node.edges, node.definition, node.hooks
            if definition.output_names or hooks is not None or not all_plain:
                if watcher is None:
                    gradients = self.gradients_of(node, needed)
                else:
                    gradients = watcher.gradients(self, node, needed)
            else:
                gradient = arrived.pop(node, None)
                gradients = None if gradient is None else (gradient,)
                gradient = None
            if on_gpus and gradients is not None:  # each GPU's nodes run there
                go_to(gradients)
            if gradients is None:
                results = (None,) * len(edges)
            elif watcher is not None:
                results = watcher.run(self, node, gradients)
            elif create_graph:
                results = differentiate_on_tensors(node, node.take_saved(keep_graph), gradients)
            else:
                into = self._slots(node) if definition.takes_into else None
                backward: Any = definition.backward or definition.compile()
                first = gradients[0]
                if first is not None and first.dtype is not F32 and first.dtype.kind == "c":
                    backward = conjugating(definition, backward)
                first = None
                results = backward(edges, node.take_saved(keep_graph), *gradients, into)
            if hooks is not None and AFTER in hooks and gradients is not None:
                results = hooking.after(node, self._fitted(node, results), gradients)
            finished = None
            for edge, meta, result in zip(edges, node.metas, results, strict=True):
                if edge is None:
                    continue
                target, number = edge
                if result is not None:
                    if (
                        result.__class__ is not plain
                        or result.dtype is not meta[1]
                        or result.shape != meta[0]
                    ):
                        result = fit(result, meta, node, edges.index(edge))
                    place = edge if number else target
                    known = arrived.get(place)
                    if known is None:
                        arrived[place] = result
                    elif on_gpus:
                        self._arrive(place, result)
                    elif place in summed:
                        add_into(known, result)
                    else:
                        self._arrive(place, result)
                if target.__class__ is AccumulateGrad:
                    consumers[target] -= 1
                    if not consumers[target]:
                        finished = [target] if finished is None else [*finished, target]
            if finished is not None:
                results = result = known = gradients = into = (
                    None  # nothing but `arrived` holds the leaves' gradients now
                )
                if definition.delivers_last_first:
                    finished.reverse()
                for target in finished:
                    self._finish(target)

    def reaches(self, edge: Edge) -> bool:
        """True where this pass computes, or has computed, the gradient at ``edge``."""
        node = edge[0]
        if self.captured is not None and edge in self.captured:
            return True
        if isinstance(node, AccumulateGrad):
            return self.captured is None and node in self.consumers
        return node in (self._reached if self._needed_nodes is None else self._needed_nodes)

    def differentiate(self, node: Node, gradients: Any) -> Any:
        """Runs one node, without any of the short cuts of the loop above."""
        saved, definition = node.take_saved(self.keep_graph), node.definition
        if self.create_graph:
            return differentiate_on_tensors(node, saved, gradients)
        backward: Any = definition.backward or definition.compile()
        if any(gradient is not None and gradient.dtype.kind == "c" for gradient in gradients):
            backward = conjugating(definition, backward)
        into = (None,) * len(node.edges) if definition.takes_into else None
        return backward(node.edges, saved, *gradients, into)

    def _fitted(self, node: Node, results: Any) -> list[Any]:
        return [
            None if result is None or edge is None else fit(result, meta, node, index)
            for index, (edge, meta, result) in enumerate(zip(node.edges, node.metas, results, strict=True))
        ]

    def _arrive(self, place: Any, gradient: Any) -> None:
        known = self.arrived.get(place)
        if known is None:
            self.arrived[place] = gradient
            return
        if used.gpu:
            go_to((known,))
        total = added(known, gradient)
        if isinstance(total, np.generic):  # what NumPy makes of two 0-d arrays
            total = np.asarray(total)
        self.arrived[place] = total
        if total.__class__ is np.ndarray:
            self.summed.add(place)

    def gradients_of(self, node: Node, needed: set[Node] | None) -> Any:
        """What has arrived for each output, after hooks and capture; None where the node need not run."""
        count = len(node.definition.output_names) or 1
        gradients = [self.arrived.pop((node, number) if number else node, None) for number in range(count)]
        wanted = needed is None or node in needed
        captured = [number for number in range(count) if self.captured and (node, number) in self.captured]
        if node.hooks is not None and (wanted or captured):
            for number, hooks in node.hooks.items():
                if number >= 0 and gradients[number] is not None:
                    gradients[number] = hooking.call_hooks(hooking.in_order(hooks), gradients[number])
        for number in captured:
            self.captured[node, number] = gradients[number]  # type: ignore[index]
        if not wanted or (all(gradient is None for gradient in gradients) and not node.is_custom):
            return None
        return gradients if node.hooks is None else hooking.before(node, gradients)

    def _slots(self, node: Node) -> tuple[Array | None, ...]:
        """For each input, the bucket slot that its gradient may be written into: a leaf's that nothing else feeds."""
        slots = []
        for edge in node.edges:
            slot = None
            if edge is not None and type(edge[0]) is AccumulateGrad and self.captured is None:
                leaf = edge[0].variable
                alone = self.consumers[edge[0]] == 1 and edge[0] not in self.arrived and not edge[0].hooks
                if leaf is not None and leaf._grad is None and alone:
                    slot = free_slot(leaf)
            slots.append(slot)
        return tuple(slots)

    def _consumed(self, leaf_node: AccumulateGrad) -> None:
        self.consumers[leaf_node] -= 1
        if not self.consumers[leaf_node]:
            self._finish(leaf_node)

    def _finish(self, leaf_node: AccumulateGrad) -> None:
        """Hands a leaf its gradient: its last consumer has run."""
        gradient = self.arrived.pop(leaf_node, None)
        if gradient is None:
            return
        if used.gpu:
            gradient = brought_home(gradient, leaf_node.variable)
            go_to((gradient,))
        captured, hooks = self.captured, leaf_node.hooks
        if captured is None and hooks is None:
            accumulate(leaf_node, gradient)
            return
        if captured is not None and (leaf_node, 0) not in captured:
            return
        if hooks is not None:
            gradient = hooking.call_hooks(hooking.in_order(hooks.get(0, {})), gradient)
        if captured is not None:
            captured[leaf_node, 0] = gradient
        else:
            (gradient,) = hooking.before(leaf_node, [gradient])
            accumulate(leaf_node, gradient)
            hooking.after(leaf_node, [], [gradient])


_by_age = attrgetter("sequence")


F32 = np.dtype(np.float32)
