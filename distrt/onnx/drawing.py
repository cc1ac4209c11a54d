"""An ONNX graph on its way: nodes, constants and names, without the library that writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.dtypes import dtype as dt
from distrt.core.tensor import Tensor
from distrt.onnx.errors import UnsupportedOperatorError
from distrt.onnx.sizes import Sizes
from distrt.tracing import Value

__all__ = ["Drawing", "DrawnNode", "Operand"]

#: What a node takes: a recorded tensor or size, a result's name, an array that becomes a constant, None for nothing.
Operand = Value | str | Array | None


@dataclass
class DrawnNode:
    """One node of an ONNX graph."""

    kind: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]


@dataclass
class Drawing:
    """The graph, and what the rules ask for while they draw it.

    Attributes:
        opset: the version of ONNX's operators.
        sizes: which sizes are the same in every run.
        nodes: in the order in which they run.
        constants: arrays by name; weights have their parameter's name.
        names: what each recorded value is called.
        scope: the path of the module whose operations are drawn.
        training: whether dropout drops.
    """

    opset: int
    sizes: Sizes
    nodes: list[DrawnNode] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    names: dict[Value, str] = field(default_factory=dict)
    scope: str = ""
    where: str = ""
    _taken: set[str] = field(default_factory=set)
    _finished: set[str] = field(default_factory=set)
    _shared: dict[tuple[Any, ...], str] = field(default_factory=dict)

    # -- nodes

    def node(self, kind: str, *inputs: Operand, **attributes: Any) -> str:
        """Adds a node with one result; gives its name. Attributes that are None are left out."""
        return self.nodes_of(kind, 1, *inputs, **attributes)[0]

    def nodes_of(self, kind: str, outputs: int, *inputs: Operand, **attributes: Any) -> list[str]:
        """Adds a node with so many results; gives their names."""
        name = self.unique(f"{self.scope}/{kind}")
        given = [self.name_of(each) for each in inputs]
        while given and not given[-1]:
            given.pop()
        results = [f"{name}_output_{number}" for number in range(outputs)]
        kept = {key: each for key, each in attributes.items() if each is not None}
        self.nodes.append(DrawnNode(kind, name, given, results, kept))
        return list(results)

    def unique(self, wanted: str) -> str:
        """A name that is not taken yet."""
        name, number = wanted, 0
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name

    def at(self, scope: str, where: str) -> None:
        """From now on nodes belong to the module of this path."""
        self.scope = "".join(f"/{part}" for part in scope.split(".")) if scope else ""
        self.where = where

    def finish(self, value: Value, name: str) -> None:
        """Makes a value an output of this name."""
        source = self.name_of(value)
        maker = next((node for node in self.nodes if source in node.outputs), None)
        self._taken.add(name)
        if maker is None or source in self._finished:  # an input, a constant, or an output already
            self.nodes.append(DrawnNode("Identity", f"/{name}", [source], [name], {}))
            return
        for node in self.nodes:
            node.inputs[:] = [name if each == source else each for each in node.inputs]
            node.outputs[:] = [name if each == source else each for each in node.outputs]
        self.names.update({each: name for each, known in self.names.items() if known == source})
        self._finished.add(name)

    # -- operands

    def name_of(self, operand: Operand) -> str:
        """What an operand is called in the graph."""
        if operand is None:
            return ""
        if isinstance(operand, str):
            return operand
        if isinstance(operand, Value):
            return self.names[operand] if operand in self.names else self._constant_value(operand)
        return self.constant(operand)

    def _constant_value(self, value: Value) -> str:
        if value.type == "int":
            assert value.example is not None, "an integer has a value in the recorded run"
            return self.constant(np.array(value.example, np.int64))
        assert value.tensor is not None, f"{value.name} was recorded before it is used"
        name = self.unique(value.path or re.sub(r"[^\w.]", "_", value.name))
        self.constants[name] = np.array(value.tensor.detach()._array)
        self.names[value] = name
        return name

    def constant(self, array: Array) -> str:
        """A constant; small ones of the same content are one."""
        key = (
            (array.dtype.str, str(array.dtype), array.shape, array.tobytes())
            if array.size <= 16
            else (id(array),)
        )
        if key not in self._shared:
            name = self.unique(f"{self.scope}/Constant" if self.scope else "/Constant")
            self.constants[name] = array
            self._shared[key] = name
        return self._shared[key]

    def named_constant(self, wanted: str, array: Array) -> str:
        """A constant of its own, under this name or one like it."""
        name = self.unique(wanted)
        self.constants[name] = array
        return name

    def forget(self, name: str) -> None:
        """Takes a constant away that was put into another one."""
        del self.constants[name]
        self._taken.discard(name)

    def array_of(self, value: Value) -> Array | None:
        """The elements of a weight or constant that the graph holds; None for what is computed or given."""
        if value in self.names or value.tensor is None:
            return self.constants.get(self.names.get(value, ""))
        return value.tensor.detach()._array

    def integers(self, *values: int) -> str:
        """A constant row of integers."""
        return self.constant(np.array(values, np.int64))

    def scalar(self, value: Any, dtype: dt.dtype) -> str:
        """A constant number."""
        return self.constant(np.array(value).astype(dtype.numpy))

    def number(self, value: Any, dtype: dt.dtype) -> str:
        """A tensor, a recorded size or a plain number, as elements of a dtype."""
        if isinstance(value, Value):
            if value.type == "int":
                name = self.name_of(value)
                return name if dtype is dt.int64 else self.node("Cast", name, to=dtype)
            return self.cast(value, dtype)
        if isinstance(value, Tensor):
            return self.constant(value.detach()._array.astype(dtype.numpy))
        return self.scalar(value, dtype)

    def cast(self, value: Value, dtype: dt.dtype) -> str:
        """A recorded tensor with elements of a dtype."""
        return self.name_of(value) if value.dtype is dtype else self.node("Cast", value, to=dtype)

    # -- sizes

    def dims(self, value: Value) -> tuple[int | None, ...]:
        """The sizes of a tensor; None for one that may be another in another run."""
        return self.sizes.of(value)

    def fixed(self, value: Value, dim: int, what: str) -> int:
        """A size that has to be the same in every run.

        Raises:
            UnsupportedOperatorError: where it is not.
        """
        found = self.dims(value)[dim]
        if found is None:
            raise self.unsupported(f"{what} with dim {dim % len(value.shape)} of {list(value.shape)} dynamic")
        return found

    def size(self, value: Operand, dim: int) -> str:
        """A row of one integer: a size, as it is when the graph runs."""
        if isinstance(value, Value):
            known = self.dims(value)[dim]
            if known is not None:
                return self.integers(known)
            dim %= len(value.shape)
        return self.node("Gather", self.node("Shape", value), self.integers(dim), axis=0)

    def plain(self, value: Any) -> Any:
        """A recorded size that is the same in every run, as a number; anything else as it is."""
        if isinstance(value, Value) and value.type == "int" and not self.sizes.is_dynamic(value):
            return value.example
        return value

    def row(self, values: Sequence[Any]) -> str:
        """A row of integers: numbers, recorded sizes, and names of rows of one."""
        values = [self.plain(each) for each in values]
        if not any(isinstance(each, Value | str) for each in values):
            return self.integers(*values)
        parts: list[str] = []
        for each in values:
            if isinstance(each, Value):
                parts.append(self.unsqueeze(self.name_of(each), 0))
            else:
                parts.append(each if isinstance(each, str) else self.integers(each))
        return parts[0] if len(parts) == 1 else self.node("Concat", *parts, axis=0)

    def rows_of(self, value: Value) -> list[Any]:
        """The sizes of a tensor: numbers, and names of rows of one where they may change from run to run."""
        return [self.size(value, dim) if each is None else each for dim, each in enumerate(self.dims(value))]

    def shape_of(self, value: Value) -> str:
        """A row of integers: the sizes of a tensor, as they are when the graph runs."""
        dims = self.dims(value)
        if None not in dims:
            return self.integers(*[each for each in dims if each is not None])
        return self.node("Shape", value)

    # -- what changed between versions of ONNX

    def squeeze(self, value: Operand, *dims: int) -> str:
        """Without these dims, which are 1."""
        return self._with_axes("Squeeze", value, dims, 13)

    def unsqueeze(self, value: Operand, *dims: int) -> str:
        """With dims of 1 in these places."""
        return self._with_axes("Unsqueeze", value, dims, 13)

    def reduce(self, kind: str, value: Operand, dims: Sequence[int] | None, keepdim: bool = False) -> str:
        """A reduction over dims, or all."""
        since = 13 if kind == "ReduceSum" else 18
        return self._with_axes(kind, value, dims, since, keepdims=int(keepdim))

    def _with_axes(
        self, kind: str, value: Operand, dims: Sequence[int] | None, since: int, **attributes: Any
    ) -> str:
        if dims is None:
            return self.node(kind, value, **attributes)
        if self.opset >= since:
            return self.node(kind, value, self.integers(*dims), **attributes)
        return self.node(kind, value, axes=list(dims), **attributes)

    def slice(self, value: Operand, dim: int, start: Any, stop: Any, step: int = 1) -> str:
        """From start to stop along a dim."""
        return self.node(
            "Slice", value, self.row([start]), self.row([stop]), self.integers(dim), self.integers(step)
        )

    def reshape(self, value: Operand, sizes: Sequence[Any]) -> str:
        """With other sizes; one may be -1."""
        return self.node("Reshape", value, self.row(sizes))

    def reshape_like(self, value: Operand, result: Value) -> str:
        """With the sizes of a recorded result, of which one at most may change from run to run.

        Raises:
            UnsupportedOperatorError: where more may.
        """
        dims = self.dims(result)
        if dims.count(None) > 1:
            raise self.unsupported(
                f"sizes {list(result.shape)}, of which more than one are dynamic, are computed"
            )
        return self.reshape(value, [-1 if each is None else each for each in dims])

    def split(self, value: Operand, sizes: Sequence[int], dim: int) -> list[str]:
        """Parts of these sizes along a dim."""
        if self.opset >= 13:
            return self.nodes_of("Split", len(sizes), value, self.integers(*sizes), axis=dim)
        return self.nodes_of("Split", len(sizes), value, axis=dim, split=list(sizes))

    def unsupported(self, what: str) -> UnsupportedOperatorError:
        """The error for what cannot be drawn, with the module that it is in."""
        scope = self.scope.replace("/", ".").strip(".") or "the model itself"
        return UnsupportedOperatorError(
            f"{what}: this has no form in ONNX opset {self.opset} here; in {scope}, {self.where}"
        )
