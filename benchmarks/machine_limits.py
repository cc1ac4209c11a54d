"""How near a matrix product, a convolution and an optimizer's pass come to what this machine can do, on one thread.

python benchmarks/machine_limits.py [--dtypes f32 …] [--rounds N] [--output FILE.json]

Three limits are measured: multiplications and additions in registers, without any memory; the best large matrix product
of NumPy, PyTorch and distrt; and copying an array much larger than the caches. Then parts of distrt beside them;
products and convolutions in bfloat16, too, where the processor multiplies it. Each figure is the best of many short
runs by the processor's clock, so that other work matters little. A share above 1 is a method that multiplies less than
the direct one.
"""

import argparse
import functools
import os
import time
from collections.abc import Callable
from ctypes import CFUNCTYPE, c_int64, c_void_p
from pathlib import Path
from typing import Any

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import numpy as np
import torch
from llvmlite import ir
from worlds import write_record

import distrt
from distrt.core.kernels.emitter import Emitter
from distrt.core.kernels.half_code import dotted
from distrt.core.kernels.loops import address, load, multiplies_bfloat16, vector_floats

LARGE = 2048  # rows and columns of a large product
ELEMENTS = 32_000_000  # of a copied array: 128 MB

#: Convolutions of 3 by 3 on 16 images: channels, those of the output, the image's height and width, and the stride.
CONVOLUTIONS = (
    *((64, 64, 32, 1), (128, 128, 16, 1), (256, 256, 8, 1), (512, 512, 4, 1)),
    *((64, 128, 32, 2), (128, 256, 16, 2), (256, 512, 8, 2)),
)

DTYPES = {"f32": "float32", "bf16": "bfloat16"}


def seconds(work: Callable[[], object], rounds: int) -> float:
    """The processor's time that one turn takes, the best of some rounds; each of them is at least 20 ms long."""
    work()
    start = time.process_time()
    work()
    repeat = 1 + int(0.02 / max(1e-6, time.process_time() - start))
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(repeat):
            work()
        best = min(best, (time.process_time() - start) / repeat)
    return best


def register_flops(dtype: str, rounds: int) -> float:
    """Multiplications and additions a second, of 16 vectors that never leave their registers."""
    lanes, sums, turns = vector_floats(), 16, 100_000
    emit = Emitter(1, 1, lanes)
    place, count = emit.arguments
    factor = emit.load(place)
    is_half = dtype == "bf16"
    pairs = emit.builder.bitcast(factor, ir.VectorType(ir.IntType(32), lanes))

    def turn(_: object, totals: list[Any]) -> list[Any]:
        if is_half:
            return [dotted(emit.builder, each, pairs, pairs) for each in totals]
        return [emit.fma(each, factor, factor) for each in totals]

    totals = emit.fold(0, count, 1, [factor] * sums, turn)
    for total in totals:
        emit.store(total, place)
    run = CFUNCTYPE(None, c_void_p, c_int64)(load(emit.text()))
    room = np.zeros(lanes, np.float32)
    operations = 4 if is_half else 2  # of a number of 32 bits: two pairs, or one
    return operations * lanes * sums * turns / seconds(lambda: run(address(room), turns), rounds)


def product_flops(dtype: str, rounds: int) -> dict[str, float]:
    """Those of a large matrix product, by library; NumPy has none of bfloat16 that would be comparable."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((LARGE, LARGE), np.float32) for _ in range(2)]
    theirs, ours = (
        [library.from_numpy(each).to(getattr(library, DTYPES[dtype])) for each in arrays]
        for library in (torch, distrt)
    )
    works: dict[str, Callable[[], object]] = {
        "PyTorch": lambda: theirs[0] @ theirs[1],
        "distrt": lambda: ours[0] @ ours[1],
    }
    if dtype == "f32":
        works = {"NumPy": lambda: arrays[0] @ arrays[1], **works}
    return {name: 2 * LARGE**3 / seconds(work, rounds) for name, work in works.items()}


def copied_bytes(rounds: int) -> float:
    """Bytes a second that are read and written when an array is copied."""
    source, target = np.ones(ELEMENTS, np.float32), np.empty(ELEMENTS, np.float32)
    return 2 * source.nbytes / seconds(lambda: np.copyto(target, source), rounds)


def convolution_flops(
    dtype: str, channels: int, outs: int, size: int, stride: int, rounds: int
) -> dict[str, float]:
    """Those of the direct method, forward and in both directions of the gradient together."""
    kind = getattr(distrt, DTYPES[dtype])
    input = distrt.randn(16, channels, size, size).to(kind).contiguous(memory_format=distrt.channels_last)
    weight = distrt.randn(outs, channels, 3, 3).to(kind)
    count = 2 * 16 * (size // stride) ** 2 * outs * channels * 9
    convolve = functools.partial(distrt.nn.functional.conv2d, stride=stride, padding=1)
    forward = seconds(lambda: convolve(input, weight), rounds)
    leaves = [each.clone().requires_grad_() for each in (input, weight)]
    slope = distrt.ones_like(convolve(input, weight))

    def both_ways() -> None:
        distrt.autograd.grad(convolve(*leaves), leaves, slope)

    return {"forward": count / forward, "gradients": 2 * count / (seconds(both_ways, rounds) - forward)}


def optimizer_bytes(name: str, arrays: int, rounds: int) -> float:
    """Bytes a second that a step reads and writes: ``arrays`` times the parameters'."""
    parameter = distrt.zeros(ELEMENTS // 4, requires_grad=True)
    parameter.grad = distrt.ones(ELEMENTS // 4)
    options = {"momentum": 0.9} if name == "SGD" else {}
    optimizer = getattr(distrt.optim, name)([parameter], lr=1e-3, **options)
    for _ in range(20):  # until the pass is compiled
        optimizer.step()
    return arrays * parameter.nbytes / seconds(optimizer.step, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtypes", nargs="+", default=list(DTYPES), choices=DTYPES)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--output", type=Path, help="a JSON file for the record")
    args = parser.parse_args()
    torch.set_num_threads(1)
    distrt.set_num_threads(1)
    rows: list[dict[str, object]] = []

    def show(what: str, value: float, unit: str, limit: float) -> None:
        rows.append({"what": what, "value": value, "unit": unit, "share": value / limit})
        print(f"{what:>72} {value / 1e9:8.1f} G{unit}  {value / limit:6.2f}", flush=True)

    for dtype in args.dtypes:
        if dtype == "bf16" and not multiplies_bfloat16():
            continue
        products = product_flops(dtype, args.rounds)
        limit = max(products.values())
        show(f"{dtype} in registers", register_flops(dtype, args.rounds), "FLOP/s", limit)
        for name, value in products.items():
            show(f"{dtype} product {LARGE} x {LARGE}, {name}", value, "FLOP/s", limit)
        for channels, outs, size, stride in CONVOLUTIONS:
            for way, value in convolution_flops(dtype, channels, outs, size, stride, args.rounds).items():
                what = f"{dtype} convolution, {channels} to {outs} channels, {size} x {size}, stride {stride}, {way}"
                show(what, value, "FLOP/s", limit)
    limit = copied_bytes(args.rounds)
    show("copy", limit, "B/s", limit)
    for name, arrays in (("SGD", 5), ("AdamW", 7)):
        show(
            f"step of {name}, 8 million parameters", optimizer_bytes(name, arrays, args.rounds), "B/s", limit
        )
    if args.output:
        write_record(args.output, "Beside the machine's limits", 1, rows)


if __name__ == "__main__":
    main()
