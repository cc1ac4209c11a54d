"""Products with what belongs to them as a part, by cuBLASLt: a bias is added where the result is made, and the sums
that are a bias's gradient are taken where the factor is read.

Activations, which cuBLASLt has, too, are operations of their own here, before which users' hooks may stand; its gelu is
the one by tanh.
"""

from __future__ import annotations

import ctypes
import functools
import threading
import weakref
from ctypes import POINTER, byref, c_float, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any, NamedTuple

import numpy as np

from distrt.core.arrays import Array, address_of
from distrt.core.dtypes import dtype as dt
from distrt.core.gpu import library as gpus
from distrt.core.kernels.cublas.factors import DTYPES, Factor, computed_in
from distrt.core.kernels.nvidia import NvidiaError, NvidiaLibrary, loaded

__all__ = ["add_bias", "library", "weight_slopes"]

_NAMES = ("libcublasLt.so.13", "libcublasLt.so.12")

#: The most that a product may take to work in: what NVIDIA recommends for Hopper.
WORKSPACE_BYTES = 32 << 20

# cuBLASLt's numbers: of epilogues, of a product's attributes and of a search's.
_BIAS, _SUMS_OF_SECOND = 4, 512
_TRANSPOSE_FIRST, _TRANSPOSE_SECOND, _EPILOGUE, _BIAS_POINTER = 3, 4, 7, 8
_MOST_WORKSPACE, _ALIGNMENTS = 1, (5, 6, 7, 8)
_MOST_ALIGNED = 256

_KINDS = (dt.float32.numpy, dt.float16.numpy, dt.bfloat16.numpy)


class Found(ctypes.Structure):
    """An algorithm: ``cublasLtMatmulHeuristicResult_t``."""

    _fields_ = (
        ("algorithm", c_uint64 * 8),
        ("workspace_bytes", c_size_t),
        ("status", c_int),
        ("waves", c_float),
        ("reserved", c_int * 4),
    )


_OUT, _SET = [POINTER(c_void_p)], [c_void_p, c_int, c_void_p, c_size_t]
_ARGUMENTS: dict[str, list[Any]] = {
    "cublasLtCreate": _OUT,
    "cublasLtMatmulDescCreate": [*_OUT, c_int, c_int],
    "cublasLtMatmulDescSetAttribute": _SET,
    "cublasLtMatmulDescDestroy": [c_void_p],
    "cublasLtMatrixLayoutCreate": [*_OUT, c_int, c_uint64, c_uint64, c_int64],
    "cublasLtMatrixLayoutDestroy": [c_void_p],
    "cublasLtMatmulPreferenceCreate": _OUT,
    "cublasLtMatmulPreferenceSetAttribute": _SET,
    "cublasLtMatmulPreferenceDestroy": [c_void_p],
    "cublasLtMatmulAlgoGetHeuristic": [*[c_void_p] * 7, c_int, POINTER(Found), POINTER(c_int)],
    "cublasLtMatmul": [*[c_void_p] * 14, c_size_t, c_void_p],
}


@functools.cache
def library() -> NvidiaLibrary | None:
    """The library; None where it is not there."""
    found = loaded(
        "DISTRT_CUBLASLT",
        ("nvidia.cu13", "nvidia.cublas"),
        _NAMES,
        "cuBLASLt is off, biases are added by themselves",
    )
    if found is None:
        return None
    return NvidiaLibrary(found, _ARGUMENTS, "cublasLtCreate", None, lambda it: f"cuBLASLt's status {it}")


def add_bias(left: Array, right: Array, bias: Array, out: Array) -> bool:
    """Writes ``left @ right + bias`` into ``out``; False where cuBLASLt does not do it.

    Shape: (n, k), (k, m), (m) -> (n, m). Bias and ``out`` are of one dtype, without gaps.
    """
    if bias.shape != out.shape[1:] or bias.dtype != out.dtype or not bias.flags.c_contiguous:
        return False
    return _multiply(left, right, out, _BIAS, bias)


def weight_slopes(g: Array, input: Array, out: Array | None = None) -> tuple[Array, Array] | None:
    """The gradients of a linear layer's weight and bias, ``g.T @ input`` and ``g.sum(0)``, in one product.

    None where cuBLASLt does not do it. Shape: (rows, out), (rows, in) -> (out, in), (out).
    """
    if g.dtype != input.dtype or not g.size or not input.size:
        return None
    shape = (g.shape[1], input.shape[1])
    if out is not None and (out.shape != shape or out.dtype != g.dtype or not out.flags.c_contiguous):
        return None
    made = np.empty(shape, g.dtype, like=g) if out is None else out
    sums = np.empty(shape[0], g.dtype, like=g)
    return (made, sums) if _multiply(g.T, input, made, _SUMS_OF_SECOND, sums) else None


