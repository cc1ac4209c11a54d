"""The table of operations: what each becomes in ONNX. The files beside this one fill it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from distrt.core.creation import empty
from distrt.core.dtypes import dtype as dt
from distrt.core.dtypes.rules import result_type
from distrt.onnx.drawing import Drawing
from distrt.tracing import Node, Value, values_in

__all__ = ["RULES", "Call", "Rule", "common_dtype", "dim_of", "dims_of", "rule"]


class Call:
    """A recorded call, as a rule sees it: its arguments by name, and ``result`` as it was returned."""

    def __init__(self, node: Node, arguments: dict[str, Any]) -> None:
        self._arguments = arguments
        self.result: Any = node.result
        self.target = node.target

    def __getattr__(self, name: str) -> Any:
        if name in self._arguments:
            return self._arguments[name]
        raise AttributeError(f"{self.target} has no argument {name}")

    def get(self, name: str, default: Any = None) -> Any:
        """An argument that not every form of the call has."""
        return self._arguments.get(name, default)

    @property
    def first(self) -> Any:
        """The first argument, whatever it is called."""
        return next(iter(self._arguments.values()))

    @property
    def positions(self) -> list[Any]:
        """The arguments in order, those that are given one by one spread out."""
        found: list[Any] = []
        for name, each in self._arguments.items():
            found += each if name in ("args", "sizes", "tensors") and isinstance(each, tuple) else [each]
        return found

    @property
    def output(self) -> Value:
        """The first tensor of the result."""
        return next(values_in(self.result))


#: What a rule gives: the name of the result, a value that is the result, or a nest of these like the recorded one.
Rule = Callable[[Drawing, Call], Any]

RULES: dict[str, Rule] = {}


def rule(*targets: str) -> Callable[[Rule], Rule]:
    """Makes a function the rule of these operations."""

    def enter(function: Rule) -> Rule:
        for target in targets:
            assert target not in RULES, f"{target} has a rule already"
            RULES[target] = function
        return function

    return enter


def dim_of(value: Value, dim: int) -> int:
    """A dim, counted from the front."""
    return dim % len(value.shape) if value.shape else 0


def dims_of(value: Value, dim: Any) -> list[int] | None:
    """Dims, counted from the front; None for all."""
    if dim is None or (isinstance(dim, Sequence) and not dim):
        return None
    return [dim_of(value, each) for each in ([dim] if isinstance(dim, int) else dim)]


def common_dtype(first: Any, second: Any) -> dt.dtype:
    """The dtype that two operands are brought to, as an operation with both would."""
    return result_type(_stand_in(first), _stand_in(second))


def _stand_in(operand: Any) -> Any:
    if not isinstance(operand, Value):
        return operand
    return operand.example if operand.type == "int" else empty((0,) * len(operand.shape), dtype=operand.dtype)
