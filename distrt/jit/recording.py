"""A recorded graph as a function of a program: one assignment for each node."""

from __future__ import annotations

import itertools
import types
from typing import Any

from distrt.core.device import device
from distrt.core.dtypes import dtype as dt
from distrt.core.tensors import formats
from distrt.core.tensors.size import Size
from distrt.jit.interpreter import Runner
from distrt.jit.merging import merged
from distrt.jit.program import IR, Function, Parameter, Program
from distrt.nn.modules.module import Module
from distrt.tracing import Graph, Node, Value


class Calls:
    """The calls of programs that a trace keeps, control flow included: see ``tracing.recorder.Programs``.

    Those of scripted functions, and of scripted modules below the one that is traced. What else has a program is not
    part of the trace, which therefore has the operations that it ran.
    """

    code = Runner.call.__code__

    def __init__(self, module: Module | None) -> None:
        self._paths = {} if module is None else {id(each): path for path, each in module.named_modules()}

    def found(self, frame: types.FrameType) -> tuple[Any, tuple[Any, ...], dict[str, Any]] | None:
        """The program's function, with the path of its module, and the arguments."""
        given = frame.f_locals
        owner = given["owner"]
        if owner is not None and not self._paths.get(id(owner)):
            return None
        path = None if owner is None else self._paths[id(owner)]
        return (given["self"].program, given["function"], path), given["args"], given["kwargs"]


def function_of(
    graph: Graph, name: str, names: list[str], program: Program, where: tuple[str, int]
) -> Function:
    """The function that does what a graph has written down.

    Args:
        graph: the recording.
        name: the function's name.
        names: its positional parameters' names.
        program: gets the constants.
        where: the file and line that the function was written at.
    """
    return _Writer(graph, program).function(name, names, where)


class _Writer:
    def __init__(self, graph: Graph, program: Program) -> None:
        self._graph, self._program = graph, program
        self._merged: dict[int, str] = {}  # by the id of a function of another program: its name in this one
        self._places = {}
        for value in graph.constants.values():
            self._places[value] = len(program.constants)
            assert value.tensor is not None
            program.constants.append(value.tensor.detach())

    def function(self, name: str, names: list[str], where: tuple[str, int]) -> Function:
        args, kwargs = self._graph.arguments
        parameters, body = [], []
        for own, given in [*zip(names, args, strict=True), *kwargs.items()]:
            parameters.append(Parameter(own, _type_of(given)))
            body += self._unpacked(["local", own], given)
        for narrow, nodes in itertools.groupby(self._graph.nodes, lambda node: node.autocast):
            made = [self._statement(node, where) for node in nodes]
            body += made if narrow is None else [["with", 0, ["autocast", "cpu", narrow, True], made]]
        body.append(["return", 0, self.expression(self._graph.result)])
        return Function(name, parameters, _type_of(self._graph.result), body, where)

    def _statement(self, node: Node, where: tuple[str, int]) -> IR:
        file, _, number = node.where.rpartition(":")
        line = int(number) if file == where[0] else 0
        value = self._call(node)
        if not node.outputs:
            return ["expr", line, value]
        return ["assign", line, self._target(node.result), value]

    def _call(self, node: Node) -> IR:
        args = [self.expression(each) for each in node.args]
        kwargs = {key: self.expression(each) for key, each in node.kwargs.items()}
        if node.program is None:
            return ["call", node.target, args, kwargs]
        program, function, path = node.program
        if path is not None:  # not as a call of the module: its hooks are Python's, and have been recorded
            return ["method", self._module(path), function.name, args, kwargs]
        if id(function) not in self._merged:
            self._merged[id(function)] = merged(self._program, program, function)
        return ["function", self._merged[id(function)], args, kwargs]

    def _module(self, path: str) -> IR:
        owner: IR = ["local", "self"]
        for part in path.split("."):
            owner = ["attr", owner, part]
        return owner

    def _unpacked(self, source: IR, given: Any) -> list[IR]:
        """The statements that give the recorded inputs in an argument their names."""
        if isinstance(given, Value):
            return [] if source == ["local", given.name] else [["assign", 0, ["local", given.name], source]]
        items = enumerate(given) if isinstance(given, tuple | list) else given.items()
        return [
            statement
            for key, each in items
            for statement in self._unpacked(["index", source, ["const", key]], each)
        ]

    def _target(self, result: Any) -> IR:
        if isinstance(result, Value):
            return ["local", result.name]
        if isinstance(result, tuple | list):
            return ["tuple", [self._target(each) for each in result]]
        return ["local", "_"]

    def expression(self, value: Any) -> IR:
        """The expression that gives a recorded argument."""
        if isinstance(value, Value):
            return self._reference(value)
        if isinstance(value, tuple):
            return ["tuple", [self.expression(each) for each in value]]
        if isinstance(value, list):
            return ["list", [self.expression(each) for each in value]]
        if isinstance(value, dict):
            return ["dict", [[self.expression(key), self.expression(each)] for key, each in value.items()]]
        if isinstance(value, slice):
            parts = (value.start, value.stop, value.step)
            return ["slice", *(None if each is None else self.expression(each) for each in parts)]
        return constant(value)

    def _reference(self, value: Value) -> IR:
        if value.kind == "constant":
            return ["tensor", self._places[value]]
        if value.kind in ("parameter", "buffer"):
            return self._module(value.path)
        return ["local", value.name]


def constant(value: Any) -> IR:
    """The expression of a plain value.

    Raises:
        TypeError: for one that a program cannot hold.
    """
    if value is None or type(value) in (bool, int, float, complex, str):
        return ["const", value]
    if isinstance(value, dt.dtype):
        return ["dtype", str(value).removeprefix("torch.")]
    if isinstance(value, device):
        return ["device", str(value)]
    if value is ...:
        return ["ellipsis"]
    if isinstance(value, formats.memory_format):
        return ["memory_format", str(value).removeprefix("torch.")]
    if isinstance(value, formats.layout):
        return ["layout", str(value).removeprefix("torch.")]
    if isinstance(value, tuple | Size):
        return ["tuple", [constant(each) for each in value]]
    if isinstance(value, list):
        return ["list", [constant(each) for each in value]]
    if isinstance(value, dict):
        return ["dict", [[constant(key), constant(each)] for key, each in value.items()]]
    for plain in (bool, int, float):  # subclasses: enumerations, NumPy's numbers
        if isinstance(value, plain):
            return ["const", plain(value)]
    if hasattr(value, "numpy") and hasattr(value, "itemsize"):
        return ["dtype", str(value).removeprefix("torch.")]
    raise TypeError(f"a program cannot hold {value!r:.80}, which is a {type(value).__name__}")


def _type_of(nest: Any) -> Any:
    if isinstance(nest, Value):
        return nest.type
    if isinstance(nest, tuple):
        return ["Tuple", *(_type_of(each) for each in nest)]
    if isinstance(nest, list) and nest:
        return ["List", _type_of(nest[0])]
    if isinstance(nest, dict) and nest:
        return ["Dict", "str", _type_of(next(iter(nest.values())))]
    return "Any"
