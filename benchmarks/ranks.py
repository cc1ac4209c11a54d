"""One job of distrt's ranks, measured from inside: for benchmarks that compare distrt with itself.

A benchmark is a file that calls ``main`` with what every rank does, and with what is shown of it. Ranks have one
thread each. (``worlds.py`` is for benchmarks that compare libraries.)
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_FOUND = "found:"


def main(
    description: str,
    measure: Callable[[int], Any],
    show: Callable[[argparse.Namespace], dict[str, Any]],
    *,
    rounds: int,
    ranks: int | None = 2,
) -> None:
    """Runs the benchmark from the command line, and writes JSON with ``--output``.

    Args:
        description: the benchmark's docstring.
        measure: called in every rank, with the number of rounds; what it gives on rank 0 is found. JSON takes it.
        show: called with the command line's options, outside of the ranks: has ``run`` find something, prints it, and
            returns the record.
        rounds: how many rounds by default.
        ranks: how many ranks by default; None where that is not to be chosen.
    """
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    if ranks is not None:
        parser.add_argument("--ranks", type=int, default=ranks)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--output", type=Path, help="a JSON file for the record")
    parser.add_argument("--be-a-rank", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.be_a_rank:
        _be_a_rank(measure, args.rounds)
        return
    record = show(args)
    if args.output:
        args.output.write_text(json.dumps({"cores": cores(), **record}, indent=2) + "\n")


def run(script: str, ranks: int, rounds: int) -> Any:
    """Starts the benchmark's ranks, and returns what they found.

    Raises:
        SystemExit: they failed; says what they wrote.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = ["--nproc-per-node", str(ranks), "--run-dir", folder]
        done = subprocess.run(
            [sys.executable, "-m", "launch", *options, script, "--be-a-rank", "--rounds", str(rounds)],
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
    if done.returncode:
        sys.exit(f"{script}: its ranks failed with exit code {done.returncode}:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.rpartition(_FOUND)[2].splitlines()[0])


def _be_a_rank(measure: Callable[[int], Any], rounds: int) -> None:
    import distrt.distributed as dist

    dist.init_process_group()
    found = measure(rounds)
    if dist.get_rank() == 0:
        print(_FOUND, json.dumps(found))
    dist.destroy_process_group()


def compare(found: Mapping[str, list[tuple[float, float]]], plain: str, other: str) -> dict[str, Any]:
    """Prints and returns how long one way takes beside another, case by case.

    Args:
        found: milliseconds of the plain way and of the other, in every round.
        plain: the plain way's name.
        other: the other's.
    """
    cases = {}
    for case, pairs in found.items():
        before, after = (statistics.median(each) for each in zip(*pairs, strict=True))
        ratios = [theirs / ours for ours, theirs in pairs]
        ratio = statistics.median(ratios)
        print(
            f"{case:24} {plain} {before:7.1f} ms, {other} {after:7.1f} ms: {ratio:.3f} times "
            f"({min(ratios):.3f} - {max(ratios):.3f})"
        )
        cases[case] = {f"{plain}_and_{other}_ms": pairs, "ratio": ratio}
    return cases


def cores() -> int:
    """How many cores the ranks have."""
    return len(os.sched_getaffinity(0))


# -- in a rank


def ms(work: Callable[[], object], repeat: int = 1, *, meets_after: bool = True) -> float:
    """Milliseconds of one ``work()``, begun by all ranks at once.

    Args:
        work: what is measured.
        repeat: how often it is done.
        meets_after: until the last rank has done it; else this rank's own time.
    """
    import distrt.distributed as dist

    dist.barrier()
    start = time.perf_counter()
    for _ in range(repeat):
        work()
    if meets_after:
        dist.barrier()
    return (time.perf_counter() - start) * 1e3 / repeat


def in_turns(
    works: Mapping[str, Callable[[], object]], rounds: int, repeat: int = 1, warm_up: int = 2
) -> dict[str, list[float]]:
    """Milliseconds of each work in every round; in every second round they take turns the other way round."""
    for work in (*works.values(),) * warm_up:
        work()
    found: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds):
        for name in list(works)[:: 1 if number % 2 else -1]:
            found[name].append(ms(works[name], repeat))
    return found
