"""Element-wise loops on GPUs: `Loop`s, which are data, as one kernel for many arrays."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.core.arrays import Array, address_of
from distrt.core.gpu import library
from distrt.core.kernels.cuda.launching import module
from distrt.core.kernels.cuda.loop_code import PER_BLOCK, THREADS, code_of, computed_type
from distrt.core.kernels.loops import Loop

__all__ = ["run"]

# Of a kernel's arguments, which hold the addresses: then nothing is copied to the GPU beforehand, and a captured graph
# has them.
_ARGUMENT_BYTES = 4000


def run(
    loop: Loop,
    sets: Sequence[Sequence[Array]],
    constants: Sequence[float],
    parts: int = 1,
    divisor: Array | None = None,
    skip: Array | None = None,
    far: Array | None = None,
) -> None:
    """Runs the loop on sets of arrays of the current GPU, each in row-major order: one launch for as many as fit.

    Args:
        loop: what is done.
        sets: the arrays of each set, of equal sizes.
        constants: the loop's.
        parts: how many of the loop's elements one of the arrays' has: 2 for complex numbers.
        divisor: a float32 that the second arrays are divided by, on the GPU.
        skip: a float32 that is not 0 where nothing is to be done, on the GPU.
        far: an array on the GPU that the constants are read from in their place.
    """
    sets = [each for each in sets if each[0].size]
    if not sets:
        return
    single = len(sets) == 1
    code, kind = _kernel(library.current(), loop, single)
    capacity = 1 if single else _capacity(loop)
    flags = [np.uint64(0 if each is None else address_of(each)) for each in (divisor, skip)]
    for start in range(0, len(sets), capacity):
        some = sets[start : start + capacity]
        table, blocks = np.zeros(1, kind), 0
        row = table[0]
        row["constants"][: loop.constants] = constants
        row["count"] = len(some)
        row["far"] = 0 if far is None else address_of(far)
        for number, arrays in enumerate(some):
            row["pointers"][number * loop.arrays :][: loop.arrays] = [*map(address_of, arrays)]
            row["sizes"][number] = parts * arrays[0].size
            row["starts"][number] = blocks
            blocks += -(-parts * arrays[0].size // PER_BLOCK)
        code((blocks,), (THREADS,), (table, *flags))


def _capacity(loop: Loop) -> int:
    return (_ARGUMENT_BYTES - 8 * max(1, loop.constants)) // (8 * loop.arrays + 8 + 4)


@functools.lru_cache(maxsize=256)
def _kernel(gpu: int, loop: Loop, single: bool) -> tuple[Any, Any]:
    capacity = 1 if single else _capacity(loop)
    kind = np.dtype(
        [
            ("pointers", np.uint64, (capacity * loop.arrays,)),
            ("sizes", np.int64, (capacity,)),
            (
                "constants",
                np.float64 if computed_type(loop) == "double" else np.float32,
                (max(1, loop.constants),),
            ),
            ("far", np.uint64),
            ("starts", np.int32, (capacity,)),
            ("count", np.int32),
        ],
        align=True,
    )
    return module(gpu, code_of(loop, capacity)).get_function("run"), kind
