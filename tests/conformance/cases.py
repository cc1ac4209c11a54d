"""Collectives with random arguments, what NumPy says they give, and how any group runs them.

A case is a function of its seed, so every rank of every transport makes the same inputs and can check its own
result; the digest that it returns is compared between ranks and between transports.
"""

from __future__ import annotations

import hashlib
import random
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce

import ml_dtypes
import numpy as np

from distrt.comm.process_group import ProcessGroup, ReduceOp
from distrt.comm.reduction import Array

COLLECTIVES = ("all_reduce", "broadcast", "all_gather", "reduce_scatter")
INTEGERS = ("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
FLOATS = ("float16", "bfloat16", "float32", "float64")
COMPLEX = ("complex64", "complex128")
LAYOUTS = ("contiguous", "strided", "buffer", "view")
COUNTS = (0, 1, 2, 7, 127, 1021, 8192, 8209, 65537)
#: The transports that cut arrays into chunks make them 1 MiB long.
BIG_BYTES = 1024 * 1024  # a chunk, to which one element is added
HUGE_BYTES = 3000000  # more than two chunks, and no whole number of them

Combine = Callable[[Array, Array], Array]
COMBINE: dict[ReduceOp, Combine] = {
    ReduceOp.SUM: np.add,
    ReduceOp.AVG: np.add,
    ReduceOp.PRODUCT: np.multiply,
    ReduceOp.MIN: np.minimum,
    ReduceOp.MAX: np.maximum,
}


@dataclass(frozen=True)
class Case:
    collective: str
    dtype_name: str
    op: ReduceOp
    layout: str
    count: int
    is_async: bool
    seed: int

    @property
    def dtype(self) -> np.dtype:
        return numpy_dtype(self.dtype_name)

    @property
    def reduces(self) -> bool:
        return self.collective in ("all_reduce", "reduce_scatter")

    def run(self, group: ProcessGroup) -> str:
        """Run on one rank, compare with NumPy, and return a digest of what all ranks must have alike."""
        inputs = [self._input(rank, group.size) for rank in range(group.size)]
        root = self.seed % group.size
        array, release = self._laid_out(inputs[group.rank], group)
        try:
            result = self._call(group, array, root)
            expected = self._expected(inputs, group.rank, root)
            self._compare(np.ascontiguousarray(result).reshape(-1), expected.reshape(-1))
            untouched = self.collective in ("all_gather", "reduce_scatter")
            if untouched:
                assert same_bits(array, inputs[group.rank]), "the input was changed"
            return "" if self.collective == "reduce_scatter" else digest(result)
        finally:
            release()

    def _call(self, group: ProcessGroup, array: Array, root: int) -> Array:
        match self.collective:
            case "all_reduce":
                work, result = group.all_reduce(array, self.op, async_op=self.is_async), array
            case "broadcast":
                work, result = group.broadcast(array, root, async_op=self.is_async), array
            case "all_gather":
                result = self._output((group.size, *array.shape))
                work = group.all_gather(result, array, async_op=self.is_async)
            case _:
                result = self._output(array.shape[1:])
                work = group.reduce_scatter(result, array, self.op, async_op=self.is_async)
        if self.is_async:
            work.is_completed()
            assert work.wait()
        assert work.is_completed()
        return result

    def _output(self, shape: tuple[int, ...]) -> Array:
        if self.layout == "strided":
            return np.zeros((*shape[:-1], 2 * shape[-1]), self.dtype)[..., ::2]
        return np.zeros(shape, self.dtype)

    def _input(self, rank: int, size: int) -> Array:
        shape = (size, self.count) if self.collective == "reduce_scatter" else (self.count,)
        return values(self.dtype, shape, self.seed + 7919 * rank)

    def _laid_out(self, data: Array, group: ProcessGroup) -> tuple[Array, Callable[[], object]]:
        if self.layout == "strided":
            array = np.zeros((*data.shape[:-1], 2 * data.shape[-1]), data.dtype)[..., ::2]
            array[...] = data
            return array, lambda: None
        if self.layout in ("buffer", "view"):
            skipped = 3 if self.layout == "view" else 0
            buffer = group.allocate((data.size + 2 * skipped,), data.dtype)
            array = buffer[skipped : skipped + data.size].reshape(data.shape)
            array[...] = data
            return array, lambda: group.free(buffer)
        return data.copy(), lambda: None

    def _expected(self, inputs: list[Array], rank: int, root: int) -> Array:
        if self.collective == "broadcast":
            return inputs[root]
        if self.collective == "all_gather":
            return np.stack(inputs)
        wide = np.float64 if self.dtype_name in FLOATS else self.dtype
        total = reduce(COMBINE[self.op], [each.astype(wide) for each in inputs])
        if self.op is ReduceOp.AVG:
            total = total / len(inputs)
        return total[rank] if self.collective == "reduce_scatter" else total

    def _compare(self, result: Array, expected: Array) -> None:
        if not self.reduces or self.dtype_name in INTEGERS or self.op in (ReduceOp.MIN, ReduceOp.MAX):
            assert same_bits(result, expected.astype(self.dtype)), f"{self}: not equal"
        else:
            ulp = float(ml_dtypes.finfo(self.dtype).eps)
            wide = result.astype(np.complex128 if self.dtype.kind == "c" else np.float64)
            np.testing.assert_allclose(wide, expected, rtol=8 * ulp, atol=8 * ulp, err_msg=str(self))


def values(dtype: np.dtype, shape: tuple[int, ...], seed: int) -> Array:
    """Random numbers of any dtype, small enough that five of them neither overflow a sum nor a float16 product."""
    rng = np.random.default_rng(seed)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        return rng.integers(0 if dtype.kind == "u" else -20, 25, shape).astype(dtype)
    if dtype.kind == "c":
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)
    return rng.uniform(-2.0, 2.0, shape).astype(dtype)


