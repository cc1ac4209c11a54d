"""Kernels by name: found in ``code/``, compiled by CuPy when they are first called, put into the current stream."""

from __future__ import annotations

import functools
from typing import Any

from distrt.core.dtypes import dtype as dt
from distrt.core.gpu import library

__all__ = ["C_TYPES", "MOST_BLOCKS", "kernel", "module", "source"]

#: What kernels call the dtypes.
C_TYPES = {
    dt.float32.numpy: "float",
    dt.float64.numpy: "double",
    dt.float16.numpy: "float16",
    dt.bfloat16.numpy: "bfloat16",
}

#: Blocks for kernels whose threads go on through what is left: enough to fill any GPU several times.
MOST_BLOCKS = 4096

# Operations round one by one, as NumPy's: so that a result has the same bits on the CPU.
_OPTIONS = ("--fmad=false",)


def kernel(file: str, name: str, **defined: Any) -> Any:
    """A kernel of ``code/FILE.cu`` for the current GPU, called with (grid, block, arguments).

    CuPy takes a number of Python's for 64 bits: arguments of fewer are numbers of NumPy's.

    Args:
        file: see above.
        name: the kernel's.
        **defined: what the file leaves open: types and numbers.
    """
    return _kernel(library.current(), file, name, tuple(defined.items()))


@functools.cache
def _kernel(gpu: int, file: str, name: str, defined: tuple[tuple[str, Any], ...]) -> Any:
    lines = [f"#define {key} {value}" for key, value in defined]
    return module(gpu, "\n".join([*lines, _read(file)])).get_function(name)


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
