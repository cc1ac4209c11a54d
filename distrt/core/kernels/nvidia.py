"""What NVIDIA's libraries have in common, called through their C interfaces: finding, calling, and handles."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import logging
import os
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from ctypes import byref, c_int, c_void_p
from pathlib import Path
from typing import Any

from distrt.core.gpu import library as gpus

__all__ = ["NvidiaError", "NvidiaLibrary", "loaded"]

_log = logging.getLogger(__name__)


class NvidiaError(RuntimeError):
    """A library of NVIDIA's refused a call."""


class NvidiaLibrary:
    """A library whose functions return a status, and work with handles that have a stream.

    Args:
        functions: the loaded library.
        arguments: what each function takes, by its name.
        create: the name of the function that makes a handle.
        set_stream: of the one that gives it a stream; None where functions are told the stream.
        explain: the words for a status.
    """

    def __init__(
        self,
        functions: Any,
        arguments: Mapping[str, list[Any]],
        create: str,
        set_stream: str | None,
        explain: Callable[[int], str],
    ) -> None:
        self._functions, self._create, self._set_stream, self._explain = (
            functions,
            create,
            set_stream,
            explain,
        )
        for name, kinds in arguments.items():
            function = getattr(functions, name)
            function.argtypes, function.restype = kinds, c_int
        self._own = threading.local()
        self._free: defaultdict[int, list[c_void_p]] = defaultdict(list)  # of threads that have ended, by GPU

    def call(self, name: str, *arguments: Any) -> None:
        """Calls a function.

        Raises:
            NvidiaError: with the function's name and the library's words.
        """
        status = getattr(self._functions, name)(*arguments)
        if status:
            raise NvidiaError(f"{name}: {self._explain(status)}")

    def handle(self) -> c_void_p:
        """The handle of this thread and the current GPU, whose calls go into the current stream."""
        if not hasattr(self._own, "handles"):
            self._own.handles = _Handles()
            weakref.finalize(
                self._own.handles, _give_back, self._own.handles.by_gpu, self._free
            ).atexit = False
        number, own = gpus.current(), self._own.handles.by_gpu
        handle: c_void_p | None = own.get(number)
        if handle is None:
            handle = own[number] = self._taken(number)
        if self._set_stream is not None:
            self.call(self._set_stream, handle, c_void_p(gpus.find().cuda.get_current_stream().ptr))
        return handle

    def _taken(self, number: int) -> c_void_p:
        """A handle that no thread has: each has memory of its GPU, and is slow to make."""
        with contextlib.suppress(IndexError):
            return self._free[number].pop()
        made = c_void_p()
        self.call(self._create, byref(made))
        return made


class _Handles:
    """A thread's handles by the numbers of their GPUs; gone when the thread has ended."""

    def __init__(self) -> None:
        self.by_gpu: dict[int, c_void_p] = {}


def _give_back(handles: dict[int, c_void_p], free: defaultdict[int, list[c_void_p]]) -> None:
    for number, handle in handles.items():
        free[number].append(handle)


def loaded(variable: str, packages: Sequence[str], names: Sequence[str], without: str) -> Any:
    """A library by ctypes, or None: the file that an environment variable names, a wheel's, or what the loader finds.

    Args:
        variable: the environment's; "0" in it means none.
        packages: importable names of wheels, with a folder ``lib``.
        names: the file's, the newest first.
        without: what is said where a file that was asked for cannot be loaded.
    """
    named = os.environ.get(variable)
    if named == "0":
        return None
    for name in [named] if named else _candidates(packages, names):
        try:
            return ctypes.CDLL(name)
        except OSError as fault:
            if named or "/" in name:
                _log.warning("%s: %s", without, fault)
    return None


def _candidates(packages: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    for package in packages:
        try:
            found = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            continue
        for folder in () if found is None else found.submodule_search_locations or ():
            for name in names:
                if (file := Path(folder) / "lib" / name).exists():
                    yield str(file)
    yield from names
