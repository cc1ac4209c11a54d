"""``record``: runs a function, and writes down the calls of operations that it makes.

Calls are seen as a profiler sees them (``sys.setprofile``, for this thread and time only), so operations need no look
at a flag, and it does not matter under which name a script has imported them. What is written down is the outermost
call: while an operation runs, what it is composed of is not looked at.
"""

from __future__ import annotations

import dis
import inspect
import os
import sys
import threading
import types
from collections.abc import Callable, Collection
from typing import Any, Protocol

from distrt.core.modes import modes
from distrt.core.process.users_code import users_frame
from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module
from distrt.tracing import targets
from distrt.tracing.graph import Graph, Node, Value, map_nest, values_in
from distrt.tracing.traced import TracedInt, traced_class

__all__ = ["Recorder", "is_tracing", "record"]


class _Thread(threading.local):
    recorder: Recorder | None = None


_thread = _Thread()


def is_tracing() -> bool:
    """True while this thread's calls are recorded."""
    return _thread.recorder is not None


def record(
    function: Callable[..., Any],
    args: Any,
    kwargs: dict[str, Any] | None = None,
    *,
    module: Module | None = None,
    see_through: Collection[str] = (),
) -> Graph:
    """Runs ``function(*args, **kwargs)``, and gives the graph of the operations that it has called.

    Args:
        function: what is run; a module, or any callable.
        args: its arguments: nests of tensors, which become inputs, and plain values, which are constants.
        kwargs: keyword arguments.
        module: names parameters, buffers and scopes; ``function`` itself where that is a module.
        see_through: operations that are not written down themselves: what they are composed of is.

    Raises:
        RuntimeError: where a recording is running in this thread.
    """
    if module is None and isinstance(function, Module):
        module = function
    args = tuple(args) if isinstance(args, tuple | list) else (args,)
    recorder = Recorder(module, see_through)
    return recorder.run(function, args, kwargs or {})


class Programs(Protocol):
    """Which calls of programs are written down as one node each, in the place of the operations that they run.

    Attributes:
        code: the code of the frame that runs a program.
    """

    code: types.CodeType

    def found(self, frame: types.FrameType) -> tuple[Any, tuple[Any, ...], dict[str, Any]] | None:
        """What is called, for ``Node.program``, and its arguments; None where the operations are wanted."""


