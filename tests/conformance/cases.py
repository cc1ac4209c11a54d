"""Collectives with random arguments, what NumPy says they give, and how any group runs them.

A case is a function of its seed, so every rank of every transport makes the same inputs and can check its own
result; the digest that it returns is compared between ranks and between transports.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import random
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce

import ml_dtypes
import numpy as np

from distrt.comm.process_group import COMPLETED, ProcessGroup, ReduceOp, Work
from distrt.comm.reduction import Array

COLLECTIVES = (
    "all_reduce",
    "reduce",
    "broadcast",
    "all_gather",
    "all_gather_uneven",
    "gather",
    "scatter",
    "reduce_scatter",
    "all_to_all",
    "all_to_all_uneven",
    "send_recv",
)
REDUCING = ("all_reduce", "reduce", "reduce_scatter")
#: The shape of the input has a row for every rank.
STACKED = ("scatter", "reduce_scatter", "all_to_all")
#: What they leave in a rank is its own: nothing to compare between ranks.
OWN = ("reduce", "gather", "scatter", "reduce_scatter", "all_to_all", "all_to_all_uneven", "send_recv")
INTEGERS = ("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
FLOATS = ("float16", "bfloat16", "float32", "float64")
COMPLEX = ("complex64", "complex128")
LAYOUTS = ("contiguous", "strided", "buffer", "view")
COUNTS = (0, 1, 2, 7, 127, 1021, 8192, 8209, 65537)
#: The transports that cut arrays into chunks make them 1 MiB long.
BIG_BYTES = 1024 * 1024  # a chunk, to which one element is added
HUGE_BYTES = 3000000  # more than two chunks, and no whole number of them
#: Large arrays repeat themselves after so many elements, a prime: no chunk or row begins as another does.
PERIOD = 65521

Combine = Callable[[Array, Array], Array]
COMBINE: dict[ReduceOp, Combine] = {
    ReduceOp.SUM: np.add,
    ReduceOp.AVG: np.add,
    ReduceOp.PRODUCT: np.multiply,
    ReduceOp.MIN: np.minimum,
    ReduceOp.MAX: np.maximum,
    ReduceOp.BAND: np.bitwise_and,
    ReduceOp.BOR: np.bitwise_or,
    ReduceOp.BXOR: np.bitwise_xor,
}
BITWISE = (ReduceOp.BAND, ReduceOp.BOR, ReduceOp.BXOR)


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
        return self.collective in REDUCING

    def run(self, group: ProcessGroup) -> str:
        """Run on one rank, compare with NumPy, and return a digest of what all ranks must have alike."""
        return self.launch(group)()

    def launch(self, group: ProcessGroup) -> Callable[[], str]:
        """Start on one rank; what is returned waits, compares with NumPy, and gives the digest of `run`."""
        rank, size = group.rank(), group.size()
        inputs = [self._input(other, size) for other in range(size)]
        root = self.seed % size
        array, release = self._laid_out(inputs[rank], group, max(each.size for each in inputs))
        work, result = self._call(group, array, inputs, root)

        def finish() -> str:
            if self.is_async:
                work.is_completed()
                assert work.wait()
            assert work.is_completed()
            self._compare(flat(result), flat(self._expected(inputs, rank, root)))
            is_changed = self.collective in ("all_reduce", "broadcast") or (
                self.collective == "reduce" and rank == root
            )
            if not is_changed:
                assert same_bits(array, inputs[rank]), "the input was changed"
            common = "" if self.collective in OWN else digest(flat(result))
            release()
            return common

        return finish

    def _call(
        self, group: ProcessGroup, array: Array, inputs: list[Array], root: int
    ) -> tuple[Work, Array | list[Array]]:
        rank, size = group.rank(), group.size()
        is_async = self.is_async
        result: Array | list[Array]
        match self.collective:
            case "all_reduce":
                work, result = group.all_reduce(array, self.op, async_op=is_async), array
            case "reduce":
                work, result = group.reduce(array, root, self.op, async_op=is_async), array
            case "broadcast":
                work, result = group.broadcast(array, root, async_op=is_async), array
            case "all_gather":
                result = self._output((size, *array.shape))
                work = group.all_gather(result, array, async_op=is_async)
            case "all_gather_uneven":
                result = [self._output(each.shape) for each in inputs]
                work = group.all_gather(result, array, async_op=is_async)
            case "gather":
                result = self._output((size, *array.shape)) if rank == root else []
                work = group.gather(result if rank == root else None, array, root, async_op=is_async)
            case "scatter":
                result = self._output(array.shape[1:])
                work = group.scatter(result, array if rank == root else None, root, async_op=is_async)
            case "reduce_scatter":
                result = self._output(array.shape[1:])
                work = group.reduce_scatter(result, array, self.op, async_op=is_async)
            case "all_to_all":
                result = self._output(array.shape)
                work = group.all_to_all(list(result), list(array), async_op=is_async)
            case "all_to_all_uneven":
                result = [self._output((part.size,)) for part in self._parts_for(inputs, rank)]
                work = group.all_to_all(result, self._cut(array, rank, size), async_op=is_async)
            case _:
                result = self._output(array.shape)
                work = self._pass_around(group, result, array)
        return work, result

    def _pass_around(self, group: ProcessGroup, result: Array, array: Array) -> Work:
        """Everyone sends to the next rank and receives from the one before."""
        rank, size = group.rank(), group.size()
        if size == 1:
            result[...] = array
            return COMPLETED
        tag, source = self.seed % 3, None if self.seed & 8 else (rank - 1) % size
        if self.is_async:
            received = group.recv(result, source, tag, async_op=True)
            group.send(array, (rank + 1) % size, tag, async_op=True).wait()
        elif rank == 0 and self.count > 8192:  # a blocking send of what does not fit needs a receiver
            received = group.recv(result, source, tag)
            group.send(array, (rank + 1) % size, tag)
        else:
            group.send(array, (rank + 1) % size, tag)
            received = group.recv(result, source, tag)
        if not self.is_async:
            assert received.source_rank() == (rank - 1) % size
        return received

    def _output(self, shape: tuple[int, ...]) -> Array:
        if self.layout == "strided":
            return np.zeros((*shape[:-1], 2 * shape[-1]), self.dtype)[..., ::2]
        return np.zeros(shape, self.dtype)

    def _input(self, rank: int, size: int) -> Array:
        count = self.count
        if self.collective in ("all_gather_uneven", "all_to_all_uneven"):
            count = count * (rank + self.seed % 5) // 3  # some have none
        shape = (size, count) if self.collective in STACKED else (count,)
        return values(self.dtype, shape, self.seed + 7919 * rank)

    def _cut(self, array: Array, rank: int, size: int) -> list[Array]:
        """Rank's array in uneven parts, one for every rank."""
        weights = np.random.default_rng([self.seed, rank]).integers(0, 4, size)
        bounds = np.concatenate([[0], np.cumsum(weights) * array.size // max(1, weights.sum())])
        return [array[low:high] for low, high in itertools.pairwise(bounds)]

    def _parts_for(self, inputs: list[Array], rank: int) -> list[Array]:
        return [self._cut(each, source, len(inputs))[rank] for source, each in enumerate(inputs)]

    def _laid_out(self, data: Array, group: ProcessGroup, longest: int) -> tuple[Array, Callable[[], object]]:
        if self.layout == "strided":
            array = np.zeros((*data.shape[:-1], 2 * data.shape[-1]), data.dtype)[..., ::2]
            array[...] = data
            return array, lambda: None
        if self.layout in ("buffer", "view"):
            skipped = 3 if self.layout == "view" else 0
            buffer = group.allocate((longest + 2 * skipped,), data.dtype)
            array = buffer[skipped : skipped + data.size].reshape(data.shape)
            array[...] = data
            return array, lambda: group.free(buffer)
        return data.copy(), lambda: None

    def _expected(self, inputs: list[Array], rank: int, root: int) -> Array | list[Array]:
        match self.collective:
            case "broadcast":
                return inputs[root]
            case "all_gather" | "all_gather_uneven":
                return inputs
            case "gather":
                return inputs if rank == root else []
            case "scatter":
                return inputs[root][rank]
            case "all_to_all":
                return [each[rank] for each in inputs]
            case "all_to_all_uneven":
                return self._parts_for(inputs, rank)
            case "send_recv":
                return inputs[rank - 1]
        if self.collective == "reduce" and rank != root:
            return inputs[rank]
        wide = np.float64 if self.dtype_name in FLOATS else self.dtype
        total = reduce(COMBINE[self.op], [each.astype(wide) for each in inputs])
        if self.op is ReduceOp.AVG:
            total = total / len(inputs)
        return total[rank] if self.collective == "reduce_scatter" else total

    def _compare(self, result: Array, expected: Array) -> None:
        if not self.reduces or self.dtype_name in INTEGERS or self.op in (ReduceOp.MIN, ReduceOp.MAX):
            assert same_bits(result, expected.astype(self.dtype)), "not equal"
        else:
            ulp = float(ml_dtypes.finfo(self.dtype).eps)
            wide = result.astype(np.complex128 if self.dtype.kind == "c" else np.float64)
            np.testing.assert_allclose(wide, expected, rtol=8 * ulp, atol=8 * ulp, err_msg=str(self))


def values(dtype: np.dtype, shape: tuple[int, ...], seed: int) -> Array:
    """Random numbers of any dtype, small enough that five of them neither overflow a sum nor a float16 product.

    Large arrays repeat what they begin with: drawing them would take longer than all that is done with them.
    """
    if math.prod(shape) > 4 * PERIOD:
        return np.resize(values(dtype, (PERIOD,), seed), shape)
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
        for op in ReduceOp if collective in REDUCING else (ReduceOp.SUM,):
            if not has_meaning(op, name):
                continue
            for layout in LAYOUTS:
                for count in counts(numpy_dtype(name)):
                    seed = zlib.crc32(f"{collective}/{name}/{op}/{layout}/{count}".encode())
                    found.append(Case(collective, name, op, layout, count, bool(seed & 64), seed))
    return found


def has_meaning(op: ReduceOp, dtype_name: str) -> bool:
    if op is ReduceOp.PREMUL_SUM:
        return False  # it has a factor
    if op is ReduceOp.AVG:
        return dtype_name not in INTEGERS
    if op in (ReduceOp.MIN, ReduceOp.MAX):
        return dtype_name not in COMPLEX
    return op not in BITWISE or dtype_name in INTEGERS


def sample(collective: str, seed: int, amount: int | None) -> list[Case]:
    """``amount`` cases (None: all of ordinary size), the same for the same seed; now and then a big one besides."""
    ordinary, big = every_case(collective, lambda dtype: COUNTS), every_case(collective, big_counts)
    if amount is None:
        return ordinary + big[seed % 4 :: 4]  # each takes a tenth of a second
    chosen = random.Random(f"{collective}/{seed}")
    return chosen.sample(ordinary, amount) + chosen.sample(big, chosen.randrange(2))


def flat(arrays: Array | list[Array]) -> Array:
    if isinstance(arrays, np.ndarray):
        return np.ascontiguousarray(arrays).reshape(-1)
    return np.concatenate([np.ascontiguousarray(each).reshape(-1) for each in arrays] or [np.empty(0)])


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
            raise AssertionError(f"rank {group.rank()} of {group.size()}: {case}") from error
    return digests
