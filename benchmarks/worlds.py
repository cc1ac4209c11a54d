"""Worlds of ranks side by side, such as one of PyTorch and one of distrt, measured in turns.

A benchmark is a file that calls ``main`` with a function that sets up one case in a rank. The ranks of all worlds
live through the whole run; those of a world whose turn it is not sleep on a pipe. Rounds alternate, each round
gives one ratio, and the medians over rounds are shown: on a shared machine one figure proves nothing.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from socket import create_server
from types import ModuleType

LIBRARIES = ("torch", "distrt")

#: Sets up one case in a rank: (the library, the case's name) -> a function that does the work once.
Setup = Callable[[ModuleType, str], Callable[[], None]]


class World:
    """The ranks of one library, each a process that waits for commands.

    Args:
        script: the benchmark; it is started with ``--rank-of LIBRARY`` in every rank.
        library: what the ranks import.
        size: how many ranks.
        environment: further variables of theirs.
        prefixes: what goes before the command of each.
        environments: further variables of each.
        address: where rank 0 is reached.
    """

    def __init__(
        self,
        script: str,
        library: str,
        size: int,
        environment: Mapping[str, str] | None = None,
        prefixes: Sequence[Sequence[str]] | None = None,
        environments: Sequence[Mapping[str, str]] | None = None,
        address: str = "127.0.0.1",
    ) -> None:
        with create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        threads = str(max(1, len(os.sched_getaffinity(0)) // size))
        shared = {"MASTER_ADDR": address, "MASTER_PORT": str(port), "WORLD_SIZE": str(size)}
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        self.ranks = [
            subprocess.Popen(
                [*(prefixes[rank] if prefixes else ()), sys.executable, script, "--rank-of", library],
                env={
                    **os.environ,
                    **shared,
                    **limits,
                    **(environment or {}),
                    **(environments[rank] if environments else {}),
                    "RANK": str(rank),
                    "LOCAL_RANK": str(rank),
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in range(size)
        ]

    def ask(self, **command: object) -> list[float]:
        """Sends a command to every rank and returns their answers."""
        for rank in self.ranks:
            assert rank.stdin is not None
            rank.stdin.write(json.dumps(command) + "\n")
            rank.stdin.flush()
        answers = []
        for number, rank in enumerate(self.ranks):
            assert rank.stdout is not None
            line = rank.stdout.readline()
            if not line:
                raise RuntimeError(f"rank {number} ended with exit code {rank.wait()}; its error is above")
            answers.append(float(line))
        return answers

    def close(self) -> None:
        """Ends the ranks: they leave when their pipe closes."""
        for rank in self.ranks:
            if rank.stdin is not None:
                with suppress(BrokenPipeError):  # it has failed
                    rank.stdin.close()
        for rank in self.ranks:
            try:
                rank.wait(10)
            except subprocess.TimeoutExpired:
                rank.kill()
                rank.wait()
            if rank.stdout is not None:
                rank.stdout.close()


def answer_commands(prepare: Callable[[str], Callable[[], None]], meet: Callable[[], object]) -> None:
    """A rank's life, until the pipe closes: prepare a case, or time some repetitions of it after all have met."""
    work: Callable[[], None] = lambda: None  # noqa: E731
    for line in sys.stdin:
        command = json.loads(line)
        if "case" in command:
            work = prepare(command["case"])
        meet()
        start = time.perf_counter()
        for _ in range(command["repeat"]):
            work()
        print((time.perf_counter() - start) / max(1, command["repeat"]), flush=True)


def be_a_rank(library: str, setup: Setup) -> None:
    """The life of a rank of PyTorch or distrt."""
    module = import_module(library)
    distributed = import_module(f"{library}.distributed")
    import_module(f"{library}.nn.parallel")
    if library == "torch":
        module.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    distributed.init_process_group("gloo")
    answer_commands(lambda case: setup(module, case), distributed.barrier)
    distributed.destroy_process_group()


