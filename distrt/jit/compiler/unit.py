"""One compilation: the functions and modules that are reached from what ``jit.script`` was given."""

from __future__ import annotations

import copy
import inspect
import types
from typing import Any

from distrt.core.errors import ScriptError
from distrt.core.tensor import Tensor
from distrt.jit.compiler.function import compiled
from distrt.jit.decorators import EXPORT, IGNORE, UNUSED, attribute_of, modifier_of
from distrt.jit.merging import fresh_name, merged
from distrt.jit.program import Function, Program
from distrt.jit.recording import constant
from distrt.jit.script_function import ScriptFunction
from distrt.jit.script_module import RecursiveScriptModule, form_of
from distrt.jit.tree import Converter, layer_class
from distrt.nn.modules.module import Module

_OWN = frozenset(Module().__dict__) | {"training"}


class Unit:
    """The program that is being made, and who is in it already."""

    def __init__(self) -> None:
        self.program = Program()
        self.converter = Converter(self._scripted)
        self._names: dict[
            int, tuple[Any, str]
        ] = {}  # of functions, by id; the function is kept, so that it stays its own
        self._scripts: dict[int, tuple[Module, RecursiveScriptModule]] = {}
        self._running: list[tuple[Any, str]] = []

    # -- functions

    def function(self, function: types.FunctionType) -> str:
        """The name in the program of a Python function, which is compiled where it was not yet."""
        if id(function) in self._names:
            return self._names[id(function)][1]
        name = self._fresh(function.__name__)
        self._running.append((function, name))
        try:
            self.program.functions[name] = compiled(self, function, None)
        finally:
            self._running.pop()
        self._names[id(function)] = (function, name)
        return name

    def is_running(self, owner: Any, name: str = "") -> bool:
        """True while this function, or this method of a module, is being compiled."""
        return any(each is owner and name in ("", other) for each, other in self._running)

    def scripted_function(self, function: ScriptFunction) -> str:
        """The name in this program of a function that is scripted or traced already, with all that it calls."""
        if id(function) in self._names:
            return self._names[id(function)][1]
        own = merged(self.program, function._program, function._function, self._fresh)
        self._names[id(function)] = (function, own)
        return own

    def python(self, function: Any) -> str:
        """The name in the program of a function that stays Python's."""
        name = self._fresh(getattr(function, "__name__", "function"))
        self.program.python[name] = function
        return name

    def _fresh(self, wanted: str) -> str:
        return fresh_name(self.program, wanted, [name for _, name in self._running])

    # -- modules

    def module(self, module: Module) -> Module:
        """The module in the program."""
        return self.converter.module(module)

    def method(self, module: Module, name: str) -> Function | None:
        """The compiled method of a module; None for a layer of distrt, whose methods stay Python's.

        Raises:
            ScriptError: for a method that is not there, or that calls itself.
        """
        self.module(module)
        known = self._scripts.get(id(module))
        if known is None:
            return None
        functions = known[1]._functions
        if name in functions:
            return functions[name]  # type: ignore[no-any-return]
        written = inspect.getattr_static(type(module), name, None)
        function = written.fget if isinstance(written, property) else getattr(written, "__func__", written)
        if not isinstance(function, types.FunctionType):
            raise ScriptError(f"Module '{type(module).__name__}' has no attribute '{name}'")
        self._running.append((module, name))
        try:
            functions[name] = compiled(self, function, None if isinstance(written, staticmethod) else module)
        finally:
            self._running.pop()
        return functions[name]  # type: ignore[no-any-return]

    def _scripted(self, module: Module, converter: Converter) -> Module:
        made = form_of(module)._made(self.program, {}, self._attributes(module), type(module).__name__)
        converter.note(module, made)
        self._scripts[id(module)] = (module, made)
        converter.adopt(made, module)
        cls = type(module)
        has_forward = cls.forward is not Module.forward
        if has_forward and modifier_of(cls.forward) not in (IGNORE, UNUSED):
            self.method(module, "forward")
        for name in dir(cls):
            found = inspect.getattr_static(cls, name)
            if isinstance(found, types.FunctionType) and modifier_of(found) == EXPORT:
                self.method(module, name)
            elif isinstance(found, types.FunctionType) and modifier_of(found) in (IGNORE, UNUSED):
                made.__dict__[name] = types.MethodType(found, made)  # for Python that calls it
        return made  # type: ignore[no-any-return]

    def _attributes(self, module: Module) -> dict[str, Any]:
        """Plain values that a module has as attributes; a program that names another one is refused."""
        found = {}
        for name in module.__dict__:
            value = attribute_of(module, name)
            if name not in _OWN and is_plain(value):
                found[name] = copy.copy(value) if isinstance(value, list | dict) else value
        for name in constants_of(module):
            value = getattr(module, name, None)
            if name not in module.__dict__ and name not in module._modules and is_plain(value):
                found[name] = value
        return found


def constants_of(module: Module) -> set[str]:
    """Names that the class declares as constants: ``__constants__``, or a ``Final`` annotation."""
    found = set(getattr(type(module), "__constants__", ()))
    for cls in type(module).__mro__:
        found |= {name for name, each in inspect.get_annotations(cls).items() if "Final" in str(each)}
    return found


def is_plain(value: Any) -> bool:
    """True for what a program can hold as an attribute."""
    if isinstance(value, Tensor):
        return True
    if isinstance(value, list | tuple):
        return all(is_plain(each) for each in value)
    if isinstance(value, dict):
        return all(is_plain(key) and is_plain(each) for key, each in value.items())
    try:
        constant(value)
    except TypeError:
        return False
    return True


def is_layer(module: Module) -> bool:
    """True for a layer of distrt, which is called as it is."""
    return layer_class(module) is not None
