"""The checksum of zip archives, as fast as memory: a compiled loop takes over once zlib has had much to do.

zlib does 1 to 2 GB/s, about as much as a disk, so that comparing checksums would double the time of loading. The loop
multiplies without carries (PCLMULQDQ): it folds 64 to 256 bytes at a time onto the next, which leaves that many bytes
with the same checksum as all before them. zlib does these, and the rest. Where there is no compiler, zlib does all.

Source: Gopal et al., Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction (Intel, 2009).
"""

from __future__ import annotations

import ctypes
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from distrt.core.kernels import loops
from distrt.core.process.forking import lock_across_forks

__all__ = ["crc32"]

_COMPILE_AFTER = 512 << 20  # bytes: zlib takes longer for so many than loading the compiler takes
_WORTH_A_CALL = 4096
_ONES = 0xFFFFFFFF


def crc32(data: Any, value: int = 0) -> int:
    """The checksum of bytes; ``value`` is that of what comes before them.

    Args:
        data: contiguous bytes: bytes, a memoryview or a uint8 array.
        value: the checksum so far.
    """
    size = len(data)
    fold = _folding.get(size) if size >= _WORTH_A_CALL else None
    if fold is None:
        return zlib.crc32(data, value)
    array: Any = np.frombuffer(data, np.uint8)
    count = size // fold.block
    remainder = (ctypes.c_uint8 * fold.block)()
    fold.run(loops.address(array), count, value ^ _ONES, remainder)
    # zlib inverts the value before and after; the fold has put it into the bytes, and left nothing to invert.
    value = zlib.crc32(remainder, _ONES)
    return zlib.crc32(array[count * fold.block :], value)


class _Folding:
    """The compiled loop of this process, made when zlib has had enough to do."""

    def __init__(self) -> None:
        self._lock = lock_across_forks()  # held while `loops` takes its own, which are older
        self._seen = 0
        self._is_made = False
        self._fold: _Fold | None = None

    def get(self, size: int) -> _Fold | None:
        """The loop; None before it pays, and where there cannot be one."""
        if self._is_made:
            return self._fold
        with self._lock:
            self._seen += size
            if self._seen >= _COMPILE_AFTER and not self._is_made:
                self._fold = compiled()
                self._is_made = True
            return self._fold


def compiled() -> _Fold | None:
    """The loop as machine code; None where it cannot be."""
    widths = possible_lanes()
    if not widths:
        return None
    lanes = max(widths)
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint32, ctypes.c_void_p)
    return _Fold(kind(loops.load(fold_code(lanes))), 4 * 8 * lanes)


def possible_lanes() -> list[int]:
    """How many 64-bit lanes this machine can multiply at once; nothing where it cannot, or there is no compiler."""
    if not loops.can_compile("float32"):
        return []
    import llvmlite.binding

    features = llvmlite.binding.get_host_cpu_features()
    needed = {2: ("pclmul", "sse4.1"), 4: ("vpclmulqdq", "avx2"), 8: ("vpclmulqdq", "avx512f")}
    return [lanes for lanes, names in needed.items() if all(features.get(name) for name in names)]


class _Fold(NamedTuple):
    """The compiled loop.

    Attributes:
        run: takes the address of the data, the number of blocks, the register, and memory of a block for the result.
        block: bytes that are folded at once.
    """

    run: Callable[[int, int, int, Any], None]
    block: int


_folding = _Folding()


def fold_code(lanes: int) -> str:
    """The loop for LLVM: four vectors of 64-bit lanes, each folded onto what stands a block further on."""
    vector, size = f"<{lanes} x i64>", 8 * lanes
    pairs = ", ".join(f"i64 {factor}" for factor in _factors(4 * size)) + ", "
    name = f"@llvm.x86.pclmulqdq{'' if lanes == 2 else f'.{64 * lanes}'}"
    fill = {"vector": vector, "name": name, "factors": "<" + (pairs * (lanes // 2))[:-2] + ">"}
    parts = {
        part: "\n".join(
            line.format(n=n, at=size * n, start="%first" if n == 0 else f"%s{n}", **fill) for n in range(4)
        )
        for part, line in _LINES.items()
    }
    return _CODE.format(shift=(4 * size).bit_length() - 1, **fill, **parts)


_LINES = {
    "entry": """  %p{n} = getelementptr i8, ptr %data, i64 {at}
  %s{n} = load {vector}, ptr %p{n}, align 1""",
    "heads": "  %x{n} = phi {vector} [ {start}, %entry ], [ %y{n}, %body ]",
    "folds": """  %q{n} = getelementptr i8, ptr %next, i64 {at}
  %v{n} = load {vector}, ptr %q{n}, align 1
  %l{n} = call {vector} {name}({vector} %x{n}, {vector} {factors}, i8 0)
  %h{n} = call {vector} {name}({vector} %x{n}, {vector} {factors}, i8 17)
  %m{n} = xor {vector} %l{n}, %h{n}
  %y{n} = xor {vector} %m{n}, %v{n}""",
    "ends": """  %r{n} = getelementptr i8, ptr %result, i64 {at}
  store {vector} %x{n}, ptr %r{n}, align 1""",
}

_CODE = """
declare {vector} {name}({vector}, {vector}, i8)

define void @run(ptr %data, i64 %blocks, i32 %register, ptr %result) {{
entry:
{entry}
  %wide = zext i32 %register to i64
  %start = insertelement {vector} zeroinitializer, i64 %wide, i32 0
  %first = xor {vector} %s0, %start
  br label %loop

loop:
  %i = phi i64 [ 1, %entry ], [ %j, %body ]
{heads}
  %more = icmp slt i64 %i, %blocks
  br i1 %more, label %body, label %done

body:
  %offset = shl i64 %i, {shift}
  %next = getelementptr i8, ptr %data, i64 %offset
{folds}
  %j = add i64 %i, 1
  br label %loop

done:
{ends}
  ret void
}}
"""


def _factors(distance: int) -> tuple[int, int]:
    """What the lower and the upper half of 16 bytes are multiplied by, to stand so many bytes further on."""
    return _power(8 * distance + 32), _power(8 * distance - 32)


def _power(exponent: int) -> int:
    """x to a power modulo the polynomial, its bits in reverse, as the multiplication wants it."""
    value = 1
    for _ in range(exponent):
        value <<= 1
        if value >> 32:
            value ^= 0x104C11DB7
    return int(f"{value:032b}"[::-1], 2) << 1