def times(worlds: dict[str, World], case: str, rounds: int, round_s: float) -> dict[str, list[float]]:
    """Seconds of one case in every round of every world, in turns; a turn takes about ``round_s`` seconds."""
    repeat = {}
    for name, world in worlds.items():
        world.ask(case=case, repeat=3)
        once_s = max(world.ask(repeat=5))
        repeat[name] = max(1, min(10_000, int(round_s / once_s)))
    seconds: dict[str, list[float]] = {name: [] for name in worlds}
    for number in range(rounds):
        for name in list(worlds)[:: 1 if number % 2 else -1]:
            seconds[name].append(max(worlds[name].ask(repeat=repeat[name])))
    return seconds


def measure(worlds: dict[str, World], case: str, rounds: int, round_s: float) -> dict[str, object]:
    """One case's row: PyTorch beside the others."""
    seconds = times(worlds, case, rounds, round_s)
    row: dict[str, object] = {"case": case, "rounds": rounds}
    row |= {f"{name}_ms": statistics.median(each) * 1e3 for name, each in seconds.items()}
    for name, key in (("distrt", "ratio"), ("floor", "floor_ratio")):
        if name in seconds:
            ratios = [theirs / ours for theirs, ours in zip(seconds["torch"], seconds[name], strict=True)]
            row |= {key: statistics.median(ratios), f"{key}_low": min(ratios), f"{key}_high": max(ratios)}
    return row


def main(
    title: str, script: str, cases: Sequence[str], setup: Setup, ranks: int = 2, floor: Setup | None = None
) -> None:
    """Runs the benchmark from the command line: prints a table, and writes JSON with ``--output``.

    Args:
        title: of the table.
        script: the benchmark's file.
        cases: their names.
        setup: of a case.
        ranks: how many by default.
        floor: sets up what no library could leave out, done with distrt's parts; measured in turns with the libraries.
    """
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--ranks", type=int, default=ranks)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--round-s", type=float, default=0.3, help="seconds of one library's turn")
    parser.add_argument("--cases", nargs="+", default=list(cases), metavar="CASE", help=", ".join(cases))
    parser.add_argument("--output", type=Path, help="a JSON file for the record")
    parser.add_argument("--rank-of", choices=(*LIBRARIES, "floor"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.rank_of == "floor" and floor is not None:
        be_a_rank("distrt", floor)
        return
    if args.rank_of:
        be_a_rank(args.rank_of, setup)
        return
    try:
        torch_version = import_module("torch").__version__
    except ModuleNotFoundError:
        sys.exit("this benchmark compares with PyTorch: pip install torch==2.13.0")
    names = LIBRARIES if floor is None else (*LIBRARIES, "floor")
    worlds = {name: World(script, name, args.ranks) for name in names}
    rows = []
    try:
        print(
            f"{title}; {args.ranks} ranks, PyTorch {torch_version} with gloo, medians of {args.rounds} rounds"
        )
        print(f"{'case':>28} {'PyTorch ms':>12} {'distrt ms':>12} {'ratio':>7}  (lowest - highest)")
        for case in args.cases:
            row = measure(worlds, case, args.rounds, args.round_s)
            rows.append(row)
            print(
                f"{case:>28} {row['torch_ms']:12.4f} {row['distrt_ms']:12.4f} {row['ratio']:7.2f}"
                f"  ({row['ratio_low']:.2f} - {row['ratio_high']:.2f})",
                flush=True,
            )
            if floor is not None:
                print(
                    f"{'what none can leave out':>28} {'':>12} {row['floor_ms']:12.4f} {row['floor_ratio']:7.2f}"
                    f"  ({row['floor_ratio_low']:.2f} - {row['floor_ratio_high']:.2f})",
                    flush=True,
                )
    finally:
        for world in worlds.values():
            world.close()
    if args.output:
        write_record(args.output, title, args.ranks, rows)


def write_record(path: Path, title: str, ranks: int, rows: Sequence[Mapping[str, object]]) -> None:
    """Writes the rows, and where and when they were measured."""
    record = {
        "title": title,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"processor": _processor(), "cores": len(os.sched_getaffinity(0))},
        "versions": {"python": platform.python_version(), "torch": import_module("torch").__version__},
        "ranks": ranks,
        "rows": rows,
    }
    path.write_text(json.dumps(record, indent=2) + "\n")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
