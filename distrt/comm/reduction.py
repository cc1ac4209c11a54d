"""What a reduction means: which operations exist, which dtypes each takes, and in which order ranks are combined.

Every transport that reduces on the CPU calls `Reduction.reduce`, so that all of them give the same bits.
"""

from __future__ import annotations

import enum
import functools
from array import array as packed
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from distrt.core.arrays import is_on_gpu
from distrt.core.errors import DtypeError
from distrt.core.kernels.loops import Loop, Step, address, compiled, is_worth_compiling, note_effort
from distrt.core.modes import modes

if TYPE_CHECKING:
    from collections.abc import Sequence

Array: TypeAlias = npt.NDArray[Any]
T = TypeVar("T")

__all__ = [
    "AnyOp",
    "Array",
    "PremulSum",
    "ReduceOp",
    "Reduction",
    "SetsOfArrays",
    "along_tree",
    "as_bits",
    "as_sum",
    "cache_blocks",
    "check_dtype",
    "copy",
]


class ReduceOp(enum.Enum):
    """How the ranks' elements are combined. On bool, SUM and MAX are "or", PRODUCT and MIN are "and"."""

    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7
    PREMUL_SUM = 8  # a name only: what is reduced with is a `PremulSum`, which has the factor

    RedOpType: ClassVar[type[ReduceOp]]  # PyTorch's class of the members, which here is this one

    __hash__ = object.__hash__  # members are singletons, and Enum's own hash costs 0.2 us of Python a call

    def __str__(self) -> str:
        return f"RedOpType.{self.name}"

    def __repr__(self) -> str:
        return f"<RedOpType.{self.name}: {self.value}>"

    def __int__(self) -> int:
        return int(self.value)


ReduceOp.RedOpType = ReduceOp


@dataclass(frozen=True)
class PremulSum:
    """SUM of every rank's elements times a factor, which may be another one on each rank."""

    factor: float | Array

    def __eq__(self, other: object) -> bool:
        return other is ReduceOp.PREMUL_SUM or self is other

    __hash__ = object.__hash__


AnyOp: TypeAlias = ReduceOp | PremulSum


def as_sum(op: AnyOp, array: Array, out: Array) -> ReduceOp:
    """Write ``array`` times the factor to ``out``; what is left to do.

    Raises:
        DtypeError: ``array`` is not floating or complex.
    """
    if not isinstance(op, PremulSum):
        raise TypeError(f"op: expected a ReduceOp, got {type(op).__name__}")
    if array.dtype.kind in "biu":
        raise DtypeError(f"ReduceOp.PREMUL_SUM needs a floating or complex dtype, got {array.dtype}")
    _ = modes.grad  # see `Reduction.reduce`
    factor = op.factor if is_on_gpu(op.factor) else np.asarray(op.factor, array.dtype)[()]
    out[...] = array * factor
    return ReduceOp.SUM


_COMBINE: dict[ReduceOp, np.ufunc] = {
    ReduceOp.SUM: np.add,
    ReduceOp.AVG: np.add,
    ReduceOp.PRODUCT: np.multiply,
    ReduceOp.MIN: np.minimum,
    ReduceOp.MAX: np.maximum,
    ReduceOp.BAND: np.bitwise_and,
    ReduceOp.BOR: np.bitwise_or,
    ReduceOp.BXOR: np.bitwise_xor,
}
_BITWISE = (ReduceOp.BAND, ReduceOp.BOR, ReduceOp.BXOR)

Combine: TypeAlias = Callable[..., Any]  # (first, second, out=...)

_BLOCK_BYTES = 128 * 1024  # of one array: what was reduced is still in the cache when it goes elsewhere
_WIDENING_COST = 10  # of half precision in NumPy, in passes over float32
_LOOPED = frozenset("float16 bfloat16 float32 float64".split())
#: What a compiled loop can do. Not the smaller and larger of two: of 0.0 and -0.0 NumPy may give either.
_VERBS = {ReduceOp.SUM: "add", ReduceOp.AVG: "add", ReduceOp.PRODUCT: "mul"}

