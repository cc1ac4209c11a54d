"""Calls of methods and of modules."""

from __future__ import annotations

import ast
import inspect
import types
from typing import Any

from distrt.jit import table
from distrt.jit import types as kinds
from distrt.jit.compiler.calls import Calls, result_of, returns_of
from distrt.jit.compiler.meaning import Meaning, Modules
from distrt.jit.decorators import IGNORE, UNUSED, modifier_of
from distrt.jit.program import IR
from distrt.jit.script_module import RecursiveScriptModule
from distrt.nn.modules.module import Module

_OF_METHODS: dict[str, Any] = {
    "dim": "int", "numel": "int", "nelement": "int", "ndimension": "int", "is_floating_point": "bool",
    "is_complex": "bool", "is_contiguous": "bool", "element_size": "int", "storage_offset": "int", "equal": "bool",
    "allclose": "bool", "is_same_size": "bool", "get_device": "int",
}  # fmt: skip
_TENSOR_METHODS = frozenset(
    "view reshape flatten permute transpose expand contiguous to float double int long half bool clone detach repeat "
    "squeeze unsqueeze expand_as view_as type_as cpu index_select new_zeros new_ones new_full new_tensor new_empty "
    "unflatten tile flip roll repeat_interleave reshape_as movedim t gather scatter masked_fill".split()
)


class Methods(Calls):
    """Compiles the calls in one function."""

    def _on_call(self, node: ast.Call) -> Meaning:
        special = self._special(node)
        if special is not None:
            return special
        if isinstance(node.func, ast.Attribute):
            owner = self.expression(node.func.value)
            if owner.ir is not None and not (owner.is_known and owner.type == "Any"):
                return self._method(node, owner, node.func.attr)
        called = self.expression(node.func)
        if called.ir is not None:
            return self._called_value(node, called)
        return self._python(node, called.value)

    def _method(self, node: ast.Call, owner: Meaning, name: str) -> Meaning:
        if isinstance(owner.type, Modules):
            return self._method_of_module(node, owner, name)
        kind = owner.type
        known = table.methods_of_tensors() if kind == "Tensor" else None
        if name.startswith("__") or (known is not None and name not in known):
            self.source.refuse(node, f"'{kinds.text_of(kind)}' object has no attribute or method '{name}'.")
        if kind is None and name not in table.methods_of_tensors() | table.names_of_methods():
            return self._method_of_unknown(node, owner, name)
        if kind is not None and kind != "Tensor" and not table.has_method(kind, name):
            self.source.refuse(node, f"'{kinds.text_of(kind)}' object has no attribute or method '{name}'.")
        args, kwargs = self._arguments(node)
        return Meaning(["method", owner.ir, name, args, kwargs], self._result_of_method(kind, name, args))

    def _method_of_unknown(self, node: ast.Call, owner: Meaning, name: str) -> Meaning:
        self.source.refuse(node, f"no value has a method '{name}' that programs can call")

    def _result_of_method(self, kind: Any, name: str, args: list[IR]) -> Any:
        if kind == "Tensor":
            if name == "size":
                return "int" if args else ["List", "int"]
            if name in _OF_METHODS:
                return _OF_METHODS[name]
            return "Tensor" if name in _TENSOR_METHODS or name.endswith("_") else result_of(name)
        if isinstance(kind, list) and kind[0] == "Dict":
            return {
                "keys": ["List", kind[1]],
                "values": ["List", kind[2]],
                "items": ["List", ["Tuple", kind[1], kind[2]]],
            }.get(name)
        if isinstance(kind, list) and kind[0] == "List" and name == "pop":
            return kind[1]
        return (
            "str"
            if kind == "str" and name in ("format", "lower", "upper", "strip", "join", "replace")
            else None
        )

    def _method_of_module(self, node: ast.Call, owner: Meaning, name: str) -> Meaning:
        modules = owner.type.modules
        module = modules[0]
        if name in module._modules:
            return self._called_value(node, self.expression(node.func))
        if name in ("keys", "values", "items") and not _has_own(module, name):
            return self._through_container(owner, name)
        written = inspect.getattr_static(type(module), name, None)
        function = getattr(written, "__func__", written)
        if written is None or not isinstance(function, types.FunctionType):
            called = self.expression(node.func)
            return (
                self._called_value(node, called)
                if called.ir is not None
                else self._python(node, called.value)
            )
        said = modifier_of(function)
        if said == IGNORE:
            bound = getattr(module, name)
            return Meaning(["python", self.unit.python(bound), *self._arguments(node)], returns_of(function))
        if said == UNUSED:
            return self._unused(node, name)
        if name == "forward":
            return self._called_value(node, Meaning(owner.ir, owner.type))
        if any(self.unit.is_running(each, name) for each in modules):
            self.source.refuse(
                node, f"method '{name}' is called recursively. Recursive calls are not supported"
            )
        made = [self.unit.method(each, name) for each in modules]
        if made[0] is None:
            self.source.refuse(
                node, f"Module '{type(module).__name__}' has no method '{name}' that programs can call"
            )
        args, kwargs = self._arguments(node)
        self._check_call(node, made[0], args, kwargs)
        return Meaning(["method", owner.ir, name, args, kwargs], made[0].returns)

    def _through_container(self, owner: Meaning, name: str) -> Meaning:
        children = owner.type.children()
        kind: Any = {
            "keys": ["List", "str"],
            "values": ["List", children],
            "items": ["List", ["Tuple", "str", children]],
        }[name]
        return Meaning(["method", owner.ir, name, [], {}], kind)

    def _called_value(self, node: ast.Call, called: Meaning) -> Meaning:
        kind = called.type
        if kind is not None and not isinstance(kind, Modules):
            self.source.refuse(node, f"'{kinds.text_of(kind)}' object is not callable")
        args, kwargs = self._arguments(node)
        returns = None
        if isinstance(kind, Modules):
            for each in kind.modules:
                if isinstance(each, RecursiveScriptModule):
                    continue
                made = self.unit.method(each, "forward")
                if made is not None:
                    self._check_call(node, made, args, kwargs)
                    returns = made.returns
            if all(_gives_a_tensor(each) for each in kind.modules):
                returns = "Tensor"
        return Meaning(["module", called.ir, args, kwargs], returns)


def _has_own(module: Module, name: str) -> bool:
    return type(module).__module__.partition(".")[0] != "distrt" and name in vars(type(module))


_SEVERAL = (
    "LSTM",
    "GRU",
    "RNN",
    "LSTMCell",
    "MultiheadAttention",
    "ModuleList",
    "ModuleDict",
    "Identity",
    "Sequential",
)


def _gives_a_tensor(module: Module) -> bool:
    """True for layers of distrt whose result is one tensor, whatever their options."""
    names = [cls.__name__ for cls in type(module).__mro__]
    if not type(module).__module__.startswith("distrt.nn"):
        return False
    options = getattr(module, "return_indices", False)
    return not options and not any(name in _SEVERAL for name in names) and "Adaptive" not in names[0]
