"""What to say when a kept value was changed: which one it is, and by how many in-place changes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from distrt.core.errors import AutogradError

if TYPE_CHECKING:
    from distrt.core.autograd.node import Edge, Node

_HINT = (
    "Hint: enable anomaly detection to find the operation that failed to compute its gradient, with "
    "torch.autograd.set_detect_anomaly(True, check_nan=False)."
)
_HINT_UNDER_ANOMALY = (
    "Hint: the backtrace further above shows the operation that failed to compute its gradient. The variable in "
    "question was changed in there or anywhere later. Good luck!"
)


def changed_in_place(node: Node) -> AutogradError:
    """The error for a node that finds one of its kept tensors changed."""
    changes = sum(counter[0] for counter in node.counters) - node.stamp
    changed = max(node.counters, key=lambda counter: counter[0])
    found, times = changed[0], sum(counter is changed for counter in node.counters)
    described = ""
    names = counted_names(node, node.saved)
    if len(names) == len(node.counters):
        name = next(each for each, counter in zip(names, node.counters, strict=True) if counter is changed)
        described = describe(node.saved[node.definition.kept.index(name)], _edge_of(node, name))
    return error(described, found, max(0, found - changes // times))


def error(described: str, found: int, expected: int) -> AutogradError:
    """PyTorch's words for a tensor that is at version ``found`` and was kept at another."""
    from distrt.core.modes import modes

    hint = _HINT_UNDER_ANOMALY if modes.backward_watcher is not None else _HINT
    return AutogradError(
        f"one of the variables needed for gradient computation has been modified by an inplace operation: {described}"
        f" is at version {found}; expected version {expected} instead. {hint}"
    )


def describe(array: Any, edge: Edge | None) -> str:
    """``[torch.FloatTensor [2]], which is output 0 of Exp,``."""
    from distrt.core.autograd.node import Node

    shown = f"[{type_name(array)} {list(array.shape)}]"
    if edge is None or not isinstance(edge[0], Node):
        return shown
    operation = re.sub(r"Backward\d$", "", edge[0].name())
    return f"{shown}, which is output {edge[1]} of {operation},"


def type_name(array: Any) -> str:
    """PyTorch's old name of a tensor of this dtype: ``torch.FloatTensor``."""
    return f"torch.{_KINDS.get(array.dtype.name, array.dtype.name.title())}Tensor"


_KINDS = {
    "bfloat16": "BFloat16",
    "bool": "Bool",
    "complex128": "ComplexDouble",
    "complex64": "ComplexFloat",
    "float16": "Half",
    "float32": "Float",
    "float64": "Double",
    "int16": "Short",
    "int32": "Int",
    "int64": "Long",
    "int8": "Char",
    "uint8": "Byte",
}


def counted_names(node: Node, saved: tuple[Any, ...]) -> list[str]:
    """The kept name behind each of the node's counters, in the order of ``core/definitions/backward.py``.

    There are more names than counters where an array stood for a tensor.
    """
    definition = node.definition
    names = definition.differentiable
    wanted = {name for name, edge in zip(names, node.edges, strict=False) if edge is not None}
    certain = wanted if definition.joint_rule is None and len(names) <= 2 else set()
    sure: list[str] = []
    unsure: list[str] = []
    for name, value in zip(definition.kept, saved, strict=True):
        if value is None or not hasattr(value, "dtype"):
            continue
        if name in certain or name == "out" or name in definition.output_names:
            sure.append(name)
        elif name in definition.tensors or name in definition.steering:
            unsure.append(name)
    return sure + unsure


def _edge_of(node: Node, name: str) -> Edge | None:
    definition = node.definition
    if name == "out":
        return (node, 0)
    if name in definition.output_names:
        return (node, definition.output_names.index(name))
    return dict(zip(definition.differentiable, node.edges, strict=False)).get(name)