_NAMES = frozenset(
    "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 "
    "float16 bfloat16 float32 float64 complex64 complex128".split()
)
_ACCUMULATED_IN_FLOAT32 = ("float16", "bfloat16")


def check_dtype(operation: str, dtype: np.dtype[Any]) -> None:
    """Refuse what no transport can carry.

    Raises:
        DtypeError: for objects, strings, structures, longdouble, and foreign byte order.
    """
    if not _is_carried(dtype):
        raise DtypeError(f"{operation}: dtype {dtype} is not one of {', '.join(sorted(_NAMES))}")


@functools.lru_cache(maxsize=64)  # since NumPy takes microseconds to make a name
def _is_carried(dtype: np.dtype[Any]) -> bool:
    return dtype.name in _NAMES and dtype.isnative


def along_tree(combine: Callable[[T, T], T], terms: Sequence[T]) -> T:
    """``terms`` combined in the order in which ranks and virtual shards are: ((0+1)+(2+3))+…, the odd one carried up.

    Where 2^m ranks have added up 2^n terms each, the tree over the ranks goes on where theirs end: the result does not
    depend on who has which term.
    """
    level = list(terms)
    while len(level) > 1:
        pairs = [combine(*level[place : place + 2]) for place in range(0, len(level) - 1, 2)]
        level = pairs + level[2 * len(pairs) :]
    return level[0]