class Recorder:
    """One recording.

    Attributes:
        graph: what has been written down so far.
        result: what the function has returned, itself.
    """

    def __init__(
        self, module: Module | None, see_through: Collection[str] = (), programs: Programs | None = None
    ) -> None:
        self.graph = Graph()
        self._programs = programs
        self.result: Any = None
        self._see_through = frozenset(see_through)
        self._scopes: list[tuple[types.FrameType | None, str, str]] = [(None, "", "")]
        self._module_names: dict[int, tuple[str, str]] = {}
        self._owned: dict[int, tuple[str, str]] = {}  # parameters and buffers: kind and path
        self._known: dict[
            int, tuple[Any, Value]
        ] = {}  # by id; the tensor is kept, so that its id stays its own
        self._classes: list[tuple[Any, type]] = []
        self._taken: set[str] = set()
        self._frame: types.FrameType | None = None  # the call that runs, which is not looked into
        self._node: Node | None = None
        self._is_on = False
        if module is not None:
            self._learn(module)

    @property
    def is_listening(self) -> bool:
        """True where a call would be written down: not inside of one."""
        return self._is_on and self._frame is None

    # -- running

    def run(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Graph:
        """Records one call."""
        if _thread.recorder is not None:
            raise RuntimeError("a recording is running already; a trace cannot be made inside of another")
        self._name_inputs(function, args, kwargs)
        before = sys.getprofile()
        _thread.recorder, self._is_on = self, True
        try:
            sys.setprofile(self._event)
            try:
                self.result = function(*args, **kwargs)
            finally:
                sys.setprofile(before)
            self.graph.result = map_nest(self.result, self._reference)
        finally:
            _thread.recorder, self._is_on = None, False
            for tensor, cls in self._classes:
                tensor.__class__ = cls
                vars(tensor).pop("_recorder", None)
        self.result = map_nest(self.result, _plain) if _has_integers(self.result) else self.result
        self._prune()
        return self.graph

    def _event(self, frame: types.FrameType, event: str, result: Any) -> None:
        if event == "call":
            if self._frame is None:
                self._begin(frame)
        elif event == "return":
            if frame is self._frame:
                self._end(frame, result)
            elif frame is self._scopes[-1][0]:
                self._scopes.pop()

    def _begin(self, frame: types.FrameType) -> None:
        if frame.f_code is _CALL:
            path, kind = self._module_names.get(id(frame.f_locals.get("self")), ("", ""))
            if kind:
                self._scopes.append((frame, path, kind))
            return
        if self._programs is not None and frame.f_code is self._programs.code:
            self._begin_program(frame, self._programs)
            return
        target = targets.name_of(frame)
        if target is None or target in self._see_through:
            return
        given = targets.arguments_of(frame)
        self._frame = frame  # from here on sizes are plain
        named = {name: (map_nest(value, self._reference), kind) for name, (value, kind) in given.items()}
        args, kwargs = targets.as_call(target, named)
        self._open(target, args, kwargs, {name: value for name, (value, _) in named.items()}, frame)

    def _begin_program(self, frame: types.FrameType, programs: Programs) -> None:
        found = programs.found(frame)
        if found is None:
            return
        self._frame = frame
        program, args, kwargs = found
        args, kwargs = map_nest((args, kwargs), self._reference)
        self._open("jit.program", args, kwargs, {}, frame).program = program

    def _open(
        self,
        target: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        arguments: dict[str, Any],
        frame: types.FrameType,
    ) -> Node:
        _, path, kind = self._scopes[-1]
        self._node = Node(target, args, kwargs, arguments, None, path, kind, _line_of(frame.f_back))
        self._node.autocast = None if modes.autocast is None else str(modes.autocast)
        return self._node

    def _end(self, frame: types.FrameType, result: Any) -> None:
        node = self._node
        self._frame = self._node = None
        if node is None or (result is None and not _has_returned(frame)):
            return
        found = _Results(self, node)
        node.result = found.of(result)
        if found.count or (node.target == "Tensor.__setitem__"):
            self.graph.nodes.append(node)

    # -- values

    def integer(self, target: str, operands: tuple[Any, ...], plain: int) -> TracedInt:
        """Writes down a calculation with sizes."""
        args = map_nest(operands, self._reference)
        _, path, kind = self._scopes[-1]
        node = Node(target, args, {}, dict(zip(("input", "other"), args, strict=False)), None, path, kind)
        node.where = _line_of(sys._getframe(1))
        node.result = Value(self._unique(target), "result", "int", example=plain, node=node)
        self.graph.nodes.append(node)
        made = TracedInt(plain)
        made.recorder, made.value = self, node.result
        return made

    def follow(self, tensor: Tensor, value: Value) -> None:
        """From now on this tensor is that value."""
        self._known[id(tensor)] = (tensor, value)
        cls: Any = type(tensor)
        if not hasattr(cls, "_plain_class"):
            self._classes.append((tensor, cls))
            vars(tensor)["_recorder"] = self
            tensor.__class__ = traced_class(cls)

    def _reference(self, leaf: Any) -> Any:
        """A tensor or recorded integer as its value; anything else as it is."""
        if isinstance(leaf, TracedInt):
            return leaf.value
        if not isinstance(leaf, Tensor):
            return leaf
        known = self._known.get(id(leaf))
        if known is not None:
            return known[1]
        kind, path = self._owned.get(id(leaf), ("constant", ""))
        name = self._unique(path or "constant")
        value = Value(name, kind, path=path, tensor=leaf, shape=tuple(leaf._array.shape), dtype=leaf.dtype)
        table = {"parameter": self.graph.parameters, "buffer": self.graph.buffers}.get(
            kind, self.graph.constants
        )
        table[path or name] = value
        self._known[id(leaf)] = (leaf, value)
        return value

    def _unique(self, wanted: str) -> str:
        stem = wanted.rpartition(".")[2] if "." in wanted and wanted.startswith(_FAMILIES) else wanted
        stem = stem.replace(".", "_").strip("_") or "value"
        if stem[0].isdigit():
            stem = f"m{stem}"
        name, number = stem, 1
        while name in self._taken:
            name, number = f"{stem}_{number}", number + 1
        self._taken.add(name)
        return name

    # -- before and after

    def _learn(self, module: Module) -> None:
        for path, each in module.named_modules():
            self._module_names[id(each)] = (path, type(each).__name__)
        self._owned |= {id(each): ("parameter", path) for path, each in module.named_parameters()}
        self._owned |= {id(each): ("buffer", path) for path, each in module.named_buffers()}

    def _name_inputs(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        names = _names_of(function, len(args))
        self.graph.arguments = (
            tuple(self._inputs_in(each, name) for each, name in zip(args, names, strict=True)),
            {key: self._inputs_in(each, key) for key, each in kwargs.items()},
        )

    def _inputs_in(self, given: Any, name: str) -> Any:
        if not isinstance(given, Tensor):
            self._taken.add(name)  # it stands for the whole nest

        def value_of(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return leaf
            if id(leaf) in self._known:
                return self._known[id(leaf)][1]
            value = Value(self._unique(name), "input", shape=tuple(leaf._array.shape), dtype=leaf.dtype)
            self.graph.inputs.append(value)
            self.follow(leaf, value)
            return value

        return map_nest(given, value_of)

    def _prune(self) -> None:
        """Leaves out what measures sizes that nobody uses."""
        used = set(values_in(self.graph.result))
        kept = []
        for node in reversed(self.graph.nodes):
            measures = node.target in _MEASURES or node.target.startswith("operator.")
            if not measures or node.result in used:
                kept.append(node)
                used.update(node.inputs)
        self.graph.nodes = kept[::-1]


class _Results:
    """The values of what one node has returned."""

    def __init__(self, recorder: Recorder, node: Node) -> None:
        self._recorder, self._node, self.count = recorder, node, 0

    def of(self, result: Any, at: tuple[int | str, ...] = ()) -> Any:
        if isinstance(result, Tensor):
            self.count += 1
            name = self._recorder._unique(self._node.target)
            value = Value(name, "result", shape=tuple(result._array.shape), dtype=result.dtype)
            value.node, value.at = self._node, at
            self._recorder.follow(result, value)
            return value
        if isinstance(result, tuple | list):
            made = [self.of(each, (*at, number)) for number, each in enumerate(result)]
            return tuple(made) if isinstance(result, tuple) else made
        if isinstance(result, dict):
            return {key: self.of(each, (*at, key)) for key, each in result.items()}
        return result


_CALL = Module.__call__.__code__
_FAMILIES = ("Tensor.", "nn.functional.", "operator.")
_MEASURES = ("size", "Tensor.numel")
_HERE = os.path.dirname(os.path.abspath(__file__))
_CORE = os.path.join(os.path.dirname(_HERE), "core")
_FUNCTIONS = os.path.join(os.path.dirname(_HERE), "nn", "functional")


def _line_of(frame: types.FrameType | None) -> str:
    """The line outside of the core and of ``nn.functional`` that a call comes from."""
    found = users_frame(frame, (_CORE, _FUNCTIONS, _HERE, "<op "))
    return "" if found is None else f"{found.f_code.co_filename}:{found.f_lineno}"


def _has_returned(frame: types.FrameType) -> bool:
    """True where a call ends by itself, and no exception ends it."""
    code = frame.f_code.co_code
    return 0 <= frame.f_lasti < len(code) and dis.opname[code[frame.f_lasti]].startswith("RETURN")


def _names_of(function: Callable[..., Any], count: int) -> list[str]:
    try:
        target = function.forward if isinstance(function, Module) else function
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return ["input"] * count
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [each.name for each in parameters if each.kind in positional]
    rest = next((each.name for each in parameters if each.kind is inspect.Parameter.VAR_POSITIONAL), "input")
    return (names + [rest] * count)[:count]


def _plain(leaf: Any) -> Any:
    return int.__index__(leaf) if isinstance(leaf, TracedInt) else leaf


def _has_integers(nest: Any) -> bool:
    if isinstance(nest, tuple | list):
        return any(_has_integers(each) for each in nest)
    if isinstance(nest, dict):
        return any(_has_integers(each) for each in nest.values())
    return isinstance(nest, TracedInt)
