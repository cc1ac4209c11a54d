"""Finding and loading cuDNN: the file, the functions' types, a handle for each thread and GPU.

Looked for, in this order: the file that ``DISTRT_CUDNN`` names ("0" for none), the wheel ``nvidia-cudnn-cu12`` or
``-cu13`` in this environment, what the system's loader finds. No GPU is needed until a handle is.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable
from ctypes import (
    POINTER,
    byref,
    c_char_p,
    c_float,
    c_int,
    c_size_t,
    c_uint32,
    c_ulonglong,
    c_void_p,
)
from typing import Any

from distrt.core.kernels.nvidia import NvidiaError, NvidiaLibrary, loaded

__all__ = ["CuDNN", "CuDNNError", "Descriptor", "Found", "library"]

_NAME = "libcudnn.so.9"
_OUT, _INTS, _SIZE = POINTER(c_void_p), POINTER(c_int), POINTER(c_size_t)


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

# States: their descriptor, then for each place the address of hidden states; the same of cells.
_STATES, _ROOM = [c_void_p] * 3, [c_size_t, c_void_p]

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
    "cudnnCreateDropoutDescriptor": [_OUT],
    "cudnnDestroyDropoutDescriptor": [c_void_p],
    "cudnnSetDropoutDescriptor": [c_void_p, c_void_p, c_float, c_void_p, c_size_t, c_ulonglong],
    "cudnnCreateRNNDescriptor": [_OUT],
    "cudnnSetRNNDescriptor_v8": [c_void_p, *[c_int] * 12, c_void_p, c_uint32],
    "cudnnCreateRNNDataDescriptor": [_OUT],
    "cudnnSetRNNDataDescriptor": [c_void_p, *[c_int] * 5, _INTS, c_void_p],
    "cudnnDestroyRNNDescriptor": [c_void_p],
    "cudnnGetRNNDescriptor_v8": [c_void_p, *[_INTS] * 12, _OUT, POINTER(c_uint32)],
    "cudnnDestroyRNNDataDescriptor": [c_void_p],
    "cudnnGetRNNDataDescriptor": [c_void_p, *[_INTS] * 5, c_int, _INTS, c_void_p],
    "cudnnGetRNNWeightSpaceSize": [c_void_p, c_void_p, _SIZE],
    "cudnnGetRNNTempSpaceSizes": [c_void_p, c_void_p, c_int, c_void_p, _SIZE, _SIZE],
    "cudnnGetRNNWeightParams": [c_void_p, c_void_p, c_int, *_ROOM, c_int, c_void_p, _OUT, c_void_p, _OUT],
    "cudnnRNNForward": [c_void_p, c_void_p, c_int, *[c_void_p] * 5, *_STATES, *_STATES, *_ROOM * 3],
    "cudnnRNNBackwardData_v8": [*[c_void_p] * 8, *[c_void_p] * 8, *_ROOM * 3],
    "cudnnRNNBackwardWeights_v8": [c_void_p, c_void_p, c_int, *[c_void_p] * 7, *_ROOM * 3],
    "cudnnConvolutionForward": _RUN,
    "cudnnConvolutionBackwardData": _RUN,
    "cudnnConvolutionBackwardFilter": _RUN,
}


CuDNNError = NvidiaError


class Descriptor(c_void_p):
    """A descriptor of cuDNN's, which goes with this object.

    Attributes:
        destroy: the library's function.
    """

    destroy: Callable[[Descriptor], int] | None = None

    def __del__(self, is_ending: Callable[[], bool] = sys.is_finalizing) -> None:
        if self.value and self.destroy is not None and not is_ending():
            self.destroy(self)


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
        """A new descriptor: "Tensor", "Filter", "Convolution", "RNN", "RNNData" or "Dropout"."""
        room = Descriptor()
        self.call(f"cudnnCreate{kind}Descriptor", byref(room))
        room.destroy = getattr(self._functions, f"cudnnDestroy{kind}Descriptor")
        return room


@functools.cache
def library() -> CuDNN | None:
    """The library; None where it is not there."""
    found = loaded(
        "DISTRT_CUDNN",
        ["nvidia.cudnn"],
        [_NAME],
        "cuDNN is off, convolutions on GPUs are columns and products, recurrent layers go step by step",
    )
    return None if found is None else CuDNN(found)
