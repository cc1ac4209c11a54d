"""Finding and loading oneDNN: the file, the functions' types, and the objects that every operation needs.

Looked for, in this order: the file that ``DISTRT_ONEDNN`` names ("0" for none), the wheel ``onednn-cpu-gomp`` in this
environment, what the system's loader finds.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import os
import sys
import sysconfig
from collections.abc import Iterator
from ctypes import POINTER, byref, c_char_p, c_int, c_int32, c_int64, c_void_p
from pathlib import Path
from typing import Any

from distrt.core.process.settings import follow_num_threads, get_num_threads

__all__ = ["OneDNN", "OneDNNError", "library"]

_log = logging.getLogger(__name__)

_NAME = "libdnnl.so.3"
_CPU, _IN_ORDER, _USER_SCRATCH = 1, 1, 1
_LONG = 0x27  # the instruction set "AVX512_CORE"
_BF16 = 0xE7  # the instruction set "AVX512_CORE_BF16"; those with AMX contain it
_OUT = POINTER(c_void_p)
_DIMS = POINTER(c_int64)

# What each function takes; all return a status but those in _RESULTS.
_ARGUMENTS: dict[str, list[Any]] = {
    "dnnl_engine_create": [_OUT, c_int, ctypes.c_size_t],
    "dnnl_stream_create": [_OUT, c_void_p, c_int],
    "dnnl_primitive_attr_create": [_OUT],
    "dnnl_primitive_attr_set_scratchpad_mode": [c_void_p, c_int],
    "dnnl_memory_desc_create_with_strides": [_OUT, c_int, _DIMS, c_int, _DIMS],
    "dnnl_memory_desc_create_with_tag": [_OUT, c_int, _DIMS, c_int, c_int],
    "dnnl_memory_desc_clone": [_OUT, c_void_p],
    "dnnl_memory_desc_destroy": [c_void_p],
    "dnnl_memory_desc_equal": [c_void_p, c_void_p],
    "dnnl_memory_desc_get_size": [c_void_p],
    "dnnl_memory_create": [_OUT, c_void_p, c_void_p, c_void_p],
    "dnnl_memory_destroy": [c_void_p],
    "dnnl_memory_set_data_handle": [c_void_p, c_void_p],
    "dnnl_primitive_desc_query": [c_void_p, c_int, c_int, c_void_p],
    "dnnl_primitive_desc_query_md": [c_void_p, c_int, c_int],
    "dnnl_primitive_desc_destroy": [c_void_p],
    "dnnl_primitive_create": [_OUT, c_void_p],
    "dnnl_primitive_destroy": [c_void_p],
    "dnnl_primitive_execute": [c_void_p, c_void_p, c_int, c_void_p],
    "dnnl_reorder_primitive_desc_create": [_OUT, *[c_void_p] * 5],
    "dnnl_matmul_primitive_desc_create": [_OUT, *[c_void_p] * 6],
    "dnnl_get_effective_cpu_isa": [],
    "dnnl_convolution_forward_primitive_desc_create": [
        *[_OUT, c_void_p, c_int, c_int],
        *[c_void_p] * 4,
        *[_DIMS] * 4,
        c_void_p,
    ],
    "dnnl_convolution_backward_data_primitive_desc_create": [
        *[_OUT, c_void_p, c_int],
        *[c_void_p] * 3,
        *[_DIMS] * 4,
        *[c_void_p] * 2,
    ],
    "dnnl_convolution_backward_weights_primitive_desc_create": [
        *[_OUT, c_void_p, c_int],
        *[c_void_p] * 4,
        *[_DIMS] * 4,
        *[c_void_p] * 2,
    ],
}
_RESULTS: dict[str, Any] = {
    "dnnl_memory_desc_get_size": ctypes.c_size_t,
    "dnnl_primitive_desc_query_md": c_void_p,
}


class OneDNNError(RuntimeError):
    """oneDNN refused what it was asked; callers use NumPy instead."""


class OneDNN:
    """The loaded library with its CPU engine, a stream, and the attributes that all primitives have.

    Attributes:
        version: such as (3, 2, 1).
        engine: the CPU.
        stream: in order; nothing is ever left running in it, since CPU streams run a primitive while it is submitted.
        attributes: callers lend the scratch memory.
        has_long_vectors: whether the processor has vectors of 16 float32 numbers; ``ONEDNN_MAX_CPU_ISA``, which is
            oneDNN's own, can take them away, and the next.
        multiplies_bfloat16: whether the processor has instructions for that.
    """

    def __init__(self, path: str) -> None:
        self._functions = ctypes.CDLL(path)
        for name, arguments in _ARGUMENTS.items():
            function = getattr(self._functions, name)
            function.argtypes, function.restype = arguments, _RESULTS.get(name, c_int)
        self.version = self._version()
        if self.version[0] != 3:
            raise OneDNNError(f"{path}: expected oneDNN 3, found {'.'.join(map(str, self.version))}")
        instructions = self._functions.dnnl_get_effective_cpu_isa()
        self.has_long_vectors = instructions & _LONG == _LONG
        self.multiplies_bfloat16 = instructions & _BF16 == _BF16
        self.engine = self.make("dnnl_engine_create", _CPU, 0)
        self.stream = self.make("dnnl_stream_create", self.engine, _IN_ORDER)
        self.attributes = self.make("dnnl_primitive_attr_create")
        self.call("dnnl_primitive_attr_set_scratchpad_mode", self.attributes, _USER_SCRATCH)
        self.set_threads(get_num_threads())
        follow_num_threads(self.set_threads)

    def set_threads(self, count: int) -> None:
        """Says how many threads an operation may use that this thread calls."""
        # A library that was built with another runtime than OpenMP finds no such function, and keeps its own number.
        with contextlib.suppress(AttributeError):
            self._functions.omp_set_num_threads(count)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._functions, name)

    def call(self, name: str, *arguments: Any) -> None:
        """Calls a function.

        Raises:
            OneDNNError: where it does not succeed.
        """
        status = getattr(self._functions, name)(*arguments)
        if status:
            raise OneDNNError(f"{name}: oneDNN's status {status}")

    def make(self, name: str, *arguments: Any) -> int:
        """Calls a function that makes an object, and returns that."""
        made = c_void_p()
        self.call(name, byref(made), *arguments)
        return made.value or 0

    def implementation(self, description: int) -> str:
        """The name of what a primitive descriptor has chosen."""
        name = c_char_p()
        self.call("dnnl_primitive_desc_query", description, 8, 0, byref(name))
        return (name.value or b"").decode()

    def _version(self) -> tuple[int, ...]:
        self._functions.dnnl_version.restype = POINTER(c_int32)
        numbers = self._functions.dnnl_version().contents
        return tuple((c_int32 * 3).from_address(ctypes.addressof(numbers)))


@functools.cache
def library() -> OneDNN | None:
    """oneDNN; None where there is none, or ``DISTRT_ONEDNN`` is "0".

    Raises:
        OSError: the file that ``DISTRT_ONEDNN`` names cannot be loaded.
    """
    named = os.environ.get("DISTRT_ONEDNN", "")
    if named == "0" or sys.platform != "linux":
        return None
    if named:
        return OneDNN(named)
    for path in _places():
        try:
            return OneDNN(path)
        except (OSError, OneDNNError, AttributeError) as fault:
            if os.path.isabs(path):  # it is there, and does not load: such as the wheel without libgomp
                _log.warning("oneDNN cannot be used, and NumPy computes in its place: %s", fault)
    return None


def _places() -> Iterator[str]:
    """Files that may be oneDNN: wheels put it beside the environment's own libraries."""
    for root in dict.fromkeys((sysconfig.get_path("data"), sys.prefix)):
        path = Path(root, "lib", _NAME)
        if path.exists():
            yield str(path)
    yield _NAME
