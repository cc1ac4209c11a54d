"""The modules of a program: those of the user's classes become script modules, distrt's own layers stay what they are.

A layer of distrt is there wherever an archive is loaded, so it needs no program: it is called as it is. It shares its
parameters and buffers with the model that was scripted.
"""

from __future__ import annotations

import copy
import functools
from collections import OrderedDict
from collections.abc import Callable

from distrt.jit.script_module import RecursiveScriptModule
from distrt.nn import modules as layers
from distrt.nn.modules.module import Module


@functools.cache
def layer_classes() -> dict[str, type]:
    """The classes of distrt's own layers, by name; what needs a caller's Python to be made is not among them."""
    return {
        name: each
        for name, each in vars(layers).items()
        if isinstance(each, type)
        and issubclass(each, Module)
        and each is not Module
        and not name.startswith(("_", "Lazy"))
        and each.__name__ == name
    }


def layer_class(module: Module) -> type | None:
    """The class of distrt's own whose methods a module has: its class, or a base of it that alone has methods."""
    known = layer_classes()
    for cls in type(module).__mro__:
        if known.get(cls.__name__) is cls:
            return cls
        own = {name for name, each in vars(cls).items() if callable(each) or isinstance(each, property)}
        if own - _HARMLESS:
            return None
    return None


#: Methods that a class may have besides those of a layer: ``forward`` calls none of them.
_HARMLESS = frozenset(
    "__init__ extra_repr __repr__ _load_from_state_dict _save_to_state_dict reset_parameters _reset_parameters "
    "init_weights _init_weights".split()
)


#: The registries of what runs around a module's ``forward``.
HOOKS = (
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
)


class Converter:
    """Makes the modules of a program of those of a model; a module that is there twice stays one.

    Args:
        convert: makes a script module of one whose class is the user's; it calls ``children`` for what lies below.
        keeps_hooks: whether the program's modules have the hooks of the model's, which stay Python.
    """

    def __init__(self, convert: Callable[[Module, Converter], Module], keeps_hooks: bool = True) -> None:
        self._convert, self._keeps_hooks = convert, keeps_hooks
        self._made: dict[int, Module] = {}

    def module(self, module: Module) -> Module:
        """The module in the program."""
        if id(module) in self._made:
            return self._made[id(module)]
        if isinstance(module, RecursiveScriptModule):  # it was made before, and has a program of its own
            made: Module = module
        elif layer_class(module) is not None:
            made = self._layer(module)
        else:
            made = self._convert(module, self)
        self._made[id(module)] = made
        return made

    def note(self, module: Module, made: Module) -> None:
        """Says early what a module becomes, for modules that lie in a circle."""
        self._made[id(module)] = made

    def _layer(self, module: Module) -> Module:
        """A layer with the same parameters, but with a mode and hooks of its own."""
        made = copy.copy(module)
        for name, each in module.__dict__.items():
            if isinstance(each, dict | set):
                made.__dict__[name] = copy.copy(each)
        self._give_hooks(made, module)
        made.__dict__["_modules"] = {
            name: None if each is None else self.module(each) for name, each in module._modules.items()
        }
        return made

    def _give_hooks(self, made: Module, module: Module) -> None:
        for name in HOOKS:
            made.__dict__[name] = copy.copy(module.__dict__[name]) if self._keeps_hooks else OrderedDict()

    def adopt(self, made: Module, module: Module) -> None:
        """Gives a script module the parameters, buffers and children of the module that it is made of."""
        self._give_hooks(made, module)
        made.__dict__["training"] = module.training
        made.__dict__["_parameters"] = dict(module._parameters)
        made.__dict__["_buffers"] = dict(module._buffers)
        made.__dict__["_non_persistent_buffers_set"] = set(module._non_persistent_buffers_set)
        made.__dict__["_modules"] = {
            name: None if each is None else self.module(each) for name, each in module._modules.items()
        }


__all__ = ["HOOKS", "Converter", "layer_class", "layer_classes"]
