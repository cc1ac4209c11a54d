"""Files of MATLAB, which SVHN and ImageNet's list of classes are: read by SciPy, imported when it is first needed."""

from __future__ import annotations

import importlib
import os
from typing import Any

from distrt.core.errors import DatasetError

__all__ = ["read_matlab"]


def read_matlab(path: str | os.PathLike[str], *names: str, **options: Any) -> list[Any]:
    """The variables of these names.

    Args:
        path: a file of MATLAB 4 to 7.2.
        names: what is wanted.
        options: of ``scipy.io.loadmat``.

    Raises:
        ModuleNotFoundError: SciPy is not installed; the message says what to install.
        DatasetError: the file is none, is damaged, or lacks a variable.
    """
    try:
        loadmat = importlib.import_module("scipy.io").loadmat
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{os.fspath(path)} is a file of MATLAB, which needs SciPy: pip install 'distrt[datasets]' (or scipy)",
            name="scipy",
        ) from error
    try:
        found = loadmat(path, **options)
    except FileNotFoundError:
        raise
    except Exception as fault:  # damaged files raise all kinds
        raise DatasetError(
            f"{os.fspath(path)} is no file of MATLAB that can be read: {type(fault).__name__}: {fault}"
        ) from fault
    missing = [name for name in names if name not in found]
    if missing:
        has = sorted(name for name in found if not name.startswith("__"))
        raise DatasetError(f"{os.fspath(path)} lacks {', '.join(missing)}; it has {', '.join(has)}")
    return [found[name] for name in names]