def numpy_dtype(name: str) -> np.dtype:
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def big_counts(dtype: np.dtype) -> tuple[int, ...]:
    """Element counts of arrays that pass in several chunks."""
    return BIG_BYTES // dtype.itemsize + 1, HUGE_BYTES // dtype.itemsize + 7


def every_case(collective: str, counts: Callable[[np.dtype], Iterable[int]]) -> list[Case]:
    """All combinations that have a meaning; half of them asynchronous."""
    found = []
    for name in (*INTEGERS, *FLOATS, *COMPLEX):
        for op in ReduceOp if collective in ("all_reduce", "reduce_scatter") else (ReduceOp.SUM,):
            if (op is ReduceOp.AVG and name in INTEGERS) or (
                op in (ReduceOp.MIN, ReduceOp.MAX) and name in COMPLEX
            ):
                continue
            for layout in LAYOUTS:
                for count in counts(numpy_dtype(name)):
                    seed = zlib.crc32(f"{collective}/{name}/{op}/{layout}/{count}".encode())
                    found.append(Case(collective, name, op, layout, count, bool(seed & 64), seed))
    return found


def sample(collective: str, seed: int, amount: int | None) -> list[Case]:
    """``amount`` cases (None: all of ordinary size), the same for the same seed, with a few big ones among them."""
    ordinary, big = every_case(collective, lambda dtype: COUNTS), every_case(collective, big_counts)
    if amount is None:
        return ordinary + big[seed % 4 :: 4]  # each takes a tenth of a second
    chosen = random.Random(f"{collective}/{seed}")
    return chosen.sample(ordinary, amount) + chosen.sample(big, amount // 10)


def same_bits(first: Array, second: Array) -> bool:
    return np.ascontiguousarray(first).tobytes() == np.ascontiguousarray(second).tobytes()


def digest(array: Array) -> str:
    return hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=8).hexdigest()


def run_all(group: ProcessGroup, cases: list[Case]) -> list[str]:
    """A digest per case; a case that fails stops this rank, and thereby the others."""
    digests = []
    for case in cases:
        try:
            digests.append(case.run(group))
        except Exception as error:
            raise AssertionError(f"rank {group.rank} of {group.size}: {case}") from error
    return digests
