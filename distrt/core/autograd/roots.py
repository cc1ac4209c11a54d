"""Where a pass starts: ``backward`` and ``grad``, the gradients of their roots, and what they refuse."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from distrt.core.arrays import filled
from distrt.core.autograd import hooks
from distrt.core.autograd.accumulation import accumulate, accumulate_tensor
from distrt.core.autograd.engine import run_backward
from distrt.core.autograd.node import AccumulateGrad, Edge, GraphNode
from distrt.core.errors import AutogradError, UnsupportedError
from distrt.core.gpu.places import at
from distrt.core.modes import used

if TYPE_CHECKING:
    from distrt.core.tensor import Tensor


class GradientEdge(NamedTuple):
    """A place in the graph, without the tensor that stands there: ``backward`` and ``grad`` take it like a tensor."""

    node: GraphNode
    output_nr: int
    ownership_token: GraphNode | None = None


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Adds the gradients of ``tensors`` to ``.grad`` of every leaf in their graph, in one pass.

    Args:
        tensors: the roots, one tensor or several.
        grad_tensors: the roots' own gradients; None for one that has one element.
        retain_graph: keep the graph for another pass. Default: the value of ``create_graph``.
        create_graph: record the pass itself, so that the gradients can be differentiated.
        inputs: the tensors to whose ``.grad`` is added, leaves or not. Default: every leaf.

    Raises:
        RuntimeError: for a root without a graph, or of several elements and without a gradient.
    """
    roots = _listed(tensors)
    started = _started(roots, grad_tensors, create_graph)
    keep = create_graph if retain_graph is None else retain_graph
    edges = [edge_of(root) for root in roots]
    if inputs is None:
        run_backward(edges, started, keep, create_graph)  # type: ignore[arg-type]
        return
    wanted = list({id(each): each for each in _listed(inputs)}.values())
    if not wanted:
        raise AutogradError("`inputs` argument to `backward()` cannot be empty.")
    _backward_into(wanted, edges, started, keep, create_graph)


