"""What a recording is: values, the nodes that made them, and the graph of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from distrt.core.tensor import Tensor


@dataclass(eq=False, slots=True)
class Value:
    """A tensor, or an integer that was computed from sizes, in a recording.

    Attributes:
        name: unique in the graph, and readable.
        kind: "input", "parameter", "buffer", "constant" or "result".
        type: "Tensor" or "int".
        path: a parameter's or buffer's dotted name in the module.
        tensor: a parameter's, buffer's or constant's own tensor.
        shape: the sizes in the recorded run.
        dtype: the element type; None for an integer.
        example: an integer's value in the recorded run.
        node: what made a result.
        at: where in the node's result it stands: ``()`` where it is the result, ``(1,)`` for the second of several.
    """

    name: str
    kind: str
    type: str = "Tensor"
    path: str = ""
    tensor: Tensor | None = None
    shape: tuple[int, ...] = ()
    dtype: Any = None
    example: int | None = None
    node: Node | None = None
    at: tuple[int | str, ...] = ()

    def __repr__(self) -> str:
        return f"%{self.name}"

    def typed(self) -> str:
        """The value with its type, as the graph prints it."""
        if self.type == "int":
            return f"%{self.name} : int"
        return f"%{self.name} : {str(self.dtype).removeprefix('torch.')}[{', '.join(map(str, self.shape))}]"


@dataclass(eq=False, slots=True)
class Node:
    """One call of an operation.

    Attributes:
        target: the operation's name, which ``targets.lookup`` finds.
        args: positional arguments: nests of values and plain Python values.
        kwargs: keyword arguments.
        arguments: all arguments by parameter name, defaults included.
        result: the nest that was returned, with values in the place of tensors.
        scope: the dotted path of the module that made the call; "" for the outermost.
        module_type: the name of that module's class.
        where: ``file:line`` of the call.
        program: what is called, where that is a program and no operation: see ``recorder.Programs``.
        autocast: the dtype's name that autocast had then; None outside of it.
    """

    target: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    arguments: dict[str, Any]
    result: Any = None
    scope: str = ""
    module_type: str = ""
    where: str = ""
    program: Any = None
    autocast: str | None = None

    @property
    def outputs(self) -> list[Value]:
        """The values in the result, in order."""
        return list(values_in(self.result))

    @property
    def inputs(self) -> list[Value]:
        """The values among the arguments, in order."""
        return list(values_in((self.args, self.kwargs)))

    def __str__(self) -> str:
        left = ", ".join(value.typed() for value in self.outputs)
        given = [repr(each) for each in self.args] + [f"{key}={each!r}" for key, each in self.kwargs.items()]
        scope = f", scope: {self.module_type}::{self.scope}" if self.module_type else ""
        return f"{left + ' = ' if left else ''}{self.target}({', '.join(given)}){scope} # {self.where}"


@dataclass(eq=False, slots=True)
class Graph:
    """A recording.

    Attributes:
        inputs: the tensors among the arguments, in order.
        arguments: the arguments that were given, ``(args, kwargs)``, with values in the place of tensors.
        nodes: the calls in the order in which they ran; those whose results nobody uses are left out where they only
            measure sizes.
        result: what the function returned, with values in the place of recorded tensors.
        parameters: parameters that are used, by dotted name; the same for ``buffers``.
        constants: tensors that were neither given nor computed from what was, by name.
    """

    inputs: list[Value] = field(default_factory=list)
    arguments: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
    nodes: list[Node] = field(default_factory=list)
    result: Any = None
    parameters: dict[str, Value] = field(default_factory=dict)
    buffers: dict[str, Value] = field(default_factory=dict)
    constants: dict[str, Value] = field(default_factory=dict)

    def __str__(self) -> str:
        known = [*self.inputs, *self.parameters.values(), *self.buffers.values(), *self.constants.values()]
        head = ",\n      ".join(value.typed() for value in known)
        body = "".join(f"  {node}\n" for node in self.nodes)
        return f"graph({head}):\n{body}  return ({self.result!r})\n"


def map_nest(nest: Any, leaf: Callable[[Any], Any]) -> Any:
    """The nest with ``leaf`` applied to everything in it that is no container; named tuples become plain ones."""
    if isinstance(nest, tuple):
        return tuple([map_nest(each, leaf) for each in nest])
    if isinstance(nest, list):
        return [map_nest(each, leaf) for each in nest]
    if isinstance(nest, dict):
        return {key: map_nest(each, leaf) for key, each in nest.items()}
    if isinstance(nest, slice):
        return slice(leaf(nest.start), leaf(nest.stop), leaf(nest.step))
    return leaf(nest)


def values_in(nest: Any) -> Iterator[Value]:
    """The values in a nest, in order."""
    if isinstance(nest, Value):
        yield nest
    elif isinstance(nest, tuple | list):
        for each in nest:
            yield from values_in(each)
    elif isinstance(nest, dict):
        for each in nest.values():
            yield from values_in(each)
    elif isinstance(nest, slice):
        yield from values_in((nest.start, nest.stop, nest.step))