def _multiply(left: Array, right: Array, made: Array, epilogue: int, vector: Array) -> bool:
    """``made = left @ right``: by columns, so that the second factor comes first."""
    lt = library()
    if lt is None or left.dtype not in _KINDS or made.dtype not in (left.dtype, np.float32):
        return False
    first, second = Factor(right, ()), Factor(left, ())
    addresses = (int(first.matrix[0].value or 0), int(second.matrix[0].value or 0), address_of(made))
    case = _Case(
        *(DTYPES[left.dtype], DTYPES[made.dtype], computed_in(left.dtype, made.dtype), epilogue),
        *(right.shape[1], *left.shape, first.operation, first.matrix[2], second.operation, second.matrix[2]),
        *(_alignment(each) for each in addresses),
    )
    plan = _plan(threading.get_ident(), gpus.current(), case)
    if plan.found is None:
        return False
    plan.run(addresses, vector, made)
    return True


class _Case(NamedTuple):
    """All that an algorithm is chosen by; sizes of the product by columns."""

    dtype: int
    made: int
    compute: int
    epilogue: int
    columns: int
    rows: int
    inner: int
    first: int
    first_line: int
    second: int
    second_line: int
    first_alignment: int
    second_alignment: int
    alignment: int


@functools.lru_cache(maxsize=1024)
def _plan(thread: int, gpu: int, case: _Case) -> _Plan:
    """A plan has a descriptor that is written to before each product, so that each thread has its own."""
    lt = library()
    assert lt is not None
    return _Plan(lt, case)


class _Plan:
    """A product's descriptors, and the algorithm that cuBLASLt thinks best, or None where it has none."""

    def __init__(self, lt: NvidiaLibrary, case: _Case) -> None:
        self._lt = lt
        self.product = self._new("MatmulDesc", case.compute, DTYPES[dt.float32.numpy])
        for number, value in (
            (_TRANSPOSE_FIRST, case.first),
            (_TRANSPOSE_SECOND, case.second),
            (_EPILOGUE, case.epilogue),
        ):
            self._set("MatmulDesc", self.product, number, c_uint32(value))
        self._set("MatmulDesc", self.product, _BIAS_POINTER, c_void_p(_MOST_ALIGNED))
        self.layouts = (
            self._layout(case.dtype, case.columns, case.inner, case.first, case.first_line),
            self._layout(case.dtype, case.inner, case.rows, case.second, case.second_line),
            self._layout(case.made, case.columns, case.rows, 0, case.columns),
        )
        self.found = self._search(case)

    def _search(self, case: _Case) -> Found | None:
        wish = self._new("MatmulPreference")
        self._set("MatmulPreference", wish, _MOST_WORKSPACE, c_size_t(WORKSPACE_BYTES))
        aligned = (case.first_alignment, case.second_alignment, case.alignment, case.alignment)
        for number, value in zip(_ALIGNMENTS, aligned, strict=True):
            self._set("MatmulPreference", wish, number, c_uint32(value))
        found, count = Found(), c_int()
        first, second, made = self.layouts
        given = (self._lt.handle(), self.product, first, second, made, made, wish)
        try:
            self._lt.call("cublasLtMatmulAlgoGetHeuristic", *given, 1, byref(found), byref(count))
        except NvidiaError:  # "not supported" is a status, too
            return None
        return found if count.value and not found.status else None

    def run(self, addresses: tuple[int, ...], vector: Array, like: Array) -> None:
        """The product of what is at two addresses into what is at the third, with its bias, or its sums."""
        assert self.found is not None
        self._set("MatmulDesc", self.product, _BIAS_POINTER, c_void_p(address_of(vector)))
        size = self.found.workspace_bytes
        room = np.empty(size, np.uint8, like=like) if size else None
        (one, two, three), (first, second, made) = addresses, self.layouts
        self._lt.call(
            "cublasLtMatmul",
            *(self._lt.handle(), self.product, byref(c_float(1)), one, first, two, second),
            *(byref(c_float(0)), three, made, three, made, byref(self.found)),
            *(None if room is None else address_of(room), size, gpus.find().cuda.get_current_stream().ptr),
        )

    def _layout(self, dtype: int, rows: int, columns: int, is_transposed: int, line: int) -> c_void_p:
        sizes = (columns, rows) if is_transposed else (rows, columns)
        return self._new("MatrixLayout", dtype, *sizes, line)

    def _new(self, what: str, *arguments: Any) -> c_void_p:
        made = c_void_p()
        self._lt.call(f"cublasLt{what}Create", byref(made), *arguments)
        weakref.finalize(self, self._lt.call, f"cublasLt{what}Destroy", made).atexit = False
        return made

    def _set(self, what: str, where: c_void_p, number: int, value: Any) -> None:
        self._lt.call(f"cublasLt{what}SetAttribute", where, number, byref(value), ctypes.sizeof(value))


def _alignment(address: int) -> int:
    return min(_MOST_ALIGNED, address & -address)
