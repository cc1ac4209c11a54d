"""Hooks on gradients and on nodes: they see tensors, and what they return replaces what they saw."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Any

from distrt.core.arrays import as_array
from distrt.core.autograd.complaint import type_name
from distrt.core.autograd.node import AFTER, BEFORE, GraphNode, Hooks
from distrt.core.errors import AutogradError


def in_order(hooks: Hooks) -> list[Any]:
    """The hooks in the order of their registration; a copy, so that a hook may remove itself."""
    return [hook for _, hook in sorted(hooks.items(), key=itemgetter(0))]


def call_hooks(hooks: Iterable[Any], gradient: Any) -> Any:
    """Runs hooks on one gradient, one after the other; returns what they made of it.

    Raises:
        TypeError: for a hook that returns something else than a tensor or None.
        AutogradError: for one that returns a tensor of another shape or dtype.
    """
    for hook in hooks:
        given = _as_tensor(gradient)
        returned = hook(given)
        if returned is not None:
            _require_like(given, returned, hook)
            gradient = returned if given is gradient else returned._array
    return gradient


def before(node: GraphNode, gradients: list[Any]) -> list[Any]:
    """Runs the hooks on a node that is about to run; returns its outputs' gradients."""
    for hook in in_order((node.hooks or {}).get(BEFORE, {})):
        gradients = _replace(hook, gradients, hook(_as_tensors(gradients)))
    return gradients


def after(node: GraphNode, results: list[Any], gradients: Any) -> list[Any]:
    """Runs the hooks on a node that has run; returns its inputs' gradients."""
    places = node.shown()
    seen = [results[place] for place in places]
    for hook in in_order((node.hooks or {}).get(AFTER, {})):
        seen = _replace(hook, seen, hook(_as_tensors(seen), _as_tensors(gradients)))
    for place, gradient in zip(places, seen, strict=True):
        results[place] = gradient
    return results


def _as_tensors(gradients: Any) -> tuple[Any, ...]:
    return tuple(None if each is None else _as_tensor(each) for each in gradients)


def _as_tensor(gradient: Any) -> Any:
    from distrt.core.tensor import Tensor, wrap_unseen

    return gradient if isinstance(gradient, Tensor) else wrap_unseen(as_array(gradient))


def _replace(hook: Any, values: list[Any], returned: Any) -> list[Any]:
    if returned is None:
        return values
    if not isinstance(returned, tuple):
        raise TypeError(f"expected tuple, but hook returned '{type(returned).__name__}'")
    if len(returned) != len(values):
        raise AutogradError(
            f"hook '{_name(hook)}' has returned an incorrect number of values (got {len(returned)}, but expected "
            f"{len(values)})"
        )
    replaced = []
    for given, new in zip(values, returned, strict=True):
        if new is not None and given is not None:
            _require_like(_as_tensor(given), new, hook)
        on_tensors = hasattr(given, "_array")
        replaced.append(new if new is None or on_tensors else new._array)
    return replaced


def _require_like(given: Any, returned: Any, hook: Any) -> None:
    if not hasattr(returned, "_array"):
        raise TypeError(f"expected Variable, but hook returned '{type(returned).__name__}'")
    if returned._array.shape != given._array.shape:
        raise AutogradError(f"hook '{_name(hook)}' has changed the size of value")
    if returned._array.dtype != given._array.dtype:
        raise AutogradError(
            f"hook '{_name(hook)}' has changed the type of value (was {type_name(given._array)} got "
            f"{type_name(returned._array)})"
        )


def _name(hook: Any) -> str:
    return str(getattr(hook, "__name__", type(hook).__name__))
