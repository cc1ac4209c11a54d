"""How near a matrix product, a convolution and an optimizer's pass come to what this machine can do, on one thread.

python benchmarks/machine_limits.py [--rounds N] [--output FILE.json]

Three limits are measured: multiplications and additions in registers, without any memory; the best large matrix product
of NumPy, PyTorch and distrt; and copying an array much larger than the caches. Then parts of distrt beside them. Each
figure is the best of many short runs by the processor's clock, so that other work matters little. A share above 1 is a
method that multiplies less than the direct one.
"""

import argparse
import os
import time
from collections.abc import Callable
from ctypes import CFUNCTYPE, c_int64, c_void_p
from pathlib import Path

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import numpy as np
import torch
from worlds import write_record

import distrt
from distrt.core.kernels.emitter import Emitter
from distrt.core.kernels.loops import address, load, vector_floats

LARGE = 2048  # rows and columns of a large product
ELEMENTS = 32_000_000  # of a copied array: 128 MB

#: Convolutions of 3 by 3 on 16 images: channels, and the image's height and width.
CONVOLUTIONS = ((64, 32), (128, 16), (256, 8), (512, 4))


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


def register_flops(rounds: int) -> float:
    """Multiplications and additions a second, of 16 vectors that never leave their registers."""
    lanes, sums, turns = vector_floats(), 16, 100_000
    emit = Emitter(1, 1, lanes)
    place, count = emit.arguments
    factor = emit.load(place)
    totals = emit.fold(
        0, count, 1, [factor] * sums, lambda _, each: [emit.fma(n, factor, factor) for n in each]
    )
    for total in totals:
        emit.store(total, place)
    run = CFUNCTYPE(None, c_void_p, c_int64)(load(emit.text()))
    room = np.zeros(lanes, np.float32)
    return 2 * lanes * sums * turns / seconds(lambda: run(address(room), turns), rounds)


def product_flops(rounds: int) -> dict[str, float]:
    """Those of a large matrix product, by library."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((LARGE, LARGE), np.float32) for _ in range(2)]
    theirs, ours = ([kind(each) for each in arrays] for kind in (torch.from_numpy, distrt.from_numpy))
    works = {
        "NumPy": lambda: arrays[0] @ arrays[1],
        "PyTorch": lambda: theirs[0] @ theirs[1],
        "distrt": lambda: ours[0] @ ours[1],
    }
    return {name: 2 * LARGE**3 / seconds(work, rounds) for name, work in works.items()}


def copied_bytes(rounds: int) -> float:
    """Bytes a second that are read and written when an array is copied."""
    source, target = np.ones(ELEMENTS, np.float32), np.empty(ELEMENTS, np.float32)
    return 2 * source.nbytes / seconds(lambda: np.copyto(target, source), rounds)


def convolution_flops(channels: int, size: int, rounds: int) -> dict[str, float]:
    """Those of the direct method, forward and in both directions of the gradient together."""
    input = distrt.randn(16, channels, size, size).contiguous(memory_format=distrt.channels_last)
    weight = distrt.randn(channels, channels, 3, 3)
    count = 2 * 16 * size * size * channels * channels * 9
    convolve = distrt.nn.functional.conv2d
    forward = seconds(lambda: convolve(input, weight, padding=1), rounds)
    leaves = [each.clone().requires_grad_() for each in (input, weight)]
    slope = distrt.ones_like(input)

    def both_ways() -> None:
        distrt.autograd.grad(convolve(*leaves, padding=1), leaves, slope)

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
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--output", type=Path, help="a JSON file for the record")
    args = parser.parse_args()
    torch.set_num_threads(1)
    distrt.set_num_threads(1)
    rows: list[dict[str, object]] = []

    def show(what: str, value: float, unit: str, limit: float) -> None:
        rows.append({"what": what, "value": value, "unit": unit, "share": value / limit})
        print(f"{what:>48} {value / 1e9:8.1f} G{unit}  {value / limit:6.2f}", flush=True)

    products = product_flops(args.rounds)
    limit = max(products.values())
    show("in registers", register_flops(args.rounds), "FLOP/s", limit)
    for name, value in products.items():
        show(f"product {LARGE} x {LARGE}, {name}", value, "FLOP/s", limit)
    for channels, size in CONVOLUTIONS:
        for way, value in convolution_flops(channels, size, args.rounds).items():
            show(f"convolution, {channels} channels, {size} x {size}, {way}", value, "FLOP/s", limit)
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
