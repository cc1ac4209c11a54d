"""What NVIDIA's compiler needs for attention without scores in memory: registers, spills, shared memory. Needs no GPU.

Occupancy is computed from these, not measured: blocks that a multiprocessor has registers and shared memory for.

python benchmarks/gpu_registers.py [--arch sm_90] [--widths 64,128] [--dtype bfloat16]

Needs CuPy with NVRTC. Ends with 1 where something spills.
"""

from __future__ import annotations

import argparse
import itertools
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from distrt.core.kernels.cuda import fused_attention
from distrt.core.kernels.cuda.launching import source, written

#: Of a multiprocessor: registers, given to a warp 256 at a time, and shared memory, of which a block takes 1 KB more.
REGISTERS, REGISTERS_AT_ONCE = 65536, 256
SHARED_BYTES = {"sm_80": 164 << 10, "sm_86": 100 << 10, "sm_89": 100 << 10, "sm_90": 228 << 10}
THREADS = 128

#: What masks are of, in C: those that hide, and those that are added.
MASKS = {"masked": "u8", "added": "float"}


class Needs(NamedTuple):
    """Of one kernel."""

    what: str
    registers: int
    spilled_bytes: int
    shared_bytes: int

    def blocks(self, arch: str) -> int:
        """How many are on a multiprocessor at a time."""
        of_warp = -(-self.registers * 32 // REGISTERS_AT_ONCE) * REGISTERS_AT_ONCE
        by_registers = REGISTERS // (of_warp * THREADS // 32)
        return min(by_registers, SHARED_BYTES[arch] // (self.shared_bytes + 1024))


def needs(kind: str, wide: int, dtype: str, mask: str | None, is_dropped: bool, arch: str) -> Needs:
    """What a kernel of ``fused_attention.SHAPES`` needs, with a mask of ``MASKS`` or none."""
    from cupy.cuda import nvrtc

    is_masked = mask is not None
    of_mask = "u8" if mask is None else MASKS[mask]
    name, files, defined, shape = fused_attention.built(kind, wide, dtype, is_masked, is_dropped, of_mask)
    program = nvrtc.createProgram(source(written(files, defined)), f"{name}.cu", [], [])
    nvrtc.compileProgram(program, [f"-arch={arch}", "--fmad=false", "--ptxas-options=-v"])
    said = nvrtc.getProgramLog(program).split(f"entry function '{name}'")[1].split("entry function")[0]
    registers, spilled = (
        int(re.search(rf"{each}", said)[1]) for each in (r"Used (\d+) reg", r"(\d+) bytes spill st")
    )
    with_what = " ".join(filter(None, (mask, "dropout" if is_dropped else None)))
    shared = fused_attention.shared_bytes(kind, wide, shape)
    return Needs(f"{kind}, {wide} {with_what}".strip(), registers, spilled, shared)


def all_needs(arch: str, widths: list[int], dtype: str) -> Iterator[Needs]:
    """Of every kernel, with and without masks and dropout."""
    kinds = dict.fromkeys(kind for kind, _ in fused_attention.SHAPES)
    cases = list(itertools.product(kinds, widths, [dtype], (None, *MASKS), (False, True), [arch]))
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(lambda case: needs(*case), cases)


def main() -> int:
    """Prints a line for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arch", default="sm_90", choices=SHARED_BYTES)
    parser.add_argument("--widths", default="16,32,48,64,80,96,112,128")
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float16"))
    options = parser.parse_args()
    spilled = 0
    for each in all_needs(options.arch, [int(width) for width in options.widths.split(",")], options.dtype):
        spilled += each.spilled_bytes
        blocks = each.blocks(options.arch)
        print(
            f"{each.what:32} {each.registers:4} registers {each.spilled_bytes:4} bytes spilled "
            f"{each.shared_bytes:7} bytes shared {blocks} blocks = {blocks * THREADS // 32} warps",
            flush=True,
        )
    return int(spilled > 0)


if __name__ == "__main__":
    sys.exit(main())
