"""Which names of a file become objects, and which of these may be called.

Three rules, from the strict to the wide. None of them imports a module because a file names it, and none can call a
function but those of ``rebuilding`` and ``standard``, and those that the caller has registered.

* ``weights_only=True``: tensors, containers and numbers, and what ``add_safe_globals`` has registered.
* Not given: besides, modules: classes derived from ``distrt.nn.Module`` that this process has defined, as they are
  written by ``save(model)``; and functions of ``distrt.nn.functional`` as their attributes.
* ``weights_only=False``: besides, the caller's own classes (those that lie neither in the standard library nor among
  the installed packages), and harmless ones of the standard library.
"""

from __future__ import annotations

import _compat_pickle
import functools
import importlib
import sys
import sysconfig
import types
from collections.abc import Mapping
from typing import Any

from distrt.core.tensor import Tensor
from distrt.files import standard
from distrt.files.faults import UnpicklingError
from distrt.files.names import always, look_up, own
from distrt.files.rebuilding import why_not
from distrt.files.registered import registered

__all__ = ["Rule", "modern_name"]

_MAIN = ("__main__", "__mp_main__")
_BLOCKED = frozenset(("sys", "os", "posix", "nt"))


class Rule:
    """What files may name under a value of ``weights_only``.

    Args:
        weights_only: as ``load`` takes it.
        own: classes and functions by the names that files have for them, to be made and called, in place of those that
            the caller has registered.
    """

    def __init__(self, weights_only: bool | None, own: Mapping[str, Any] | None = None) -> None:
        self._weights_only = weights_only
        self._own = registered() if own is None else own

    def find(self, module: str, name: str) -> Any:
        """The object of a name.

        Raises:
            UnpicklingError: for one that is not allowed; the message says what to do.
        """
        module, name = modern_name(module, name)
        path = f"{module}.{name}"
        if module in _BLOCKED:
            raise UnpicklingError(
                f"Trying to load unsupported GLOBAL {path} whose module {module} is blocked."
            )
        found = self._found(module, name, path)
        if found is None:
            raise UnpicklingError(why_not(module, name) or self._refusal(module, name, path))
        return found

    def _found(self, module: str, name: str, path: str) -> Any:
        found = always(module, name)
        if found is None:
            found = standard.always(path)
        if found is None and path in self._own:
            found = standard.on_request(path) or self._own[path]
        if found is None and self._weights_only is not True:
            found = (
                standard.for_modules(path)
                or _module_class(module, name)
                or _ours(module, name, self._weights_only is False)
            )
        if found is None and self._weights_only is False:
            found = standard.on_request(path) or _callers_own(module, name)
        return found

    def may_make(self, kind: Any) -> bool:
        """True for a class whose instances a file may have made and given a state, ``__init__`` not called."""
        if not isinstance(kind, type):
            return False
        if kind in self._own.values():
            return True
        if self._weights_only is not True and (issubclass(kind, _module()) or _belongs_to_layers(kind)):
            return True
        return self._weights_only is False and (is_own(kind) or standard.is_harmless(kind) or _is_ours(kind))

    def may_call(self, function: Any) -> bool:
        """True for what a file may call with arguments of its own choice."""
        if any(function is each for each in self._own.values()):
            return True
        return self._weights_only is False and isinstance(function, type) and is_own(function)

    def _refusal(self, module: str, name: str, path: str) -> str:
        shown = path.removeprefix("builtins.")
        said = (
            f"Unsupported global: GLOBAL {shown} was not an allowed global by default. Please use "
            f"`torch.serialization.add_safe_globals([{shown}])` or the `torch.serialization.safe_globals([{shown}])` "
            "context manager to allowlist this global if you trust this class/function."
        )
        if self._weights_only is not True and module not in sys.modules:
            said += f" distrt imports no module because a file names it: import {module} before you load."
        elif self._weights_only is None and module in _MAIN:
            said += (
                " A model is loaded where its class is defined in your program, and derived from nn.Module."
            )
        elif self._weights_only is False and module not in sys.builtin_module_names:
            said += f" Module {module} has been imported, but this name is not a class of your own there."
        return said


def modern_name(module: str, name: str) -> tuple[str, str]:
    """The name in Python 3 of what a pickle of protocol 2 calls by its name in Python 2."""
    if (module, name) in _compat_pickle.NAME_MAPPING:
        return _compat_pickle.NAME_MAPPING[module, name]
    return _compat_pickle.IMPORT_MAPPING.get(module, module), name


@functools.cache
def _module() -> type:
    return importlib.import_module("distrt.nn").Module  # type: ignore[no-any-return]


def _belongs_to_layers(kind: type) -> bool:
    """True for what distrt's layers keep in their attributes: hooks, handles, settings."""
    return own(kind.__module__, kind.__qualname__) is kind


def _is_ours(kind: type) -> bool:
    """True for distrt's optimizers, schedules, datasets and samplers."""
    return kind.__module__.startswith(("distrt.optim.", "distrt.data.", "distrt.amp."))


def _ours(module: str, name: str, with_classes: bool) -> Any:
    """What distrt has under a name of PyTorch's: as values functions of tensors, and classes where they are wanted."""
    found = look_up(module, name)
    if isinstance(found, type):
        of_layers = issubclass(found, (_module(), Tensor)) or _belongs_to_layers(found)
        return found if with_classes or of_layers else None
    return found


def _module_class(module: str, name: str) -> Any:
    """A class of this process that is derived from ``nn.Module``, wherever it was defined."""
    found = _defined(module, name)
    return found if isinstance(found, type) and issubclass(found, _module()) else None


def _callers_own(module: str, name: str) -> Any:
    found = _defined(module, name)
    return found if isinstance(found, type | types.FunctionType) and is_own(found) else None


def _defined(module: str, name: str) -> Any:
    """What a module that has been imported calls by a name, without running any code of it."""
    if module in _MAIN:  # a process that was spawned has the program under the other name
        module = next((name for name in (module, *_MAIN) if name in sys.modules), module)
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, "__dict__", {}).get(part)
        if isinstance(found, staticmethod):
            found = found.__func__
    home = getattr(found, "__module__", None)
    return found if home == module or (home in _MAIN and module in _MAIN) else None


def is_own(value: Any) -> bool:
    """True for a class or function that the caller's program defines, rather than a library."""
    name = getattr(value, "__module__", None)
    if name in _MAIN:
        return True
    if not isinstance(name, str) or name.partition(".")[0] in ("distrt", "launch"):
        return False
    return _lies_outside(getattr(sys.modules.get(name), "__file__", None))


@functools.cache
def _lies_outside(file: str | None) -> bool:
    if file is None:
        return False
    paths = sysconfig.get_paths()
    libraries = tuple(
        paths[name].rstrip("/") + "/" for name in ("stdlib", "platstdlib", "purelib", "platlib")
    )
    return not file.startswith(libraries) and "/site-packages/" not in file and "/dist-packages/" not in file
