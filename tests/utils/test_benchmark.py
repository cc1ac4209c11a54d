"""Timers, and texts and tables of measurements, which are PyTorch's to the letter."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Any

import pytest

import distrt

TIMES = {
    "one": [6.32e-6],
    "three": [1e-3, 1.1e-3, 1.2e-3],
    "five, of which one is far off": [1e-3, 1.1e-3, 1.2e-3, 1.3e-3, 5e-3],
    "seconds": [1.0, 1.01, 1.02, 1.3],
    "nanoseconds": [1e-8, 1.01e-8, 1.02e-8, 1.03e-8],
    "all over the place": [1e-3, 2e-3, 5e-3, 7e-3],
}
TASKS: list[dict[str, Any]] = [
    {"label": "mm", "sub_label": "a", "description": "d"},
    {"num_threads": 2},
    {"stmt": "a\nb", "setup": "q = 1"},
    {"stmt": "x @ x", "sub_label": "s", "setup": "if 1:\n  q = 1", "env": "here"},
]


def measured(benchmark: Any, times: list[float], runs: int = 10, **task: Any) -> Any:
    spec = benchmark.TaskSpec(**{"stmt": "x @ x", "setup": "pass", "num_threads": 1, **task})
    return benchmark.Measurement(runs, [time * runs for time in times], spec)


def _told(benchmark: Any, times: list[float], task: dict[str, Any]) -> Any:
    found = measured(benchmark, times, **task)
    numbers = (
        found.mean,
        found.median,
        found.iqr,
        found.significant_figures,
        found.has_warnings,
        found.times,
    )
    words = (
        found.title,
        found.env,
        found.as_row_name,
        found.stmt,
        found.num_threads,
        found.meets_confidence(),
    )
    return re.sub(r"<.*>", "<>", repr(found)), numbers, words


@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES)
@pytest.mark.parametrize("task", TASKS, ids=["labels", "threads", "lines", "setup"])
def test_measurements_are_told_as_pytorch_tells_them(
    torch: Any, times: list[float], task: dict[str, Any]
) -> None:
    ours, theirs = (importlib.import_module(f"{each.__name__}.utils.benchmark") for each in (distrt, torch))
    assert _told(ours, times, task) == _told(theirs, times, task)


def _grid(benchmark: Any) -> list[Any]:
    return [
        measured(
            benchmark,
            [time, time * 1.01, time * 1.02],
            label="matmul",
            sub_label=size,
            description=name,
            num_threads=threads,
        )
        for threads in (1, 2)
        for size, first in (("[16]", 1e-6), ("[1024]", 6e-2))
        for name, time in (("plain", first), ("a longer name", first * 3))
    ]


def _two(benchmark: Any, **tasks: Any) -> list[Any]:
    first, second = ({name: each[at] for name, each in tasks.items()} for at in range(2))
    return [measured(benchmark, [1e-5], **first), measured(benchmark, [2e-3, 4e-3, 9e-3, 1e-2], **second)]


TABLES: dict[str, Callable[[Any], list[Any]]] = {
    "whole": _grid,
    "with a gap": lambda b: _grid(b)[:3],
    "twice the same task": lambda b: [*_grid(b)[:2], *_grid(b)[:2]],
    "without labels": lambda b: _two(b, description=("one", "two"), stmt=("x", "y")),
    "of two labels": lambda b: _two(b, description=("one", "two"), label=("l", "k"), sub_label=("r", "r")),
    "of one row": lambda b: _two(b, description=("one", "two"), label=("l", "l"), sub_label=("r", "r")),
}
LOOKS = ("", "trim_significant_figures()", "colorize()", "colorize(rowwise=True)", "highlight_warnings()")


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("table", TABLES)
def test_tables_are_pytorchs(torch: Any, table: str, look: str) -> None:
    printed = []
    for library in (distrt, torch):
        benchmark = importlib.import_module(f"{library.__name__}.utils.benchmark")
        compare = benchmark.Compare(TABLES[table](benchmark))
        if look:
            eval(f"compare.{look}")
        printed.append(str(compare))
    assert printed[0] == printed[1]


def test_small_helpers_are_pytorchs(torch: Any) -> None:
    told, rounded = [], []
    for library in (distrt, torch):
        benchmark = importlib.import_module(f"{library.__name__}.utils.benchmark")
        units = [benchmark.select_unit(time) for time in (1e-9, 5e-7, 1e-6, 2e-3, 0.5, 1, 30)]
        told.append((units, benchmark.unit_to_english("us"), benchmark.ordered_unique([2, 1, 2])))
        rounded.append([benchmark.trim_sigfig(value, 2) for value in (123.456, 0.00123, 9.99, -55.0)])
    assert told[0] == told[1]
    assert rounded[0] == pytest.approx(rounded[1], rel=1e-6)  # PyTorch rounds in float32


def test_a_timer_runs_the_statement_with_its_threads_and_names() -> None:
    from distrt.utils import benchmark

    seen: list[int] = []
    timer = benchmark.Timer(
        "seen.append(torch.get_num_threads())", globals={"seen": seen}, num_threads=2, label="q"
    )
    before = distrt.get_num_threads()
    once = timer.timeit(3)
    assert (once.number_per_run, len(once.raw_times), len(seen), set(seen)) == (3, 1, 5, {2})
    assert once.label == "q" and once.num_threads == 2
    blocks = timer.blocked_autorange(min_run_time=0.01)
    assert sum(blocks.raw_times) >= 0.01 and blocks.raw_times[0] >= 0.001
    many = timer.adaptive_autorange(threshold=0.5, min_run_time=0.001, max_run_time=0.05)
    assert many.raw_times and distrt.get_num_threads() == before


def test_what_is_not_there_says_so() -> None:
    from distrt.utils import benchmark

    with pytest.raises(NotImplementedError, match="compiles no C"):
        benchmark.Timer("x", language="c++")
    with pytest.raises(NotImplementedError, match="callgrind"):
        benchmark.Timer("x").collect_callgrind()
    with pytest.raises(ValueError, match="Expected an instance of `Measurement`"):
        benchmark.Compare([1])  # type: ignore[list-item]
