"""Finding and loading cuDNN: the file, the functions' types, a handle for each thread and GPU.

Looked for, in this order: the file that ``DISTRT_CUDNN`` names ("0" for none), the wheel ``nvidia-cudnn-cu12`` or
``-cu13`` in this environment, what the system's loader finds. No GPU is needed until a handle is.
"""

from __future__ import annotations

import ctypes
import functools
from ctypes import POINTER, byref, c_char_p, c_float, c_int, c_size_t, c_void_p
from typing import Any

from distrt.core.kernels.nvidia import NvidiaError, NvidiaLibrary, loaded

__all__ = ["CuDNN", "CuDNNError", "Found", "library"]

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


CuDNNError = NvidiaError


class CuDNN(NvidiaLibrary):
    """The loaded library.

    Attributes:
        version: major * 10000 + minor * 100 + patch.
    """

    def __init__(self, functions: Any) -> None:
        functions.cudnnGetVersion.restype = c_size_t
        functions.cudnnGetErrorString.argtypes, functions.cudnnGetErrorString.restype = [c_int], c_char_p
        self.version = int(functions.cudnnGetVersion())

        def explain(status: int) -> str:
            said: bytes = functions.cudnnGetErrorString(status)
            return f"{said.decode()} (cuDNN {self.version})"

        super().__init__(functions, _ARGUMENTS, "cudnnCreate", "cudnnSetStream", explain)

    def made(self, kind: str) -> c_void_p:
        """A new descriptor: "Tensor", "Filter" or "Convolution"."""
        room = c_void_p()
        self.call(f"cudnnCreate{kind}Descriptor", byref(room))
        return room


@functools.cache
def library() -> CuDNN | None:
    """The library; None where it is not there."""
    found = loaded(
        "DISTRT_CUDNN",
        ["nvidia.cudnn"],
        [_NAME],
        "cuDNN is off, convolutions on GPUs are columns and products",
    )
    return None if found is None else CuDNN(found)
