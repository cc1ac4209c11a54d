"""Pickles of plain values and NumPy arrays, as data sets are published in: read without executing them."""

from __future__ import annotations

import os
from typing import Any, NoReturn

from distrt.files.allowed import Rule
from distrt.files.building import ObjectBuilder
from distrt.files.faults import UnpicklingError
from distrt.files.unpickling import Unpickler

__all__ = ["load_plain"]

_ARRAYS = (
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy._core.numeric._frombuffer",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy.core.numeric._frombuffer",
    "numpy.dtype",
    "numpy.ndarray",
)


def load_plain(path: str, encoding: str = "utf-8") -> Any:
    """The object in a pickle: numbers, text, containers of them, and arrays.

    Args:
        path: the file.
        encoding: that of the strings of Python 2; "latin1" also for its arrays.

    Raises:
        UnpicklingError: (a CheckpointError) for one that is damaged, or names anything else.
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        builder = ObjectBuilder(Rule(True, dict.fromkeys(_ARRAYS)), _NoStorages(), size)
        return Unpickler(file, builder, size, encoding).load()


class _NoStorages:
    def storage(self, *_: Any) -> NoReturn:
        raise UnpicklingError("the pickle refers to storages, and there are none beside it")
