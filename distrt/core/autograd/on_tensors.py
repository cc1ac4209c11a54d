"""Running a node's rules on tensors, so that the gradients can themselves be differentiated (``create_graph=True``)."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import beside
from distrt.core.autograd.complaint import counted_names
from distrt.core.autograd.laws import conjugating
from distrt.core.autograd.node import Node


def differentiate_on_tensors(node: Node, saved: tuple[Any, ...], gradients: Any) -> Any:
    """Runs the rules on tensors that stand where the kept arrays stood in the graph, so that they record."""
    definition = node.definition
    if node.is_custom:
        return definition.backward(node.edges, saved, *gradients, None)  # type: ignore[misc]
    values = tuple(_restore(node, name, value) for name, value in zip(definition.kept, saved, strict=True))
    _share_counters(node, saved, values)
    if definition.joint_rule is not None and definition.function.composite is not None:
        return _differentiate_composite(node, dict(zip(definition.kept, values, strict=True)), gradients)
    backward = definition.backward or definition.compile()
    if any(gradient is not None and gradient._array.dtype.kind == "c" for gradient in gradients):
        backward = conjugating(definition, backward)
    return backward(node.edges, values, *gradients, None)


def _share_counters(node: Node, saved: tuple[Any, ...], values: tuple[Any, ...]) -> None:
    """What the rules record keeps the same memory: it must notice later in-place changes, too."""
    if not node.counters:
        return
    names = counted_names(node, saved)
    if len(names) != len(node.counters):
        return
    by_name = dict(zip(node.definition.kept, values, strict=True))
    for name, counter in zip(names, node.counters, strict=True):
        value = by_name[name]
        if hasattr(value, "_counter"):  # what only steers the operation comes as an array
            value._counter = counter


def _restore(node: Node, name: str, value: Any) -> Any:
    """A kept array as the tensor it was: an input with its own edge, an output with this node's."""
    from distrt.core import ops
    from distrt.core.tensor import wrap, wrap_unseen

    definition = node.definition
    if value is None:
        return None
    if name == "out":
        return wrap_unseen(value, (node, 0))
    if name in definition.output_names:
        return wrap_unseen(value, (node, definition.output_names.index(name)))
    if name == definition.sequence:
        return [wrap_unseen(each, edge) for each, edge in zip(value, node.edges, strict=True)]
    if name not in definition.tensors or not hasattr(value, "dtype"):
        return value
    names = definition.differentiable
    position = names.index(name) if name in names else None
    if position is None or node.edges[position] is None:
        return wrap_unseen(value)
    meta = node.metas[position]
    if value.dtype == meta[1]:
        return wrap_unseen(value, node.edges[position])
    given = value.real if value.dtype.kind == "c" and meta[1].kind != "c" else value
    # It was promoted on the way in.
    return ops.to_dtype(wrap(given.astype(meta[1]), node.edges[position]), value.dtype)


def _differentiate_composite(node: Node, values: dict[str, Any], gradients: Any) -> Any:
    """Re-runs the operation as plain ops on stand-ins of its inputs, and differentiates that.

    The stand-ins are copies of the graph's edges (an identity op), so the gradient of each input arrives exactly
    once, here, and not at the leaves behind it. An input that the joint rule does not name has no part in any
    gradient: zeros stand for it. Where the plain form gives fewer outputs, nobody has the others' gradients.
    """
    from distrt.core import ops
    from distrt.core.autograd.engine import run_backward
    from distrt.core.tensor import wrap

    definition = node.definition
    there = beside(next(each for each in gradients if each is not None))
    with_edges = []
    for name, edge, meta in zip(definition.differentiable, node.edges, node.metas, strict=True):
        if edge is not None:
            with_edges.append(name)
            given = wrap(np.zeros(*meta, like=there), edge) if values.get(name) is None else values[name]
            values[name] = ops.identity(given)
            values[name]._counter = given._counter
        elif values.get(name) is None and f"{name}_meta" in values:  # not kept: no wanted gradient needs it
            values[name] = wrap(np.zeros(*values[f"{name}_meta"], like=there))
    arguments = {name: values[name] for name in definition.parameters if name in values}
    results = definition.function.composite(**arguments)  # type: ignore[misc]
    several = results if isinstance(results, tuple) else (results,)
    roots = [
        (result._edge, gradient)
        for result, gradient in zip(several, gradients, strict=False)
        if gradient is not None and result._edge is not None
    ]
    wanted = [values[name]._edge for name in with_edges]
    edges, given = zip(*roots, strict=True) if roots else ((), ())
    found = run_backward(list(edges), list(given), keep_graph=True, create_graph=True, captured=wanted)
    by_name = dict(zip(with_edges, found, strict=True))
    return tuple(by_name.get(name) for name in definition.differentiable)
