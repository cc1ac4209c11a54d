"""Kernels in CUDA, run on the CPU: compiled as C++ beside ``cuda_on_cpu.h``, a block's threads taking turns.

So a kernel's arithmetic, its indices and its barriers are tried where there is no GPU. What it is not: a GPU's memory
model, its rounding of ``exp`` and the like, or its speed.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import math
import os
import re
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np

from ._array import host, ndarray
from ._recording import recorded
from .cuda.memory import _DEVICE_MEMORY
from .cuda.queued import wait_for_stream

_HEADERS = (Path(__file__).parents[2] / "fibres.h", Path(__file__).with_name("cuda_on_cpu.h"))
_CACHE = Path(tempfile.gettempdir()) / f"distrt-fake-cuda-{os.getuid()}"

#: What stands for the part of the source that only a GPU has.
_FIRST_LINE = "// What only a GPU has."
_LAST_LINE = "return (T*)address; }"

#: A thread has 255 registers at most, and a block 65,536: more threads need a compiler that knows of them.
_ALWAYS_FIT = 256

_BOUNDS = r"__launch_bounds__\([\w, ]+\)\s+"

#: What the smallest GPU has that kernels with more than 48 KB are for, and the room that `cuda_on_cpu.h` gives.
_MOST_SHARED = 99 << 10

_running = threading.Lock()  # a block's threads have one place, and there are several GPUs

HAS_COMPILER = shutil.which("g++") is not None


class RawModule:
    """``cupy.RawModule``: sources are compiled when a function is asked for."""

    def __init__(self, *, code: str, options: tuple[str, ...] = ()) -> None:
        self.code, self.options = code, options

    def get_function(self, name: str) -> RawKernel:
        if not re.search(rf'extern "C" __global__ void\b[^;{{]*\b{name}\(', self.code):
            raise RuntimeError(f"CUDA_ERROR_NOT_FOUND: named symbol not found: {name}")
        return RawKernel(self, name)


class RawKernel:
    """``cupy.RawKernel``, from a module."""

    def __init__(self, module: RawModule, name: str) -> None:
        self._module, self._name = module, name
        self._is_bounded = re.search(rf"{_BOUNDS}{name}\(", module.code) is not None
        self.max_dynamic_shared_size_bytes = 48 << 10

    @recorded
    def __call__(self, grid: Any, block: Any, args: Any, *, shared_mem: int = 0) -> None:
        grid, block = ((*each, 1, 1)[:3] for each in (grid, block))
        if math.prod(map(int, block)) > _ALWAYS_FIT and not self._is_bounded:
            raise RuntimeError(
                f"CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, or by chance not: {self._name} has no __launch_bounds__"
            )
        if shared_mem > self.max_dynamic_shared_size_bytes or shared_mem > _MOST_SHARED:
            raise RuntimeError(f"CUDA_ERROR_INVALID_VALUE: {shared_mem} bytes of shared memory")
        values = [_by_value(each) for each in args]
        pointers = (ctypes.c_void_p * len(values))(*[each.ctypes.data for each in values])
        sizes = (ctypes.c_size_t * len(values))(*[each.nbytes for each in values])
        launch = _library(self._module.code)[f"launch_{self._name}"]
        launch.restype = ctypes.c_char_p
        shape = (ctypes.c_uint * 6)(*map(int, (*grid, *block)))
        wait_for_stream()  # it may get addresses in an array of their own
        with _running:
            said = launch(shape, pointers, sizes, len(values))
        if said:
            raise RuntimeError(f"{self._name}: {said.decode()}")


def _by_value(value: Any) -> Any:
    """The bytes that a kernel gets, as CuPy hands them over."""
    if isinstance(value, ndarray):
        host(value)  # on another GPU nothing is at this address
        return np.array([value.data.ptr - _DEVICE_MEMORY], np.uint64)
    if value is None:
        return np.zeros(1, np.uint64)
    if isinstance(value, np.ndarray):
        if value.size != 1:
            raise TypeError(
                f"You are trying to pass a numpy.ndarray of shape {value.shape} as a kernel parameter"
            )
        return value
    if isinstance(value, np.generic):
        return np.array([value])
    kinds = {bool: np.bool_, int: np.int64, float: np.float64}
    return np.array([value], kinds[type(value)])


@functools.cache
def _library(code: str) -> ctypes.CDLL:
    if not HAS_COMPILER:
        raise RuntimeError("the fake of CuPy runs kernels by g++, which is not here")
    if folder := os.environ.get("FAKE_CUDA_SOURCES"):
        name = hashlib.sha256(code.encode()).hexdigest()[:16]
        (Path(folder) / f"{name}.cu").write_text(code)
    begin, end = code.index(_FIRST_LINE), code.index(_LAST_LINE) + len(_LAST_LINE)
    headers = "\n".join(each.read_text() for each in _HEADERS)
    text = f"{headers}\n{code[:begin]}{code[end:]}\n" + "".join(
        f"CUDA_ON_CPU_LAUNCH({name})\n"
        for name in re.findall(rf'extern "C" __global__ void\s+(?:{_BOUNDS})?(\w+)\(', code)
    )
    made = _CACHE / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.so"
    if not made.exists():
        _CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as folder:
            source, target = Path(folder) / "kernel.cpp", Path(folder) / "kernel.so"
            source.write_text(text)
            flags = ["-O1", "-std=c++17", "-shared", "-fPIC", "-ffp-contract=off", "-U_FORTIFY_SOURCE", "-w"]
            ended = subprocess.run(
                ["g++", *flags, str(source), "-o", str(target)], capture_output=True, text=True, check=False
            )
            if ended.returncode:
                raise RuntimeError(f"NVRTC_ERROR_COMPILATION, or g++'s: {ended.stderr[:4000]}")
            target.replace(made)
    return ctypes.CDLL(str(made))
