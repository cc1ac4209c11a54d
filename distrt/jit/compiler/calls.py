"""Calls of operations, of Python's own functions, and of functions that are compiled in turn."""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import math
import types
import typing
from typing import Any

from distrt.core import device as devices
from distrt.jit import table
from distrt.jit import types as kinds
from distrt.jit.compiler.meaning import Meaning, Modules, as_wanted, is_converted
from distrt.jit.compiler.operators import Operators
from distrt.jit.compiler.targets import target_of
from distrt.jit.decorators import (
    IGNORE,
    UNUSED,
    annotate,
    is_scripting,
    is_tracing,
    modifier_of,
)
from distrt.jit.frontend import NotSupportedError
from distrt.jit.program import IR, Function
from distrt.jit.script_function import ScriptFunction
from distrt.nn.modules.module import Module

_OF_BUILTINS: dict[str, Any] = {
    "len": "int", "range": ["List", "int"], "int": "int", "float": "float", "bool": "bool", "str": "str",
    "complex": "complex", "print": "None", "ord": "int", "chr": "str", "hex": "str", "bin": "str", "oct": "str",
}  # fmt: skip


class Calls(Operators):
    """Compiles the calls of one function."""

    # -- what is known by its name

    def _special(self, node: ast.Call) -> Meaning | None:
        if not isinstance(node.func, ast.Name | ast.Attribute):
            return None
        if isinstance(node.func, ast.Name):
            if node.func.id in self.variables:
                return None
            found = self.names.find(node.func.id)
        else:
            found = self._python_at(node.func)
        handler = {
            builtins.isinstance: self._isinstance,
            builtins.hasattr: self._hasattr,
            builtins.getattr: self._getattr,
            builtins.super: self._refuse_super,
            is_scripting: lambda node: Meaning(["const", True], "bool", True),
            is_tracing: lambda node: Meaning(["const", False], "bool", False),
            annotate: self._annotated,
            typing.cast: self._annotated,
        }
        try:
            if found in handler:
                return handler[found](node)
        except TypeError:  # no key of a dict
            return None
        name = getattr(found, "__name__", "")
        if getattr(found, "__module__", "").startswith("distrt.jit") and name in (
            "isinstance_",
            "isinstance",
        ):
            return self._isinstance(node)
        if getattr(found, "__module__", "") == "distrt.jit.asynchronous":
            return self._asynchronous(node, name)
        return None

    def _python_at(self, node: ast.expr) -> Any:
        """The Python object of a dotted name that begins outside of the function; None for anything else."""
        if isinstance(node, ast.Name):
            return None if node.id in self.variables or node.id == self.itself else self.names.find(node.id)
        if isinstance(node, ast.Attribute):
            owner = self._python_at(node.value)
            return getattr(owner, node.attr, None) if isinstance(owner, types.ModuleType) else None
        return None

    def name_of_class(self, node: ast.expr) -> str:
        """The name of the class that an expression names."""
        found = self._python_at(node)
        if found is None and isinstance(node, ast.Name):
            found = self.names.find(node.id)
        if not (isinstance(found, type) and issubclass(found, BaseException)):
            self.source.refuse(node, "raise needs a class of exceptions", NotSupportedError)
        for cls in found.__mro__:
            if cls.__module__ == "builtins":
                return cls.__name__
        return "RuntimeError"

    def _isinstance(self, node: ast.Call) -> Meaning:
        value, wanted = self.value(node.args[0]), self.annotations.class_of(node.args[1])
        known = self._known_instance(value.type, wanted)
        ir: IR = ["isinstance", value.ir, wanted]
        return Meaning(ir, "bool") if known is None else Meaning(["const", known], "bool", known)

    def _known_instance(self, kind: Any, wanted: list[Any]) -> bool | None:
        if kind in ("Tensor", "int", "float", "bool", "str", "None"):
            return kind in wanted
        return None

    def _hasattr(self, node: ast.Call) -> Meaning:
        owner, name = self.value(node.args[0]), self._text(node.args[1])
        if not isinstance(owner.type, Modules):
            self.source.refuse(
                node, "hasattr's first argument must be an object or a module", NotSupportedError
            )
        known = hasattr(owner.type.modules[0], name)
        return Meaning(["const", known], "bool", known)

    def _getattr(self, node: ast.Call) -> Meaning:
        name = self._text(node.args[1])
        owner = self.value(node.args[0])
        if (
            len(node.args) > 2
            and isinstance(owner.type, Modules)
            and not hasattr(owner.type.modules[0], name)
        ):
            return self.expression(node.args[2])
        made = ast.copy_location(ast.Attribute(node.args[0], name, ast.Load()), node)
        return self.expression(made)

    def _text(self, node: ast.expr) -> str:
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            self.source.refuse(
                node, "the name of an attribute must be a text that is written there", NotSupportedError
            )
        return node.value

    def _refuse_super(self, node: ast.Call) -> Meaning:
        self.source.refuse(node, "super() is not supported in programs", NotSupportedError)

    def _annotated(self, node: ast.Call) -> Meaning:
        kind, value = self.annotations.type_of(node.args[0]), self.value(node.args[1])
        return Meaning(value.ir, kind)

    def _asynchronous(self, node: ast.Call, name: str) -> Meaning:
        """``fork(f, ...)`` calls at once; what it gives is what ``wait`` gives."""
        if name == "wait":
            return self.value(node.args[0])  # type: ignore[no-any-return]
        call = ast.copy_location(ast.Call(node.args[0], node.args[1:], node.keywords), node)
        return self.expression(call)

    # -- Python objects

    def _python(self, node: ast.Call, function: Any) -> Meaning:
        if isinstance(function, functools.partial):
            self.source.refuse(node, "functools.partial is not supported", NotSupportedError)
        name = _builtin_name(function)
        if name is not None:
            return self._builtin(node, name)
        if isinstance(function, ScriptFunction):
            own = function._function
            return self._compiled(node, self.unit.scripted_function(function), own.returns)
        if function is devices.device:
            return Meaning(["call", "torch.device", *self._arguments(node)], "Device")
        target = target_of(function)
        if target is not None:
            return self._operation(node, target)
        if isinstance(function, types.MethodType) and isinstance(function.__self__, Module):
            self.source.refuse(node, "a bound method cannot be called here", NotSupportedError)
        if isinstance(function, types.FunctionType):
            return self._function(node, function)
        if isinstance(function, type) and issubclass(function, tuple) and hasattr(function, "_fields"):
            return self._named_tuple(node, function)
        if isinstance(function, type):
            self.source.refuse(
                node, f"Class '{function.__name__}' cannot be instantiated in a program", NotSupportedError
            )
        self.source.refuse(node, f"Python builtin {function!r:.80} is currently not supported in Torchscript")

    def _builtin(self, node: ast.Call, name: str) -> Meaning:
        if name in ("list", "dict", "tuple", "set") and node.args and name == "set":
            self.source.refuse(node, "sets are not supported", NotSupportedError)
        args, kwargs = self._arguments(node)
        given = [self.value(each).type for each in node.args if not isinstance(each, ast.Starred)]
        kind = _OF_BUILTINS.get(name)
        if name == "len" and given and given[0] in ("int", "float", "bool", "None", "Device"):
            self.source.refuse(node, f"object of type '{kinds.text_of(given[0])}' has no len()")
        if name == "enumerate" and given:
            kind = ["List", ["Tuple", "int", self.element_of(given[0])]]
        elif name == "zip":
            kind = ["List", ["Tuple", *map(self.element_of, given)]]
        elif name in ("reversed", "sorted", "list") and given:
            kind = given[0] if isinstance(given[0], Modules) else ["List", self.element_of(given[0])]
        elif name in ("abs", "min", "max", "round") and given:
            kind = given[0] if len(given) == 1 and name == "abs" else _common(given)
        elif name.startswith("math."):
            kind = None
        family = "" if name.startswith("math.") else "builtins."
        return Meaning(["call", family + name, args, kwargs], kind)

    def _operation(self, node: ast.Call, target: str) -> Meaning:
        args, kwargs = self._arguments(node)
        if not table.has(target):
            self.source.refuse(node, f"{target} is not supported in programs", NotSupportedError)
        self._check_arguments(node, target, args, kwargs)
        return Meaning(["call", target, args, kwargs], result_of(target))

    def _check_arguments(self, node: ast.Call, target: str, args: list[IR], kwargs: dict[str, IR]) -> None:
        """Refuses a call that the function's parameters do not fit."""
        if any(each[0] == "star" for each in args):
            return
        try:
            signature = inspect.signature(table.function(target))
            signature.bind(
                *args,
                **{key: value for key, value in kwargs.items() if key not in ("out", "axis", "keepdims")},
            )
        except TypeError as fault:
            if "axis" in kwargs or "keepdims" in kwargs:
                return
            self.source.refuse(node, f"Arguments for call are not valid.\n{target}(): {fault}")
        except ValueError:  # no signature
            return

    def _function(self, node: ast.Call, function: types.FunctionType) -> Meaning:
        said = modifier_of(function)
        if said == IGNORE:
            return Meaning(
                ["python", self.unit.python(function), *self._arguments(node)], returns_of(function)
            )
        if said == UNUSED:
            return self._unused(node, function.__name__)
        if self.unit.is_running(function):
            self.source.refuse(
                node,
                f"function '{function.__name__}' is called recursively. Recursive calls are not supported",
            )
        name = self.unit.function(function)
        made = self.unit.program.functions[name]
        return self._compiled(node, name, made.returns)

    def _compiled(self, node: ast.Call, name: str, returns: Any) -> Meaning:
        args, kwargs = self._arguments(node)
        self._check_call(node, self.unit.program.functions[name], args, kwargs)
        args = self._as_wanted(node, args, self.unit.program.functions[name])
        return Meaning(["function", name, args, kwargs], returns)

    def _as_wanted(self, node: ast.Call, args: list[IR], function: Function) -> list[IR]:
        """The arguments, with tensors as numbers where the function wants numbers."""
        if any(isinstance(each, ast.Starred) for each in node.args):
            return args
        kinds_given = [self.value(each).type for each in node.args]
        made = [
            as_wanted(Meaning(each, kind), parameter.type).ir
            for each, kind, parameter in zip(args, kinds_given, function.parameters, strict=False)
        ]
        return [each for each in made if each is not None]

    def _check_call(self, node: ast.Call, function: Any, args: list[IR], kwargs: dict[str, IR]) -> None:
        if any(each[0] == "star" for each in args):
            return
        positional = [each for each in function.parameters if not each.keyword_only]
        names = [each.name for each in function.parameters]
        if len(args) > len(positional):
            self.source.refuse(
                node,
                f"{function.name}() expected at most {len(positional)} argument(s) but received {len(args)} "
                "argument(s)",
            )
        for key in kwargs:
            if key not in names:
                self.source.refuse(node, f"Unknown keyword argument '{key}' for operator '{function.name}'")
        given = {each.name for each in positional[: len(args)]} | set(kwargs)
        for each in function.parameters:
            if each.name not in given and each.default is None:
                self.source.refuse(node, f"Argument {each.name} not provided")
        self._check_types(node, function)

    def _check_types(self, node: ast.Call, function: Any) -> None:
        for each, parameter in zip(node.args, function.parameters, strict=False):
            if isinstance(each, ast.Starred):
                return
            kind = self.value(each).type
            kind = "Module" if isinstance(kind, Modules) else kind
            if not kinds.fits(parameter.type, kind) and not is_converted(kind, parameter.type):
                self.source.refuse(
                    node,
                    f"{function.name}() Expected a value of type '{kinds.text_of(parameter.type)}' for argument "
                    f"'{parameter.name}' but instead found type '{kinds.text_of(kind)}'",
                )

    def _unused(self, node: ast.Call, name: str) -> Meaning:
        """A call that ends the program with an error: an operation that raises it, in the place of a value."""
        said = f"An attempt was made to call {name}, which is marked @unused"
        return Meaning(["call", "jit.unused", [["const", said]], {}], None)

    def _arguments(self, node: ast.Call) -> tuple[list[IR], dict[str, IR]]:
        args = [self._item(each).ir for each in node.args]
        kwargs: dict[str, IR] = {}
        for each in node.keywords:
            if each.arg is None:
                self.source.refuse(node, "keyword-arg expansion is not supported", NotSupportedError)
            kwargs[each.arg] = self.value(each.value).ir
        return args, kwargs


