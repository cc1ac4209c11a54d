"""What a sharded step does, less its waits for other ranks, beside plain DistributedDataParallel; for busy machines.

python benchmarks/sharded_overhead.py [--ranks N] [--rounds N] [--output FILE.json]

The small model of `sharded_step.py`, by phase. Of every way: how many instructions of Python's a rank runs, which is
the same on any machine; and its thread's processor time, in which sums, updates and missed caches count as well.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import ranks
import sharded_step

MODEL = "mlp 784-512-512-10 batch 64"
WAYS = tuple(way for way in sharded_step.WAYS if way != "ZeroRedundancyOptimizer")
PHASES = ("forward", "backward", "step")
_WAITS = {"_look", "_sleep_until"}  # methods of `distrt.comm.progress.Engine`


def measure(rounds: int) -> dict[str, Any]:
    """In every rank: of each way, by phase, instructions and microseconds."""
    import distrt.distributed as dist

    found = {}
    for optimizer_name, (name, options) in sharded_step.OPTIMIZERS.items():
        sizes, batch, _ = sharded_step.MODELS[MODEL]
        made = {way: sharded_step.set_up(way, sizes, batch, name, options) for way in WAYS}
        for _, _, step in made.values():
            for _ in range(15):
                step()
        phases = {way: _phases(model, optimizer, sizes, batch) for way, (model, optimizer, _) in made.items()}
        times: dict[str, list[list[float]]] = {way: [] for way in WAYS}
        waited = _Waited()
        for number in range(rounds):
            for way in WAYS[:: 1 if number % 2 else -1]:
                made[way][2]()  # its own data in the caches
                dist.barrier()
                times[way].append([waited.microseconds_besides(phase) for phase in phases[way]])
        waited.close()
        counts = {
            way: _least([[_instructions(each) for each in phases[way]] for _ in range(12)]) for way in WAYS
        }
        found[optimizer_name] = {"microseconds": times, "instructions": counts}
    return found


def _phases(model: Any, optimizer: Any, sizes: tuple[int, ...], batch: int) -> list[Callable[[], object]]:
    import distrt as torch
    from distrt import nn

    inputs, targets = torch.randn(batch, sizes[0]), torch.randint(0, sizes[-1], (batch,))
    kept: list[Any] = []

    def forward() -> None:
        optimizer.zero_grad()
        kept.append(model(inputs))

    def backward() -> None:
        nn.functional.cross_entropy(kept.pop(), targets).backward()

    def step() -> None:
        optimizer.step()

    return [forward, backward, step]


class _Waited:
    """Processor time, less that in which a rank has looked out for others."""

    def __init__(self) -> None:
        from distrt.comm.progress import Engine

        self._engine: Any = Engine
        self._former = {name: getattr(Engine, name) for name in _WAITS}
        self._waited_s = 0.0
        for name, method in self._former.items():
            setattr(Engine, name, self._timed(method))

    def _timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.thread_time()
            try:
                return method(*args, **kwargs)
            finally:
                self._waited_s += time.thread_time() - start

        return timed

    def microseconds_besides(self, phase: Callable[[], object]) -> float:
        """Of the phase."""
        self._waited_s, start = 0.0, time.thread_time()
        phase()
        return round(
            (time.thread_time() - start - self._waited_s) * 1e6, 1
        )  # few digits: the line has an end

    def close(self) -> None:
        """Let the waits be what they were."""
        for name, method in self._former.items():
            setattr(self._engine, name, method)


def _instructions(phase: Callable[[], object]) -> int:
    count = 0

    def count_one(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "opcode"
        return count_one

    def enter(frame: FrameType, event: str, _: Any) -> Any:
        above: FrameType | None = frame
        while above is not None:
            if above.f_code.co_name in _WAITS:
                return None
            above = above.f_back
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return count_one

    sys.settrace(enter)
    try:
        phase()
    finally:
        sys.settrace(None)
    return count


def _least(rows: list[list[int]]) -> list[int]:
    return [min(column) for column in zip(*rows, strict=True)]


def show(args: argparse.Namespace) -> dict[str, Any]:
    """The table."""
    found = ranks.run(__file__, args.ranks, args.rounds)
    record: dict[str, Any] = {"ranks": args.ranks, "rounds": args.rounds, "cases": {}}
    print(f"{args.ranks} ranks on {ranks.cores()} cores, {MODEL}, medians of {args.rounds} rounds")
    print(f"{'':28} {'instructions':>34} {'us, less waits':>30}  of plain")
    for case, each in found.items():
        print(case)
        rows = record["cases"][case] = {}
        plain = [sum(row) for row in each["microseconds"][WAYS[0]]]
        for way in WAYS:
            counts, times = each["instructions"][way], each["microseconds"][way]
            medians = [statistics.median(column) for column in zip(*times, strict=True)]
            ratios = [sum(row) / base for row, base in zip(times, plain, strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            rows[way] = {
                "instructions": dict(zip(PHASES, counts, strict=True)),
                "us": dict(zip(PHASES, medians, strict=True)),
                "of_plain": middle,
                "quartiles": [low, high],
            }
            by_phase = " ".join(f"{count:7}" for count in (*counts, sum(counts)))
            times_text = " ".join(f"{value:6.0f}" for value in (*medians, sum(medians)))
            print(f"    {way:24} {by_phase:>34} {times_text:>30}  {middle:.3f} ({low:.3f} to {high:.3f})")
    return record


if __name__ == "__main__":
    ranks.main(__doc__, measure, show, rounds=150)
