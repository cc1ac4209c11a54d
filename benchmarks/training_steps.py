"""Training steps of five kinds of models, PyTorch beside distrt in one run: milliseconds, ratios and peak memory.

python benchmarks/training_steps.py [--modes ddp …] [--dtypes f32 …] [--models resnet18 …] [--clock processor]
                                    [--output FILE.json]

A case has fresh processes of its own, so that its peak memory is its own; rounds of the two libraries take turns. Every
process has one thread. Modes: "ddp", a step of DistributedDataParallel over two ranks; "train", a step in one process;
"infer", forward alone under `inference_mode`. The processor's clock stands still while others have the processor, so
that on a busy machine it says more; but it does not see a rank wait, and is for one process only.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import models
from worlds import LIBRARIES, World, write_record

MODELS = ("resnet18", "gpt", "lstm", "unet")
MODES = {"ddp": 2, "train": 1, "infer": 1}
DTYPES = ("f32", "bf16")
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def batch_of(library: ModuleType, model: str) -> tuple[object, object]:
    """Inputs and targets."""
    randint, randn = library.randint, library.randn
    if model == "resnet18":
        return randn(16, 3, 32, 32), randint(0, 10, (16,))
    if model == "gpt":
        return randint(0, 256, (8, 128)), randint(0, 256, (8 * 128,))
    if model == "lstm":
        return randint(0, 1000, (32, 64)), randint(0, 1000, (32 * 64,))
    return randn(4, 3, 64, 64), randint(0, 2, (4, 64, 64))


def optimizer_of(library: ModuleType, model_name: str, model: Any) -> Any:
    """What the model is usually trained with."""
    if model_name == "gpt":
        return library.optim.AdamW(model.parameters(), lr=3e-4)
    return library.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)


def setup(library: ModuleType, case: str) -> Callable[[], None]:
    """The work of one case, to be done again and again."""
    model_name, mode, dtype = case.split()
    library.manual_seed(0)
    model = getattr(models, model_name)(library)
    inputs, targets = batch_of(library, model_name)

    def autocast() -> object:
        return library.autocast("cpu", dtype=library.bfloat16) if dtype == "bf16" else nullcontext()

    if mode == "infer":
        model.eval()

        def infer() -> None:
            with library.inference_mode(), autocast():
                model(inputs)

        return infer
    if mode == "ddp":
        model = import_module(f"{library.__name__}.nn.parallel").DistributedDataParallel(model)
    optimizer = optimizer_of(library, model_name, model)

    def step() -> None:
        optimizer.zero_grad()
        with autocast():
            loss = library.nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()

    return step


def be_a_rank(library: str) -> None:
    """A rank's life: prepares a case, times repetitions of it, or tells its peak memory, until the pipe closes."""
    module = import_module(library)
    distributed = import_module(f"{library}.distributed")
    if library == "torch":
        module.set_num_threads(1)
    if os.environ["WORLD_SIZE"] != "1":
        distributed.init_process_group("gloo")
    work: Callable[[], None] = lambda: None  # noqa: E731
    for line in sys.stdin:
        command = json.loads(line)
        if command.get("memory"):
            print(_peak_bytes(), flush=True)
            continue
        if "case" in command:
            work = setup(module, command["case"])
        if distributed.is_initialized():
            distributed.barrier()
        clock = CLOCKS[command.get("clock", "wall")]
        start = clock()
        for _ in range(command["repeat"]):
            work()
        print((clock() - start) / max(1, command["repeat"]), flush=True)
    if distributed.is_initialized():
        distributed.destroy_process_group()


def _peak_bytes() -> int:
    """The largest resident memory so far, shared pages included."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


def measure(case: str, size: int, rounds: int, round_s: float, clock: str) -> dict[str, object]:
    """One case's row."""
    worlds = {library: World(__file__, library, size, ONE_THREAD) for library in LIBRARIES}
    try:
        seconds: dict[str, list[float]] = {library: [] for library in LIBRARIES}
        repeat = {}
        for library, world in worlds.items():
            world.ask(case=case, repeat=5)
            once_s = max(world.ask(repeat=3, clock=clock))
            repeat[library] = max(1, int(round_s / once_s))
            # Compiling begins when NumPy has been busy for a while: let it be over.
            world.ask(repeat=min(100, max(1, int(2 / once_s))))
        for number in range(rounds):
            for library in LIBRARIES[:: 1 if number % 2 else -1]:
                seconds[library].append(max(worlds[library].ask(repeat=repeat[library], clock=clock)))
        memory = {library: max(world.ask(memory=1)) for library, world in worlds.items()}
    finally:
        for world in worlds.values():
            world.close()
    ratios = [theirs / ours for theirs, ours in zip(seconds["torch"], seconds["distrt"], strict=True)]
    return {
        "case": case,
        "ranks": size,
        "torch_ms": statistics.median(seconds["torch"]) * 1e3,
        "distrt_ms": statistics.median(seconds["distrt"]) * 1e3,
        "ratio": statistics.median(ratios),
        "ratio_low": min(ratios),
        "ratio_high": max(ratios),
        "torch_peak_mb": memory["torch"] / 1e6,
        "distrt_peak_mb": memory["distrt"] / 1e6,
        "rounds": rounds,
        "clock": clock,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=list(MODES))
    parser.add_argument("--dtypes", nargs="+", default=list(DTYPES), choices=DTYPES)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--round-s", type=float, default=1.0, help="seconds of one library's turn")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--output", type=Path, help="a JSON file for the record")
    parser.add_argument("--rank-of", choices=LIBRARIES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.rank_of:
        be_a_rank(args.rank_of)
        return
    if args.clock == "processor" and any(MODES[mode] > 1 for mode in args.modes):
        parser.error("the processor's clock does not see ranks wait: name --modes of one process")
    print(f"{'case':>20} {'PyTorch ms':>11} {'distrt ms':>11} {'ratio':>6}  (lowest - highest)  peak MB")
    rows = []
    for mode, dtype, model in product(args.modes, args.dtypes, args.models):
        row = measure(f"{model} {mode} {dtype}", MODES[mode], args.rounds, args.round_s, args.clock)
        rows.append(row)
        print(
            f"{row['case']:>20} {row['torch_ms']:11.2f} {row['distrt_ms']:11.2f} {row['ratio']:6.2f}"
            f"  ({row['ratio_low']:.2f} - {row['ratio_high']:.2f})"
            f"  {row['torch_peak_mb']:.0f} / {row['distrt_peak_mb']:.0f}",
            flush=True,
        )
    if args.output:
        write_record(args.output, "Training steps", 2, rows)


if __name__ == "__main__":
    main()