def _backward_into(
    inputs: list[Any], roots: list[Any], started: list[Any], keep_graph: bool, create_graph: bool
) -> None:
    edges: list[Any] = [edge_of(each) for each in inputs]
    if None in edges:
        raise AutogradError("can't retain_grad on Tensor that has requires_grad=False")

    def deliver(found: list[Any]) -> None:
        for tensor, edge, arrived in zip(inputs, edges, found, strict=True):
            if arrived is None:
                continue
            if type(edge[0]) is AccumulateGrad:
                (arrived,) = hooks.before(edge[0], [arrived])
                accumulate(edge[0], arrived)
                hooks.after(edge[0], [], [arrived])
            elif not isinstance(tensor, GradientEdge):
                accumulate_tensor(tensor, _as_tensor(arrived))

    run_backward(roots, started, keep_graph, create_graph, captured=edges, deliver=deliver)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of ``outputs`` with respect to ``inputs``; ``.grad`` of the leaves is left alone.

    Args:
        outputs: tensors to differentiate.
        inputs: tensors in their graph.
        grad_outputs: the outputs' own gradients; None for outputs of one element.
        retain_graph: keep the graph. Default: the value of ``create_graph``.
        create_graph: make the results differentiable.
        only_inputs: must be True.
        allow_unused: None instead of an error for an input that the outputs do not depend on.
        is_grads_batched: each of ``grad_outputs`` is a row of gradients along dim 0, and so are the results; a
            backward pass each.
        materialize_grads: zeros instead of None for such an input.

    Raises:
        RuntimeError: for an input that does not require grad or was not used.
    """
    roots, leaves = _listed(outputs), _listed(inputs)
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    _refuse(only_inputs)
    if is_grads_batched:
        keep = create_graph if retain_graph is None else retain_graph
        return _batched(roots, leaves, grad_outputs, keep, (create_graph, allow_unused, materialize_grads))
    keep = create_graph if retain_graph is None else retain_graph
    started = _started(roots, grad_outputs, create_graph)
    edges = [edge_of(leaf) for leaf in leaves]
    if not edges:
        raise AutogradError("`inputs` argument to `grad()` cannot be empty.")
    if None in edges:
        raise AutogradError("One of the differentiated Tensors does not require grad")
    found = run_backward(
        [edge_of(root) for root in roots],  # type: ignore[misc]
        started,
        keep,
        create_graph,
        captured=edges,  # type: ignore[arg-type]
    )
    if not (allow_unused or materialize_grads) and any(gradient is None for gradient in found):
        index = next(number for number, gradient in enumerate(found) if gradient is None)
        raise AutogradError(
            f"The differentiated Tensor at index {index} appears to not have been used in the graph. Set "
            "allow_unused=True if this is the desired behavior."
        )
    return tuple(
        _gradient_of(leaf, gradient)
        if gradient is not None
        else _zeros_like(leaf)
        if materialize_grads
        else None
        for leaf, gradient in zip(leaves, found, strict=True)
    )


def _refuse(only_inputs: bool) -> None:
    if not only_inputs:
        raise UnsupportedError(
            "grad: only_inputs=False was deprecated in PyTorch long ago; to add to every leaf's .grad, call "
            "autograd.backward"
        )


def _batched(
    roots: list[Any], leaves: list[Any], rows: Any, keep: bool, options: tuple[bool, bool | None, bool]
) -> tuple[Any, ...]:
    """The results of one backward pass for each row of gradients, stacked."""
    from distrt.core.ops import stack

    create_graph, allow_unused, materialize_grads = options
    slices = list(zip(*(each.unbind(0) for each in _listed(rows)), strict=True))
    found = [
        grad(
            roots,
            leaves,
            list(each),
            retain_graph=keep or number < len(slices) - 1,
            create_graph=create_graph,
            allow_unused=allow_unused,
            materialize_grads=materialize_grads,
        )
        for number, each in enumerate(slices)
    ]
    return tuple(None if column[0] is None else stack(column) for column in zip(*found, strict=True))


def edge_of(place: Any) -> Edge | None:
    """Where a tensor, or a ``GradientEdge``, stands in the graph; None where it requires no grad.

    Raises:
        TypeError: for anything else.
    """
    if isinstance(place, GradientEdge):
        return (place.node, place.output_nr)  # type: ignore[return-value]
    from distrt.core.tensor import Tensor

    if not isinstance(place, Tensor):
        raise TypeError(f"expected Tensors or GradientEdges to differentiate, but got {type(place).__name__}")
    return place._edge


def _listed(value: Any) -> list[Any]:
    if isinstance(value, GradientEdge) or hasattr(value, "_array"):
        return [value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(value)
    try:
        return list(value)
    except TypeError:
        raise TypeError(
            f"expected a Tensor or a sequence of Tensors, but got {type(value).__name__}"
        ) from None


def _started(roots: list[Any], gradients: Any, create_graph: bool) -> list[Any]:
    given = [None] * len(roots) if gradients is None else _listed(gradients)
    if len(given) != len(roots):
        raise AutogradError(f"got {len(roots)} tensors and {len(given)} gradients")
    return [
        _grad_of_root(number, root, gradient, create_graph)
        for number, (root, gradient) in enumerate(zip(roots, given, strict=True))
    ]


def _grad_of_root(number: int, root: Any, gradient: Any, create_graph: bool) -> Any:
    """The gradient that a pass starts with: the one given, or 1 for a root of one element."""
    from distrt.core.tensor import Tensor, wrap

    if edge_of(root) is None:
        raise AutogradError(f"element {number} of tensors does not require grad and does not have a grad_fn")
    if gradient is not None and not isinstance(gradient, Tensor):
        raise TypeError(f"gradients can be either Tensors or None, but got {type(gradient).__name__}")
    if isinstance(root, GradientEdge):
        if gradient is None:
            raise AutogradError(
                "grad can be implicitly created only for scalar outputs, not for a GradientEdge"
            )
        return gradient if create_graph else gradient._array
    root, gradient = root._as_root(gradient)
    if gradient is None:
        started = _one(root)
        return wrap(started) if create_graph else started
    _require_fit(number, root, gradient)
    if gradient.device != root.device:  # a number, which may come from anywhere
        gradient = gradient.to(root.device)
    return gradient if create_graph else gradient._array.astype(root._array.dtype, copy=False)


def _one(root: Tensor) -> Any:
    if root._array.size != 1:
        raise AutogradError(
            f"grad can be implicitly created only for scalar outputs; this one has shape {list(root.shape)}: "
            "reduce it first, e.g. with .sum(), or pass backward(gradient=...)"
        )
    if root.is_complex():
        raise AutogradError(
            f"grad can be implicitly created only for real scalar outputs but got {root.dtype}"
        )
    with at(root._array) if used.gpu else nullcontext():
        return filled(root._array.shape, 1, root._array.dtype, root._array)


def _require_fit(number: int, root: Tensor, gradient: Tensor) -> None:
    if gradient._array.shape != root._array.shape:
        raise AutogradError(
            f"Mismatch in shape: grad_output[{number}] has a shape of {gradient.shape} and output[{number}] has a "
            f"shape of {root.shape}."
        )
    if gradient.is_complex() != root.is_complex():
        raise AutogradError(
            "For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in dtype: "
            f"grad_output[{number}] has a dtype of {gradient.dtype} and output[{number}] has a dtype of {root.dtype}."
        )
    if gradient.ndim and gradient.device != root.device:
        raise AutogradError(
            f"invalid gradient at index {number} - expected device {root.device} but got {gradient.device}"
        )


def _as_tensor(gradient: Any) -> Tensor:
    from distrt.core.tensor import Tensor, wrap_unseen

    return gradient if isinstance(gradient, Tensor) else wrap_unseen(gradient)


def _gradient_of(place: Any, gradient: Any) -> Tensor:
    found = _as_tensor(gradient)
    return found if isinstance(place, GradientEdge) else place._as_gradient(found)


def _zeros_like(place: Any) -> Any:
    from distrt.core.tensor import wrap

    if isinstance(place, GradientEdge):
        return None
    return place._as_gradient(wrap(np.zeros(place._array.shape, place._array.dtype, like=place._array)))
