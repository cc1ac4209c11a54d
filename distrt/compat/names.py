"""The importer that finds ``torch.x`` in ``distrt.x`` and ``torchvision.x`` in ``distrt.vision.x``."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from types import CodeType, ModuleType
from typing import Any

from distrt.torch_version import TorchVersion

__all__ = ["install", "require_no_pytorch", "shims_path"]

#: What stands for what, and the version whose interface it has, which scripts ask for.
_STANDS_FOR = {"torch": ("distrt", "2.13.0"), "torchvision": ("distrt.vision", "0.28.0")}


def shims_path() -> str:
    """The folder whose ``torch`` and ``torchvision`` are distrt's; in front of PYTHONPATH it holds for a whole run."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "shims")


def install() -> None:
    """From now on, ``import torch`` and ``import torchvision`` mean distrt in this process. Again, it does nothing.

    Raises:
        ImportError: where PyTorch or torchvision is loaded already.
    """
    require_no_pytorch()
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    for name in _STANDS_FOR:
        if name in sys.modules and not isinstance(sys.modules[name], _StandIn):
            sys.modules[name] = _StandIn(name)  # the shim that asked is being loaded under this name


def require_no_pytorch() -> None:
    """Raises ImportError where the real PyTorch or torchvision is loaded in this process."""
    for name in _STANDS_FOR:
        module = sys.modules.get(name)
        where = getattr(module, "__file__", None) or ""
        if module is None or isinstance(module, _StandIn) or where.startswith(shims_path()):
            continue
        raise ImportError(
            f"distrt.compat: {name} itself is loaded already ({where or 'without a file'}), so its name cannot stand "
            "for distrt in this process. Ask for distrt.compat before anything imports it",
            name=name,
        )


class _StandIn(ModuleType):
    """The package under its other name: what it lacks itself, distrt's has."""

    def __init__(self, name: str) -> None:
        ours, version = _STANDS_FOR[name]
        super().__init__(name, f"{ours} in place of {name}.")
        self.__dict__["_package"] = package = importlib.import_module(ours)
        own = importlib.import_module("distrt").__version__
        self.__version__ = TorchVersion(f"{version}+distrt.{own}")
        self.__path__ = list(package.__path__)
        self.__file__ = package.__file__
        self.__spec__ = importlib.machinery.ModuleSpec(name, _Loader(package), is_package=True)
        self.__all__ = list(package.__all__)

    def __getattr__(self, name: str) -> Any:
        package = self.__dict__["_package"]
        try:
            return getattr(package, name)
        except AttributeError as missing:
            raise AttributeError(
                f"module {self.__name__!r} has no attribute {name!r}: {package.__name__} stands for it, which lacks it "
                "(docs/names.md lists what there is)"
            ) from missing

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(self.__dict__["_package"])})


class _Finder(importlib.abc.MetaPathFinder):
    """Finds what the two packages stand for, and leaves all other names to Python."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Where the module is; None for other packages, and for what distrt does not have."""
        top, _, rest = fullname.partition(".")
        if top not in _STANDS_FOR:
            return None
        if not rest:
            return importlib.machinery.ModuleSpec(fullname, _Loader(_StandIn(fullname)), is_package=True)
        ours = f"{_STANDS_FOR[top][0]}.{rest}"
        try:
            if importlib.util.find_spec(ours) is None:
                return None
        except ModuleNotFoundError:  # not even its package is there
            return None
        module = importlib.import_module(ours)
        return importlib.machinery.ModuleSpec(
            fullname, _Loader(module), is_package=hasattr(module, "__path__")
        )


class _Loader(importlib.abc.Loader):
    """Gives a module that is loaded already a second name."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """The module."""
        return self._module

    def get_code(self, fullname: str) -> CodeType | None:
        """The module's program, for ``python -m torch.distributed.run``."""
        loader: Any = self._spec.loader if self._spec else None
        code: CodeType | None = loader.get_code(self._module.__name__)
        return code

    def exec_module(self, module: ModuleType) -> None:
        """Gives the module its own place of origin back, which the import system has overwritten."""
        module.__spec__ = self._spec
