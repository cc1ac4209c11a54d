"""Kernels by name: found in ``code/``, compiled by CuPy when they are first called, put into the current stream."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from distrt.core.arrays import Array, address_of
from distrt.core.dtypes import dtype as dt
from distrt.core.gpu import library

__all__ = ["C_TYPES", "I_TYPES", "MOST_BLOCKS", "aligned", "kernel", "module", "source", "written"]

#: What kernels call the dtypes.
C_TYPES = {
    dt.float32.numpy: "float",
    dt.float64.numpy: "double",
    dt.float16.numpy: "float16",
    dt.bfloat16.numpy: "bfloat16",
}

#: The same of whole numbers.
I_TYPES = {
    np.dtype(kind): name
    for kind, name in {
        np.int64: "i64",
        np.int32: "int",
        np.int16: "short",
        np.int8: "signed char",
        np.uint8: "unsigned char",
    }.items()
}

#: Blocks for kernels whose threads go on through what is left: enough to fill any GPU several times.
MOST_BLOCKS = 4096

# Operations round one by one, as NumPy's: so that a result has the same bits on the CPU.
_OPTIONS = ("--fmad=false",)


def kernel(file: str | tuple[str, ...], name: str, **defined: Any) -> Any:
    """A kernel of ``code/FILE.cu``, or of several, for the current GPU, called with (grid, block, arguments).

    CuPy takes a number of Python's for 64 bits: arguments of fewer are numbers of NumPy's.

    Args:
        file: see above.
        name: the kernel's.
        **defined: what the file leaves open: types and numbers.
    """
    files = (file,) if isinstance(file, str) else file
    return _kernel(library.current(), files, name, tuple(defined.items()))


@functools.cache
def _kernel(gpu: int, files: tuple[str, ...], name: str, defined: tuple[tuple[str, Any], ...]) -> Any:
    return module(gpu, written(files, dict(defined))).get_function(name)


def written(files: tuple[str, ...], defined: Mapping[str, Any]) -> str:
    """What is in ``code/``, behind what it leaves open."""
    return "\n".join([*(f"#define {key} {value}" for key, value in defined.items()), *map(_read, files)])


def aligned(length: int, most: int, *arrays: Array | None) -> int:
    """How many elements, at most so many, threads read at once of stretches of a length, where all arrays begin so."""
    at_once = most
    while at_once > 1 and (
        length % at_once
        or any(address_of(each) % (at_once * each.itemsize) for each in arrays if each is not None)
    ):
        at_once //= 2
    return at_once


@functools.lru_cache(maxsize=512)
def module(gpu: int, code: str) -> Any:
    """CuPy's module of kernels that use what is in ``code/common.cu``, for the current GPU, whose number this is."""
    return library.find().RawModule(code=source(code), options=_OPTIONS)


def source(code: str) -> str:
    """All that the compiler gets."""
    return "\n".join((_read("device"), _read("common"), code))


@functools.cache
def _read(file: str) -> str:
    from importlib import resources  # late: who has no GPU need not load it

    return resources.files(__package__).joinpath("code", f"{file}.cu").read_text()
