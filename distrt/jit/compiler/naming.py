"""Names and attributes: of the function, of modules, and of what the source names outside of it."""

from __future__ import annotations

import ast
import inspect
import types
import typing
from typing import TYPE_CHECKING, Any

from distrt.core.tensor import Tensor
from distrt.jit import table
from distrt.jit import types as kinds
from distrt.jit.compiler.meaning import Meaning, Modules
from distrt.jit.compiler.names import MISSING
from distrt.jit.decorators import Attribute, attribute_of
from distrt.jit.frontend import NotSupportedError, Source, UnsupportedNodeError
from distrt.jit.program import IR
from distrt.jit.recording import constant
from distrt.nn.modules.module import Module

if TYPE_CHECKING:
    from distrt.jit.compiler.names import Annotations, Names
    from distrt.jit.compiler.unit import Unit

_OF_ATTRIBUTES = {
    "shape": ["List", "int"], "ndim": "int", "requires_grad": "bool", "device": "Device", "is_cuda": "bool",
    "is_leaf": "bool", "itemsize": "int", "nbytes": "int", "T": "Tensor", "mT": "Tensor", "H": "Tensor",
    "data": "Tensor", "real": "Tensor", "imag": "Tensor",
}  # fmt: skip


class Naming:
    """Compiles the names and attributes in one function; the base of what compiles expressions.

    Attributes:
        variables: the names that have a value here, with their types.
        missing: names that have one on some paths only, with what to say about that.
        itself: what the function calls ``self``; "" in a function that is no method.
    """

    def __init__(
        self, unit: Unit, source: Source, names: Names, annotations: Annotations, variables: dict[str, Any]
    ) -> None:
        self.unit, self.source, self.names, self.annotations = unit, source, names, annotations
        self.variables = variables
        self.missing: dict[str, str] = {}
        self.itself = ""

    def expression(self, node: ast.expr) -> Meaning:
        """What an expression means."""
        handler = getattr(self, f"_on_{type(node).__name__.lower()}", None)
        if handler is None:
            self.source.refuse(node, f"{type(node).__name__} nodes aren't supported", UnsupportedNodeError)
        return handler(node)  # type: ignore[no-any-return]

    def value(self, node: ast.expr, may_be_nothing: bool = False) -> Any:
        """An expression that is a value of the program."""
        found = self.expression(node)
        if found.ir is None:
            self._refuse_python_value(node, found.value)
        return found

    def condition(self, node: ast.expr) -> Any:
        """An expression that Python asks for its truth."""
        return self.value(node)

    def _refuse_python_value(self, node: ast.AST, value: Any) -> None:
        kind = type(value).__name__
        if isinstance(value, types.ModuleType | types.FunctionType | type):
            self.source.refuse(
                node, f"{'module' if kind == 'module' else 'function'} cannot be used as a value"
            )
        self.source.refuse(
            node,
            f"python value of type '{kind}' cannot be used as a value. Perhaps it is a closed over global variable? If "
            "so, please consider passing it in as an argument or use a local variable instead.",
        )

    # -- names and attributes

    def _on_name(self, node: ast.Name) -> Meaning:
        name = node.id
        if name == self.itself:
            return Meaning(["local", "self"], self.variables["self"])
        if name in self.variables:
            return Meaning(["local", name], self.variables[name])
        if name in self.missing:
            self.source.refuse(node, self.missing[name])
        found = self.names.find(name)
        if found is MISSING:
            self.source.refuse(node, f"undefined value {name}")
        return self._of_python(found, is_global=True)

    def _of_python(self, value: Any, is_global: bool = False) -> Meaning:
        """A Python object that the source names: a constant where it can be one."""
        if value is None or (not is_global and isinstance(value, bool | int | float | str | tuple)):
            try:
                return Meaning(constant(value), kinds.of_value(value), value)
            except TypeError:
                return Meaning(None, None, value)
        if isinstance(value, bool | int | float | complex | str | Tensor | Module | list | dict | tuple):
            return Meaning(None, None, value)
        try:
            return Meaning(constant(value), "int" if hasattr(value, "itemsize") else "Any", value)
        except TypeError:
            return Meaning(None, None, value)

    def _on_constant(self, node: ast.Constant) -> Meaning:
        if node.value is ...:
            return Meaning(["ellipsis"], "Any")
        if isinstance(node.value, bytes):
            self.source.refuse(node, "bytes are not supported", NotSupportedError)
        return Meaning(["const", node.value], kinds.of_value(node.value), node.value)

    def _on_attribute(self, node: ast.Attribute) -> Meaning:
        owner = self.expression(node.value)
        if owner.ir is None or (owner.is_known and owner.type == "Any"):
            return self._attribute_of_python(node, owner.value)
        if isinstance(owner.type, Modules):
            return self._attribute_of_module(node, owner)
        return self._attribute_of_value(node, owner)

    def _attribute_of_python(self, node: ast.Attribute, owner: Any) -> Meaning:
        found = getattr(owner, node.attr, MISSING)
        if found is MISSING:
            kind = "module" if isinstance(owner, types.ModuleType) else type(owner).__name__
            self.source.refuse(
                node, f"{kind} '{getattr(owner, '__name__', owner)}' has no attribute '{node.attr}'"
            )
        return self._of_python(found)

    def _attribute_of_module(self, node: ast.Attribute, owner: Meaning) -> Meaning:
        module, name = owner.type.modules[0], node.attr
        ir: IR = ["attr", owner.ir, name]
        if name in module._modules:
            child = module._modules[name]
            return Meaning(["const", None], "None", None) if child is None else Meaning(ir, Modules((child,)))
        if name in module._parameters or name in module._buffers:
            tensor = module._parameters.get(name, module._buffers.get(name))
            return Meaning(["const", None], "None", None) if tensor is None else Meaning(ir, "Tensor")
        if name == "training":
            return Meaning(ir, "bool")
        written = inspect.getattr_static(type(module), name, None)
        if isinstance(written, property):
            made = self.unit.method(module, name)
            return Meaning(["method", owner.ir, name, [], {}], None if made is None else made.returns)
        if not hasattr(module, name):
            self.source.refuse(node, f"Module '{type(module).__name__}' has no attribute '{name}' ")
        return self._plain_attribute(node, owner, module, name)

    def _plain_attribute(self, node: ast.Attribute, owner: Meaning, module: Module, name: str) -> Meaning:
        from distrt.jit.compiler.unit import constants_of, is_layer, is_plain

        value = attribute_of(module, name)
        ir: IR = ["attr", owner.ir, name]
        if value is None and not _declared_optional(module, name):
            return Meaning(["const", None], "None", None)
        if isinstance(value, types.FunctionType | types.BuiltinFunctionType | types.MethodType | type):
            return Meaning(None, None, value)
        is_constant = name in constants_of(module)
        if (name in module.__dict__ or is_constant) and is_plain(value):
            if is_constant and isinstance(value, bool | int | float | str):
                return Meaning(constant(value), kinds.of_value(value), value)
            return Meaning(ir, _declared_type(module, name, self.annotations) or kinds.of_value(value))
        if is_layer(module):
            self.source.refuse(
                node, f"Module '{type(module).__name__}' has no attribute '{name}' that programs can read"
            )
        said = (
            "(This attribute exists on the Python module, but we failed to convert Python type: "
            f"'{type(value).__name__}' to a TorchScript type.)"
        )
        if callable(value):
            return Meaning(None, None, value)
        self.source.refuse(node, f"Module '{type(module).__name__}' has no attribute '{name}' {said}")

    def _attribute_of_value(self, node: ast.Attribute, owner: Meaning) -> Meaning:
        name, kind = node.attr, owner.type
        if kind == "Tensor" and name not in table.ATTRIBUTES_OF_TENSORS:
            self.source.refuse(node, f"'Tensor' object has no attribute or method '{name}'.")
        if name.startswith("__"):
            self.source.refuse(node, f"'{kinds.text_of(kind)}' object has no attribute or method '{name}'.")
        return Meaning(
            ["attr", owner.ir, name], _OF_ATTRIBUTES.get(name) if kind in ("Tensor", None) else None
        )


def _declared_type(module: Module, name: str, annotations: Any) -> Any:
    """The type that a class, or ``jit.Attribute``, states for an attribute; None where none can be read."""
    given = module.__dict__.get(name)
    if isinstance(given, Attribute):
        return kinds.of_annotation(given.type)
    for cls in type(module).__mro__:
        stated = inspect.get_annotations(cls).get(name)
        if stated is None or isinstance(stated, str):
            continue
        try:
            return kinds.of_annotation(stated)
        except TypeError:
            return None
    return None


def _declared_optional(module: Module, name: str) -> bool:
    given = module.__dict__.get(name)
    return (isinstance(given, Attribute) and _is_optional(given.type)) or any(
        _is_optional(inspect.get_annotations(cls).get(name)) for cls in type(module).__mro__
    )


def _is_optional(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return "Optional" in annotation
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return is_union and type(None) in typing.get_args(annotation)
