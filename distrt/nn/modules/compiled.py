"""``distrt.compile``: a function stays as it is; a module gets PyTorch's wrapper, whose keys checkpoints have.

Nothing is captured or compiled: operations are fused without it. Scripts go by the wrapper all the same: they take the
model out of it (``_orig_mod``), and strip its name from a state dict's keys.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import Any

from distrt.core.process.compiling import check_options
from distrt.nn.modules.module import Module

__all__ = ["OptimizedModule", "compile"]


class OptimizedModule(Module):
    """A module as ``compile`` returns it: calls, attributes and the mode are those of ``_orig_mod``.

    Its parameters' names, and a state dict's keys, begin with ``_orig_mod.``.
    """

    _orig_mod: Module

    def __init__(self, mod: Module) -> None:
        super().__init__()
        self._modules["_orig_mod"] = mod

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the module."""
        return self._orig_mod(*args, **kwargs)

    @property
    def training(self) -> bool:
        """Whether the module is in training mode."""
        return self._orig_mod.training if "_modules" in self.__dict__ and self._modules else True

    @training.setter
    def training(self, mode: bool) -> None:
        if "_modules" in self.__dict__ and self._modules:
            self._orig_mod.training = mode

    def __getattr__(self, name: str) -> Any:
        if name == "_orig_mod":
            return self.__dict__["_modules"]["_orig_mod"]
        if "_modules" not in self.__dict__:  # being copied or read from a file
            raise AttributeError(f"'OptimizedModule' object has no attribute '{name}'")
        return getattr(self._orig_mod, name)

    def __setattr__(self, name: str, value: Any) -> None:
        is_own = hasattr(type(self), name) or name in self.__dict__
        if is_own or "_orig_mod" not in self.__dict__.get("_modules", ()):
            super().__setattr__(
                name, value
            )  # what all modules have, `__class__` among it, is put on the wrapper
        else:
            setattr(self._orig_mod, name, value)

    def __delattr__(self, name: str) -> None:
        if name in self.__dict__:
            super().__delattr__(name)
        else:
            delattr(self._orig_mod, name)

    def __len__(self) -> int:
        """The length of the module in it.

        Raises:
            TypeError: where that has none.
        """
        if not isinstance(self._orig_mod, Sized):
            raise TypeError(f"{type(self._orig_mod).__name__} does not support len()")
        return len(self._orig_mod)

    def __bool__(self) -> bool:
        """That of the module in it, which need not have a length."""
        return bool(self._orig_mod)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(self._orig_mod)})


OptimizedModule.__module__ = "distrt._dynamo.eval_frame"  # PyTorch's place for it, where pickle looks


def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str | Callable[..., Any] = "inductor",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
) -> Any:
    """The function itself, or the module in an `OptimizedModule`; without one, a decorator.

    Args:
        model: a module or a function.
        fullgraph: accepted; so are ``dynamic`` and ``backend``.
        dynamic: see ``fullgraph``.
        backend: see ``fullgraph``.
        mode: one of PyTorch's modes.
        options: accepted in the place of ``mode``.
        disable: leave a module without a wrapper, too.

    Raises:
        RuntimeError: where both ``mode`` and ``options`` are given, for a mode that PyTorch does not know, and for
            something that cannot be called.
    """
    check_options(mode, options, backend)
    if model is None:
        return lambda decorated: compile(
            decorated, backend=backend, mode=mode, options=options, disable=disable
        )
    if not callable(model):
        raise RuntimeError(f"compile: expected a module or a function, got {type(model).__name__}")
    if disable or not isinstance(model, Module):
        return model
    return OptimizedModule(model)
