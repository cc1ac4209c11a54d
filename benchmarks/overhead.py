"""What watching costs a training step: of one process, by processor time, in turns with the step that nobody watches.

A benchmark is a file that calls ``main`` with its cases: ``profiling.py``, ``run_record.py``. (``ranks.py`` is for
benchmarks of several ranks.)
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from ranks import compare, cores


class Case(NamedTuple):
    """A step, and who watches it.

    Attributes:
        name: what the record calls it.
        step: one step of training.
        watched: makes what is entered while the step is watched.
        repeat: how many steps are measured at once.
    """

    name: str
    step: Callable[[], object]
    watched: Callable[[], AbstractContextManager[object]]
    repeat: int


def main(description: str, cases: Callable[[], Iterable[Case]], *, rounds: int) -> None:
    """Runs the benchmark from the command line, and writes JSON with ``--output``.

    Args:
        description: the benchmark's docstring.
        cases: makes them, one after the other.
        rounds: how many by default.
    """
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--output", type=Path, help="a JSON file for the record")
    args = parser.parse_args()
    found = {}
    for case in cases():
        found |= compare({case.name: _in_turns(case, args.rounds)}, "plain", "watched")
    if args.output:
        record = {"cores": cores(), "clock": "processor time of a step", "cases": found}
        args.output.write_text(json.dumps(record, indent=2) + "\n")


def _in_turns(case: Case, rounds: int) -> list[tuple[float, float]]:
    """Milliseconds of the plain step and of the watched one; in every second round the other way round."""
    _cpu_ms(case.step, 3 * case.repeat)
    pairs = []
    for number in range(rounds):
        before = _cpu_ms(case.step, case.repeat) if number % 2 else None
        with case.watched():
            watched = _cpu_ms(case.step, case.repeat)
        pairs.append((_cpu_ms(case.step, case.repeat) if before is None else before, watched))
    return pairs


def _cpu_ms(step: Callable[[], object], repeat: int) -> float:
    began = time.process_time()
    for _ in range(repeat):
        step()
    return (time.process_time() - began) * 1e3 / repeat