def _builtin_name(function: Any) -> str | None:
    name = getattr(function, "__name__", None)
    if name is not None and getattr(builtins, name, None) is function and table.has(f"builtins.{name}"):
        return str(name)
    if name is not None and getattr(math, name, None) is function:
        return f"math.{name}"
    return None


def _common(given: list[Any]) -> Any:
    return (
        given[0]
        if given and all(each == given[0] for each in given) and given[0] in ("int", "float")
        else None
    )


def returns_of(function: Any) -> Any:
    """The type that a Python function states for its result."""
    annotation = inspect.signature(function).return_annotation
    try:
        return (
            None
            if annotation in (inspect.Signature.empty,) or isinstance(annotation, str)
            else kinds.of_annotation(annotation)
        )
    except TypeError:
        return None


@functools.cache
def result_of(target: str) -> Any:
    """The type of an operation's result, as far as its definition says."""
    try:
        function = table.function(target)
        stated = str(inspect.signature(function).return_annotation)
    except (KeyError, TypeError, ValueError):
        return None
    definition = getattr(function, "definition", None)
    if definition is not None:
        return None if definition.output_names or stated.startswith(("list", "tuple")) else "Tensor"
    return "Tensor" if stated.rpartition(".")[2].strip("'>") == "Tensor" else None
