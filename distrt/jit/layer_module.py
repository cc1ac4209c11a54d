"""Layers of distrt that were scripted by themselves: they have no program, and are called as they are."""

from __future__ import annotations

import inspect
from typing import Any

from distrt.jit.program import IR, Function, Parameter, Program
from distrt.jit.script_module import RecursiveScriptModule, ScriptModuleDict, ScriptModuleList, form_of
from distrt.nn.modules.module import Module


def around(layer: Module) -> LayerModule:
    """The script module of a layer."""
    return _FORMS[form_of(layer)]._around(layer)


class LayerModule(RecursiveScriptModule):
    """A layer of distrt that was scripted by itself: it shares all that the layer has, and calls it."""

    @classmethod
    def _around(cls, layer: Module) -> LayerModule:
        made: LayerModule = cls._made(Program(), {}, {}, type(layer).__name__)
        made.__dict__["_layer"] = layer
        for name in ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "training"):
            made.__dict__[name] = layer.__dict__[name]
        given = [
            Parameter(each.name, "Any", None if each.default is each.empty else ["const", None])
            for each in inspect.signature(layer.forward).parameters.values()
        ]
        call: IR = ["module", ["local", "self"], [["local", each.name] for each in given], {}]
        made.__dict__["_functions"] = {"forward": Function("forward", given, None, [["return", 0, call]])}
        return made

    def forward(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Calls the layer."""
        return self.__dict__["_layer"](*args, **kwargs)

    def train(self, mode: bool = True) -> Any:
        """As the layer's."""
        self.__dict__["_layer"].train(mode)
        return super().train(mode)

    def __getattr__(self, name: str) -> Any:
        layer = self.__dict__.get("_layer")
        if layer is not None and name in vars(layer) and not name.startswith("_"):
            return vars(layer)[name]
        return super().__getattr__(name)


class LayerModuleList(LayerModule, ScriptModuleList):
    """A ``Sequential`` or ``ModuleList``."""


class LayerModuleDict(LayerModule, ScriptModuleDict):
    """A ``ModuleDict``."""


_FORMS: dict[type[RecursiveScriptModule], type[LayerModule]] = {
    RecursiveScriptModule: LayerModule,
    ScriptModuleList: LayerModuleList,
    ScriptModuleDict: LayerModuleDict,
}
