"""``Registration``: what a module has by name: parameters, buffers and children, as attributes.

The first base class of ``Module``, and the only class that nobody but ``Module`` derives from: an instance of it is
a module.
"""

from __future__ import annotations

import inspect
from typing import Any

from distrt.core.tensor import Tensor
from distrt.core.tensors.questions import typename
from distrt.nn.modules import global_hooks
from distrt.nn.parameter import Buffer, Parameter


class Registration:
    """Parameters, buffers and children of a module, in order of registration."""

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _non_persistent_buffers_set: set[str]
    _modules: dict[str, Any]

    # -- registering

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Adds a parameter under ``name``; None reserves the name.

        Raises:
            AttributeError: before ``Module.__init__`` has run.
            KeyError: for a name that is taken, empty, or has a dot.
            ValueError: for a parameter that an operation made.
        """
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        _require_name(self, name, "parameter", self._parameters)
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{typename(param)}' object to parameter '{name}' (torch.nn.Parameter or None "
                    "required)"
                )
            if param.grad_fn is not None:
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created "
                    f"explicitly. To express '{name}' as a function of another Tensor, compute the value in the "
                    "forward() method."
                )
            param = _after_hooks(self, global_hooks._global_parameter_registration_hooks, name, param)
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Adds a tensor that is state but not trained; ``persistent`` ones are part of the state_dict.

        Raises:
            AttributeError: before ``Module.__init__`` has run.
            KeyError: for a name that is taken, empty, or has a dot.
        """
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        _require_name(self, name, "buffer", self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{typename(tensor)}' object to buffer '{name}' (torch Tensor or None required)"
            )
        self._buffers[name] = _after_hooks(self, global_hooks._global_buffer_registration_hooks, name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Any) -> None:
        """Adds a child under ``name``; None reserves the name.

        Raises:
            TypeError: for something that is no module.
            KeyError: for a name that is taken, empty, or has a dot.
        """
        if module is not None and not isinstance(module, Registration):
            raise TypeError(f"{typename(module)} is not a Module subclass")
        if not isinstance(name, str):
            raise TypeError(f"module name should be a string. Got {typename(name)}")
        if hasattr(self, name) and name not in self._modules:
            raise KeyError(f"attribute '{name}' already exists")
        if "." in name:
            raise KeyError(f'module name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError('module name can\'t be empty string ""')
        self._modules[name] = _after_hooks(self, global_hooks._global_module_registration_hooks, name, module)

    def register_module(self, name: str, module: Any) -> None:
        """The same as :meth:`add_module`."""
        self.add_module(name, module)

    # -- as attributes

    def __setattr__(self, name: str, value: Any) -> None:
        registries = self.__dict__
        if isinstance(value, Parameter):
            if "_parameters" not in registries:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            _forget(self, name, kept="_parameters")
            self.register_parameter(name, value)
        elif name in registries.get("_parameters", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{typename(value)}' as parameter '{name}' (torch.nn.Parameter or None expected)"
                )
            self.register_parameter(name, value)
        elif isinstance(value, Registration):
            if "_modules" not in registries:
                raise AttributeError("cannot assign module before Module.__init__() call")
            _forget(self, name, kept="_modules")
            self._modules[name] = _after_hooks(
                self, global_hooks._global_module_registration_hooks, name, value
            )
        elif name in registries.get("_modules", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{typename(value)}' as child module '{name}' (torch.nn.Module or None expected)"
                )
            self._modules[name] = _after_hooks(
                self, global_hooks._global_module_registration_hooks, name, value
            )
        elif isinstance(value, Buffer) or name in registries.get("_buffers", ()):
            _assign_buffer(self, name, value)
        else:
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        registries = self.__dict__
        for registry in ("_parameters", "_buffers", "_modules"):
            found = registries.get(registry)
            if found is not None and name in found:
                return found[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        if name in self._parameters:
            del self._parameters[name]
        elif name in self._buffers:
            del self._buffers[name]
            self._non_persistent_buffers_set.discard(name)
        elif name in self._modules:
            del self._modules[name]
        else:
            super().__delattr__(name)

    def __dir__(self) -> list[str]:
        names = [
            *dir(type(self)),
            *self.__dict__,
            *self._parameters,
            *self._modules,
            *self._buffers,
        ]
        return sorted(name for name in names if not name[0].isdigit())


def _require_name(module: Any, name: Any, kind: str, registry: dict[str, Any]) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{kind} name should be a string. Got {typename(name)}")
    if "." in name:
        raise KeyError(f'{kind} name can\'t contain "."')
    if name == "":
        raise KeyError(f'{kind} name can\'t be empty string ""')
    if hasattr(module, name) and name not in registry:
        raise KeyError(f"attribute '{name}' already exists")


def _after_hooks(module: Any, hooks: global_hooks.Hooks, name: str, value: Any) -> Any:
    for hook in hooks.values():
        replaced = hook(module, name, value)
        if replaced is not None:
            value = replaced
    return value


def _forget(module: Any, name: str, kept: str) -> None:
    """Lets a name move from one kind of attribute to another; within its kind it keeps its place."""
    registries = module.__dict__
    for registry in ("_parameters", "_buffers", "_modules"):
        if registry != kept:
            registries[registry].pop(name, None)
    registries["_non_persistent_buffers_set"].discard(name)
    registries.pop(name, None)


def _assign_buffer(module: Any, name: str, value: Any) -> None:
    if value is not None and not isinstance(value, Tensor):
        raise TypeError(
            f"cannot assign '{typename(value)}' as buffer '{name}' (torch.nn.Buffer, torch.Tensor or None "
            "expected)"
        )
    if isinstance(value, Buffer):
        persistent = value.persistent
    else:
        persistent = name not in module._non_persistent_buffers_set
    own = getattr(module.register_buffer, "__func__", None) is Registration.register_buffer
    if own or "persistent" in inspect.signature(module.register_buffer).parameters:
        module.register_buffer(name, value, persistent)
        return
    if not persistent:
        raise RuntimeError(
            "Registering a non-persistent buffer on a Module subclass that implements register_buffer() without "
            "the persistent argument is not allowed."
        )
    module.register_buffer(name, value)
