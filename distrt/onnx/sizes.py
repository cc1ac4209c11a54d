"""Which sizes of a recording are the same in every run: found by a second run with other sizes in dynamic axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.dtypes import dtype as dt
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.tracing import Graph, Node, TracerWarning, Value, values_in

__all__ = ["Sizes", "changes_input", "compared", "counting", "have_other_counts", "outputs_of"]


class Sizes:
    """What is known of the sizes in a recording.

    Args:
        others: the sizes of each tensor, or the value of each recorded integer, in the second run.
    """

    def __init__(self, others: dict[Value, Any] | None = None) -> None:
        self._others = others or {}

    def of(self, value: Value) -> tuple[int | None, ...]:
        """The sizes of a tensor; None for one that differs between the runs."""
        other = self._others.get(value, value.shape)
        return tuple(
            mine if mine == theirs else None for mine, theirs in zip(value.shape, other, strict=True)
        )

    def is_dynamic(self, value: Value) -> bool:
        """Whether a recorded integer differs between the runs."""
        return bool(self._others.get(value, value.example) != value.example)

    def in_other_run(self, value: Value) -> tuple[int, ...]:
        """The sizes of a tensor in the second run."""
        return tuple(self._others.get(value, value.shape))


def compared(first: Graph, second: Graph) -> Sizes:
    """What two recordings of one model with other sizes have in common; what they do not is warned of."""
    others: dict[Value, Any] = {}
    for mine, theirs in zip(first.inputs, second.inputs, strict=True):
        others[mine] = theirs.shape
    if [node.target for node in first.nodes] != [node.target for node in second.nodes]:
        _warn(
            "its operations are others for other sizes: the exported ones are those for the sizes that were given"
        )
        return Sizes(others)
    needed = _needed(first)
    for node, other in zip(first.nodes, second.nodes, strict=True):
        for mine, theirs in zip(node.outputs, other.outputs, strict=True):
            same_rank = len(mine.shape) == len(theirs.shape)
            others[mine] = (
                (theirs.example if mine.type == "int" else theirs.shape) if same_rank else mine.shape
            )
        if node in needed and _plain((node.args, node.kwargs)) != _plain((other.args, other.kwargs)):
            _warn(
                f"{node.target} in {node.scope or 'the model itself'} ({node.where}) has sizes as plain numbers, which "
                "are those of the inputs that were given"
            )
    for mine, theirs in zip(first.constants.values(), second.constants.values(), strict=False):
        if not _are_same(mine.tensor, theirs.tensor):
            _warn(
                f"%{mine.name} of sizes {list(mine.shape)} is computed outside of what is recorded, and kept as it is"
            )
    return Sizes(others)


def counting(graph: Graph) -> list[Node]:
    """The operations whose results have as many elements as the values of their inputs say."""
    return [node for node in graph.nodes if node.target in _COUNTING or _is_picked_by_mask(node)]


def have_other_counts(first: Graph, second: Graph) -> bool:
    """Whether all these operations gave other sizes in the second of two recordings."""
    mine = [value.shape for node in counting(first) for value in node.outputs]
    theirs = [value.shape for node in counting(second) for value in node.outputs]
    return len(mine) == len(theirs) and all(one != other for one, other in zip(mine, theirs, strict=True))


_COUNTING = frozenset("nonzero argwhere masked_select unique unique_consecutive".split())


def _is_picked_by_mask(node: Node) -> bool:
    keys = values_in(node.args[1:])
    return node.target == "index" and any(key.dtype in (dt.bool_, dt.uint8) for key in keys)


def _needed(graph: Graph) -> set[Node]:
    """The operations that the result depends on."""
    used, found = set(values_in(graph.result)), set()
    for node in reversed(graph.nodes):
        changed = node.args[0] if node.args and changes_input(node) else None
        if used.intersection(node.outputs) or changed in used:
            found.add(node)
            used.update(node.inputs)
    return found


def changes_input(node: Node) -> bool:
    """True for an operation that changes its first argument in place."""
    name = node.target
    return (
        (name.endswith("_") and not name.endswith("__"))
        or name == "Tensor.__setitem__"
        or bool(node.arguments.get("inplace"))
    )


def _are_same(mine: Tensor | None, theirs: Tensor | None) -> bool:
    if mine is None or theirs is None:
        return mine is theirs
    return np.array_equal(mine.detach()._array, theirs.detach()._array)


def _plain(nest: Any) -> Any:
    """A nest of arguments with all recorded values alike."""
    if isinstance(nest, Value):
        return "value"
    if isinstance(nest, tuple | list):
        return [_plain(each) for each in nest]
    if isinstance(nest, dict):
        return {key: _plain(each) for key, each in nest.items()}
    if isinstance(nest, slice):
        return [_plain(nest.start), _plain(nest.stop), _plain(nest.step)]
    return repr(nest)


def _warn(what: str) -> None:
    warn(f"the model may be wrong for other sizes than those given: {what}", TracerWarning)


def outputs_of(graph: Graph) -> list[Value]:
    """The tensors that a recording returns, in order."""
    return [value for value in values_in(graph.result) if value.type == "Tensor"]
