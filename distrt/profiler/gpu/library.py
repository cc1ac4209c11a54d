"""Finding and loading CUPTI, and which of its versions write records that `records` can read.

Looked for, in this order: the file that ``DISTRT_CUPTI`` names ("0" for none), the wheel ``nvidia-cuda-cupti-cu12`` or
``nvidia-cuda-cupti`` in this environment, what the system's loader finds: the one of the CUDA that CuPy is made for.
"""

from __future__ import annotations

import ctypes
import functools
import re
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any

from distrt.core.gpu.library import find
from distrt.core.kernels.nvidia import NvidiaError, loaded

__all__ = ["ARGUMENTS", "Cupti", "CuptiError", "OnComplete", "OnEvent", "OnRequest", "is_known", "library"]

#: Importable names of the wheels and files of the libraries, by the major version of CUDA.
_FILES = {12: ("nvidia.cuda_cupti", "libcupti.so.12"), 13: ("nvidia.cu13", "libcupti.so.13")}
_PACKAGES = {12: "cupti12", 13: "cupti13"}

#: ``CUPTI_API_VERSION`` of CUDA 12.1 to 12.9.1 and 13.0 to 13.5, whose records all begin as `records` says. Others are
#: refused: what they write might be something else.
_KNOWN = (range(18, 29), range(130000, 130600))

#: buffer, its size, most records in it (0: as many as fit)
OnRequest = ctypes.CFUNCTYPE(None, POINTER(c_void_p), POINTER(c_size_t), POINTER(c_size_t))
#: context, stream, buffer, its size, how much of it is written
OnComplete = ctypes.CFUNCTYPE(None, c_void_p, c_uint32, c_void_p, c_size_t, c_size_t)
#: user's data, domain, callback, data
OnEvent = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_uint32, c_void_p)

ARGUMENTS: dict[str, list[Any]] = {
    "cuptiGetVersion": [POINTER(c_uint32)],
    "cuptiGetResultString": [c_int, POINTER(c_char_p)],
    "cuptiGetTimestamp": [POINTER(c_uint64)],
    "cuptiGetCallbackName": [c_int, c_uint32, POINTER(c_char_p)],
    "cuptiSetThreadIdType": [c_int],
    "cuptiSubscribe": [POINTER(c_void_p), OnEvent, c_void_p],
    "cuptiUnsubscribe": [c_void_p],
    "cuptiActivityRegisterCallbacks": [OnRequest, OnComplete],
    "cuptiActivityEnable": [c_int],
    "cuptiActivityDisable": [c_int],
    "cuptiActivityFlushAll": [c_uint32],
    "cuptiActivityGetNextRecord": [c_void_p, c_size_t, POINTER(c_void_p)],
    "cuptiActivityGetNumDroppedRecords": [c_void_p, c_uint32, POINTER(c_size_t)],
    "cuptiActivityPushExternalCorrelationId": [c_int, c_uint64],
    "cuptiActivityPopExternalCorrelationId": [c_int, POINTER(c_uint64)],
}


class CuptiError(NvidiaError):
    """CUPTI is missing, or has refused a call."""


class Cupti:
    """The loaded library.

    Attributes:
        version: ``CUPTI_API_VERSION``: 28 for CUDA 12.9.1, 130500 for CUDA 13.5.

    Raises:
        CuptiError: it does not say its version, or one whose records are not known.
    """

    def __init__(self, functions: Any) -> None:
        self.functions = functions
        for name, kinds in ARGUMENTS.items():
            function = getattr(functions, name, None)
            if function is None:
                raise CuptiError(
                    f"{functions._name} has no {name}: it is another library, or too old a CUPTI"
                )
            function.argtypes, function.restype = kinds, c_int
        found = c_uint32()
        self.call("cuptiGetVersion", byref(found))
        self.version = found.value
        if not is_known(self.version):
            known = ", ".join(f"{each.start} to {each.stop - 1}" for each in _KNOWN)
            raise CuptiError(
                f"CUPTI says version {self.version}, whose records are not known (known are {known}): install the "
                "cupti12 or cupti13 extra"
            )

    def call(self, name: str, *arguments: Any) -> None:
        """Calls a function.

        Raises:
            CuptiError: with the function's name and the library's word for what went wrong.
        """
        status = getattr(self.functions, name)(*arguments)
        if status:
            raise CuptiError(f"{name}: {self._explained(status)}")

    @functools.cache  # noqa: B019 - there is one library, which is never given back
    def name_of_call(self, domain: int, number: int) -> str:
        """The name of a function of CUDA's: ``cudaLaunchKernel``, without the version that CUPTI adds."""
        said = c_char_p()
        self.functions.cuptiGetCallbackName(domain, number, byref(said))
        if said.value is None:
            return f"call {number}"
        return re.sub(r"(_ptsz|_ptds)?(_v\d+)?(_ptsz|_ptds)?$", "", said.value.decode())

    def _explained(self, status: int) -> str:
        said = c_char_p()
        self.functions.cuptiGetResultString(status, byref(said))
        return said.value.decode() if said.value is not None else f"error {status}"


def is_known(version: int) -> bool:
    """Whether records of such a version can be read."""
    return any(version in each for each in _KNOWN)


@functools.cache
def library() -> Cupti:
    """The library that suits CuPy's CUDA.

    Raises:
        CuptiError: it is not there, or is one that cannot be used.
    """
    major = int(find().cuda.runtime.runtimeGetVersion()) // 1000
    if major not in _FILES:
        raise CuptiError(f"CUPTI of CUDA 12 or 13 is known, and CuPy is made for CUDA {major}")
    package, file = _FILES[major]
    found = loaded("DISTRT_CUPTI", [package], [file], "CUPTI is off, kernels' times are not measured")
    if found is None:
        raise CuptiError(f"{file} is not here (pip install 'distrt[{_PACKAGES[major]}]')")
    return Cupti(found)
