"""Facade: gradients as values, at the path that PyTorch users type. The engine is ``distrt.core.autograd``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distrt.core import methods as _methods  # noqa: F401
from distrt.core.autograd import engine
from distrt.core.errors import AutogradError
from distrt.core.modes import enable_grad, inference_mode, no_grad, set_grad_enabled
from distrt.core.tensor import Tensor, wrap

__all__ = ["backward", "enable_grad", "grad", "inference_mode", "no_grad", "set_grad_enabled"]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, Sequence) else [value]


def _started(outputs: list[Tensor], grad_outputs: Any, create_graph: bool) -> list[Any]:
    given = [None] * len(outputs) if grad_outputs is None else _listed(grad_outputs)
    if len(given) != len(outputs):
        raise AutogradError(f"got {len(outputs)} tensors and {len(given)} gradients")
    return [
        engine.grad_of_root(out, gradient, create_graph) for out, gradient in zip(outputs, given, strict=True)
    ]


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of ``outputs`` with respect to ``inputs``; ``.grad`` of the leaves is left alone.

    Args:
        outputs: tensors to differentiate.
        inputs: tensors in their graph.
        grad_outputs: the outputs' own gradients; 1 for outputs of one element.
        retain_graph: keep the graph. Default: the value of ``create_graph``.
        create_graph: make the results differentiable.
        allow_unused: None instead of an error for an input that the outputs do not depend on.
        materialize_grads: zeros instead of None for such an input.

    Raises:
        RuntimeError: for an input that does not require grad or was not used.
    """
    roots, leaves = _listed(outputs), _listed(inputs)
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: False."
        )
    for leaf in leaves:
        if not leaf.requires_grad:
            raise AutogradError("One of the differentiated Tensors does not require grad")
    keep = create_graph if retain_graph is None else retain_graph
    started = _started(roots, grad_outputs, create_graph)
    edges = [leaf._edge for leaf in leaves]
    found = engine.run_backward([root._edge for root in roots], started, keep, create_graph, captured=edges)
    results = []
    for leaf, gradient in zip(leaves, found, strict=True):
        if gradient is None and not (allow_unused or materialize_grads):
            raise AutogradError(
                "One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True "
                "if this is the desired behavior."
            )
        if gradient is None:
            results.append(wrap(leaf._array * 0) if materialize_grads else None)
        else:
            results.append(gradient if isinstance(gradient, Tensor) else wrap(gradient))
    return tuple(results)


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> None:
    """Adds the gradients of ``tensors`` to every leaf in their graph, in one pass."""
    roots = _listed(tensors)
    started = _started(roots, grad_tensors, create_graph)
    keep = create_graph if retain_graph is None else retain_graph
    engine.run_backward([root._edge for root in roots], started, keep, create_graph)
