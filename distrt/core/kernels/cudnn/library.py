"""Finding and loading cuDNN: the file, the functions' types, a handle for each thread and GPU.

Looked for, in this order: the file that ``DISTRT_CUDNN`` names ("0" for none), the wheel ``nvidia-cudnn-cu12`` or
``-cu13`` in this environment, what the system's loader finds. No GPU is needed until a handle is.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import logging
import os
import threading
from collections.abc import Iterator
from ctypes import POINTER, byref, c_char_p, c_float, c_int, c_size_t, c_void_p
from pathlib import Path
from typing import Any

from distrt.core.gpu import library as gpus

__all__ = ["CuDNN", "CuDNNError", "Found", "library"]

_log = logging.getLogger(__name__)

_NAME = "libcudnn.so.9"
_OUT, _INTS = POINTER(c_void_p), POINTER(c_int)


class Found(ctypes.Structure):
    """An algorithm: ``cudnnConvolutionFwdAlgoPerf_t``, and the same for gradients."""

    _fields_ = (
        ("algo", c_int),
        ("status", c_int),
        ("time", c_float),
        ("memory", c_size_t),
        ("determinism", c_int),
        ("math", c_int),
        ("reserved", c_int * 3),
    )


# Search: handle, three descriptors and the convolution's in its place, how many are wanted, how many came, which.
_ASK = [*[c_void_p] * 5, c_int, _INTS, POINTER(Found)]
# Trial: the same with an address beside each array's descriptor, and room to work in.
_TRY = [*[c_void_p] * 8, c_int, _INTS, POINTER(Found), c_void_p, c_size_t]
_RUN = [*[c_void_p] * 7, c_int, c_void_p, c_size_t, *[c_void_p] * 3]

_ARGUMENTS: dict[str, list[Any]] = {
    "cudnnCreate": [_OUT],
    "cudnnDestroy": [c_void_p],
    "cudnnSetStream": [c_void_p, c_void_p],
    "cudnnCreateTensorDescriptor": [_OUT],
    "cudnnSetTensorNdDescriptor": [c_void_p, c_int, c_int, _INTS, _INTS],
    "cudnnGetTensorNdDescriptor": [c_void_p, c_int, _INTS, _INTS, _INTS, _INTS],
    "cudnnDestroyTensorDescriptor": [c_void_p],
    "cudnnCreateFilterDescriptor": [_OUT],
    "cudnnSetFilterNdDescriptor": [c_void_p, c_int, c_int, c_int, _INTS],
    "cudnnGetFilterNdDescriptor": [c_void_p, c_int, _INTS, _INTS, _INTS, _INTS],
    "cudnnDestroyFilterDescriptor": [c_void_p],
    "cudnnCreateConvolutionDescriptor": [_OUT],
    "cudnnSetConvolutionNdDescriptor": [c_void_p, c_int, _INTS, _INTS, _INTS, c_int, c_int],
    "cudnnSetConvolutionGroupCount": [c_void_p, c_int],
    "cudnnGetConvolutionGroupCount": [c_void_p, _INTS],
    "cudnnSetConvolutionMathType": [c_void_p, c_int],
    "cudnnGetConvolutionMathType": [c_void_p, _INTS],
    "cudnnGetConvolutionNdForwardOutputDim": [c_void_p, c_void_p, c_void_p, c_int, _INTS],
    "cudnnDestroyConvolutionDescriptor": [c_void_p],
    "cudnnGetConvolutionForwardAlgorithm_v7": _ASK,
    "cudnnGetConvolutionBackwardDataAlgorithm_v7": _ASK,
    "cudnnGetConvolutionBackwardFilterAlgorithm_v7": _ASK,
    "cudnnFindConvolutionForwardAlgorithmEx": _TRY,
    "cudnnFindConvolutionBackwardDataAlgorithmEx": _TRY,
    "cudnnFindConvolutionBackwardFilterAlgorithmEx": _TRY,
    "cudnnConvolutionForward": _RUN,
    "cudnnConvolutionBackwardData": _RUN,
    "cudnnConvolutionBackwardFilter": _RUN,
}


class CuDNNError(RuntimeError):
    """cuDNN refused a call."""


class CuDNN:
    """The loaded library.

    Attributes:
        version: major * 10000 + minor * 100 + patch.
    """

    def __init__(self, loaded: Any) -> None:
        self._functions = loaded
        for name, arguments in _ARGUMENTS.items():
            function = getattr(loaded, name)
            function.argtypes, function.restype = arguments, c_int
        loaded.cudnnGetVersion.restype = c_size_t
        loaded.cudnnGetErrorString.argtypes, loaded.cudnnGetErrorString.restype = [c_int], c_char_p
        self.version = int(loaded.cudnnGetVersion())
        self._own = threading.local()

    def call(self, name: str, *arguments: Any) -> None:
        """Calls a function.

        Raises:
            CuDNNError: with the function's name and cuDNN's words.
        """
        status = getattr(self._functions, name)(*arguments)
        if status:
            said = self._functions.cudnnGetErrorString(status)
            raise CuDNNError(f"{name}: {said.decode() if said else status} (cuDNN {self.version})")

    def made(self, kind: str) -> c_void_p:
        """A new descriptor: "Tensor", "Filter" or "Convolution"."""
        room = c_void_p()
        self.call(f"cudnnCreate{kind}Descriptor", byref(room))
        return room

    def handle(self) -> c_void_p:
        """The handle of this thread and the current GPU, whose calls go into the current stream."""
        if not hasattr(self._own, "handles"):
            self._own.handles = {}
        number = gpus.current()
        handle: c_void_p | None = self._own.handles.get(number)
        if handle is None:
            handle = self._own.handles[number] = c_void_p()
            self.call("cudnnCreate", byref(handle))
        self.call("cudnnSetStream", handle, c_void_p(gpus.find().cuda.get_current_stream().ptr))
        return handle


@functools.cache
def library() -> CuDNN | None:
    """The library; None where it is not there."""
    named = os.environ.get("DISTRT_CUDNN")
    if named == "0":
        return None
    for name in [named] if named else _candidates():
        try:
            return CuDNN(ctypes.CDLL(name))
        except (OSError, AttributeError) as fault:
            if named or "/" in name:
                _log.warning("cuDNN is off, convolutions on GPUs are columns and products: %s", fault)
    return None


def _candidates() -> Iterator[str]:
    try:
        found = importlib.util.find_spec("nvidia.cudnn")
    except ModuleNotFoundError:
        found = None
    for folder in () if found is None else found.submodule_search_locations or ():
        if (file := Path(folder) / "lib" / _NAME).exists():
            yield str(file)
    yield _NAME