class Reduction:
    """One operation on one dtype over a fixed number of ranks.

    The order is that of `along_tree`: it depends neither on the array's size nor on how a transport cuts it up. float16
    and bfloat16 are combined in float32 and rounded once.

    Attributes:
        op: which.
        combine: ``combine(first, second, out=...)`` of two arrays.
        is_wide: whether arrays are combined in float32 and not in their own dtype.
        parts: how many numbers an element has: 2 where it is complex.

    Raises:
        DtypeError: where the operation has no meaning for the dtype (AVG of integers, MIN of complex numbers,
            BAND of floating ones).
    """

    __slots__ = (
        "_block_bytes",
        "_is_complex",
        "_loop_name",
        "_scale",
        "_scratch",
        "_verb",
        "combine",
        "is_wide",
        "op",
        "parts",
    )

    def __init__(self, op: ReduceOp, dtype: np.dtype[Any], size: int) -> None:
        check_dtype(f"reduce {op.name}", dtype)
        if op is ReduceOp.AVG and dtype.kind in "biu":
            raise DtypeError(
                f"ReduceOp.AVG needs a floating or complex dtype, got {dtype}; use SUM and divide"
            )
        if op is ReduceOp.PREMUL_SUM:
            raise DtypeError(
                "Cannot use ReduceOp.PREMUL_SUM without its factor: _make_nccl_premul_sum(factor)"
            )
        if op in _BITWISE and dtype.kind not in "biu":
            raise DtypeError(
                f"Cannot use ReduceOp.{op.name} with non-integral dtype: it needs integers or bool, got {dtype}"
            )
        if op in (ReduceOp.MIN, ReduceOp.MAX) and dtype.kind == "c":
            raise DtypeError(f"ReduceOp.{op.name}: complex numbers have no order, got {dtype}")
        self.op = op
        self._is_complex = dtype.kind == "c"
        self.combine: Combine = _COMBINE[op]
        if self._is_complex and op is ReduceOp.PRODUCT:
            self.combine = _complex_product
        self._scale = 1.0 / size if op is ReduceOp.AVG and size > 1 else None
        self.is_wide = dtype.name in _ACCUMULATED_IN_FLOAT32
        self._scratch: list[Array] = []
        # What a compiled loop does: with complex numbers as pairs of real ones.
        self.parts = 2 if self._is_complex else 1
        self._verb = _VERBS.get(op, "")
        name = f"float{4 * dtype.itemsize}" if self._is_complex else dtype.name
        is_looped = name in _LOOPED and self._verb and not (self._is_complex and op is ReduceOp.PRODUCT)
        self._loop_name = name if is_looped else None
        self._block_bytes = _BLOCK_BYTES // 32 if self.is_wide and is_looped else _BLOCK_BYTES

    def reduce(self, sources: Sequence[Array], *outs: Array) -> None:
        """Combine ``sources`` (one flat array a rank, in rank order) into each of ``outs``.

        The result may replace any source.
        """
        # In a thread that has looked at its modes NumPy warns of no infinity: it is a value here.
        _ = modes.grad
        out = outs[0]
        if out.nbytes > self._block_bytes:
            self._reduce_large(sources, outs)
            return
        self._reduce_block(sources, out)
        for other in outs[1:]:
            copy(as_bits(other), as_bits(out))

    def _reduce_large(self, sources: Sequence[Array], outs: Sequence[Array]) -> None:
        """In one compiled pass, or in blocks that stay in the cache."""
        size = outs[0].size
        if len(sources) > 1 and is_worth_compiling() and _are_alike((*sources, *outs)):
            loop = self.loop(len(sources), len(outs))
            run = None if loop is None else compiled(loop)
            if run is not None:
                pointers = packed("Q", map(address, (*sources, *outs)))
                sizes = packed("q", [size * self.parts])
                scale = self.constants()
                run(1, sizes.buffer_info()[0], pointers.buffer_info()[0], scale.buffer_info()[0])
                return
        note_effort(size * len(sources) * (_WIDENING_COST if self.is_wide else 1))
        for low, high in cache_blocks(0, size, outs[0].itemsize):
            self._reduce_block([source[low:high] for source in sources], outs[0][low:high])
            for other in outs[1:]:
                copy(as_bits(other[low:high]), as_bits(outs[0][low:high]))

    def loop(self, sources: int, outs: int) -> Loop | None:
        """`reduce` as a loop that can be compiled, if it can; its constants are `constants`.

        Its arrays are the sources, then the outs, with `parts` elements for each of theirs.
        """
        if self._loop_name is None:
            return None
        return _loop(self._loop_name, self._verb, sources, outs, self._scale is not None)

    def constants(self) -> packed[float]:
        """Those of `loop`."""
        return packed("d" if self._loop_name == "float64" else "f", [self._scale or 1.0])

    def _reduce_block(self, sources: Sequence[Array], out: Array) -> None:
        if len(sources) == 2 and not self.is_wide:
            self.combine(sources[0], sources[1], out=out)
        elif len(sources) == 1:
            out[...] = sources[0]
            return
        else:
            self._reduce_tree(sources, out)
            if self.is_wide:
                return
        self.finish(out)

    def finish(self, total: Array) -> None:
        """What is left to do when all ranks' arrays are combined: AVG's division, in place."""
        if self._scale is not None:
            if self._is_complex:
                # Times a real number: an infinite part leaves the other alone.
                total = total.view(total.real.dtype)
            np.multiply(total, self._scale, total)

    def _reduce_tree(self, sources: Sequence[Array], out: Array) -> None:
        # `along_tree` without fresh memory: partial results go to scratch, and only the root writes to `out`: by then
        # every source has been read.
        level = [source.astype(np.float32) for source in sources] if self.is_wide else list(sources)
        scratch = self._scratch_for(len(sources) // 2, level[0])
        while len(level) > 2:
            pairs = len(level) // 2
            for i in range(pairs):
                self.combine(level[2 * i], level[2 * i + 1], out=scratch[i])
            level = scratch[:pairs] + level[2 * pairs :]
        if self.is_wide:
            total = self.combine(level[0], level[1], out=level[0])
            self.finish(total)
            out[...] = total
        else:
            self.combine(level[0], level[1], out=out)

    def _scratch_for(self, count: int, like: Array) -> list[Array]:
        if not self._scratch or self._scratch[0].size < like.size:
            self._scratch = [np.empty(like.size, like.dtype) for _ in range(count)]
        return [block[: like.size] for block in self._scratch]


class SetsOfArrays:
    """Several sets of arrays, (one flat array a rank, the result) each, that are reduced again and again.

    Args:
        reduction: how.
        sets: which; they must stay where they are.
    """

    def __init__(self, reduction: Reduction, sets: Sequence[tuple[Sequence[Array], Array]]) -> None:
        self._reduction = reduction
        self._sets = [each for each in sets if each[1].size]
        self._run: Callable[[], None] | None = None

    def reduce(self) -> None:
        """`Reduction.reduce` of each set; compiled, in one call."""
        if self._run is None and is_worth_compiling():
            self._run = self._compiled()
        if self._run is not None:
            self._run()
            return
        for sources, out in self._sets:
            self._reduction.reduce(sources, out)

    def _compiled(self) -> Callable[[], None] | None:
        if not self._sets or len(self._sets[0][0]) == 1:
            return None
        loop = self._reduction.loop(len(self._sets[0][0]), 1)
        run = None if loop is None else compiled(loop)
        if run is None or not all(_are_alike((*sources, out)) for sources, out in self._sets):
            return None
        pointers = packed("Q", [address(each) for sources, out in self._sets for each in (*sources, out)])
        sizes = packed("q", [out.size * self._reduction.parts for _, out in self._sets])
        given = sizes, pointers, self._reduction.constants()
        numbers = len(self._sets), *(each.buffer_info()[0] for each in given)

        def run_all(_: Any = given) -> None:
            run(*numbers)

        return run_all


def _are_alike(arrays: Sequence[Array]) -> bool:
    """Whether code that trusts in it may go through them: NumPy knows what to do where not."""
    size, dtype = arrays[0].size, arrays[0].dtype
    return all(each.size == size and each.dtype == dtype and each.flags.c_contiguous for each in arrays)


@functools.cache
def _loop(dtype: str, verb: str, sources: int, outs: int, is_scaled: bool) -> Loop:
    """`Reduction`'s tree over ``sources`` arrays, times a constant, stored to the ``outs`` arrays that follow them."""
    steps: list[Step] = []

    def add(verb: str, *operands: int) -> int:
        steps.append(Step(verb, operands))
        return sources + outs + 1 + len(steps) - 1

    total = along_tree(functools.partial(add, verb), range(sources))
    result = add("mul", total, sources + outs) if is_scaled else total
    stores = tuple((sources + out, result) for out in range(outs))
    return Loop(dtype, sources + outs, 1, tuple(steps), stores)


def _complex_product(first: Array, second: Array, out: Array) -> Array:
    # np.multiply rounds otherwise where a single element replaces the first source (NumPy takes that for a reduction,
    # whose loop fuses nothing): bits would depend on where an array was cut.
    real = first.real * second.real - first.imag * second.imag
    imaginary = first.real * second.imag + first.imag * second.real
    out.real, out.imag = real, imaginary
    return out


def as_bits(array: Array) -> Array:
    """The array as unsigned integers of the same size, for `copy`; complex128 stays what it is."""
    return array.view(f"u{array.itemsize}") if array.itemsize <= 8 else array


def copy(target: Array, source: Array) -> None:
    """``target[...] = source`` without memcpy, for arrays that went through `as_bits`.

    glibc copies 4 KB to L2 size with `rep movsb`, which on Zen 3 runs at 3 GB/s instead of 35 where target lies 1 to
    63 bytes behind source, modulo the page: and NumPy puts large arrays 16 bytes into a page.
    """
    if target.dtype.kind == "u":
        np.bitwise_or(source, source, target)
    else:
        target[...] = source


def cache_blocks(start: int, stop: int, itemsize: int) -> list[tuple[int, int]]:
    """``start:stop`` in pieces that stay in the L2 cache."""
    step = _BLOCK_BYTES // itemsize
    return [(low, min(low + step, stop)) for low in range(start, stop, step)]
