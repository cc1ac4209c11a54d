"""What may stand behind ``with``: blocks without gradients, autocast, and labels for the profiler."""

from __future__ import annotations

import ast
import inspect
from typing import Any

from distrt.amp.autocast_mode import autocast
from distrt.core.modes import enable_grad, inference_mode, no_grad
from distrt.jit import table
from distrt.jit.compiler.methods import Methods
from distrt.jit.frontend import NotSupportedError
from distrt.jit.program import IR

_CONTEXTS = {no_grad: "no_grad", enable_grad: "enable_grad", inference_mode: "inference_mode"}


class Contexts(Methods):
    """Compiles the contexts in one function."""

    def context(self, node: ast.With, given: ast.Call) -> Any:
        """The block's context as ``program.py`` has it; None where it is none of those."""
        found = self.expression(given.func).value
        if found in _CONTEXTS:
            return _CONTEXTS[found]
        if isinstance(found, type) and issubclass(found, autocast):
            return self._autocast(node, given, found)
        is_label = getattr(found, "__name__", "") == "record_function"
        return "nothing" if is_label and found.__module__.startswith("distrt.profiler") else None

    def _autocast(self, node: ast.With, given: ast.Call, kind: type) -> IR:
        arguments = inspect.signature(kind).bind(
            *(self._written(node, each) for each in given.args),
            **{each.arg or "": self._written(node, each.value) for each in given.keywords},
        )
        arguments.apply_defaults()
        device_type = arguments.arguments.get("device_type", kind.__module__.split(".")[1])
        dtype = arguments.arguments["dtype"]
        narrow = None if dtype is None else str(dtype).removeprefix("torch.")
        return ["autocast", device_type, narrow, bool(arguments.arguments["enabled"])]

    def _written(self, node: ast.With, given: ast.expr) -> Any:
        """The value of an argument that must be known when compiling."""
        value = self.value(given)
        if value.ir is not None and value.ir[0] == "dtype":
            return table.DTYPES[value.ir[1]]
        if not value.is_known and (value.ir is None or value.ir[0] != "const"):
            self.source.refuse(node, "autocast's arguments must be constants in a program", NotSupportedError)
        return value.value if value.is_known else value.ir[1]
