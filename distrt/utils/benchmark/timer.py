"""``Timer``: times a statement with a given number of threads, in blocks that are long enough to be timed."""

from __future__ import annotations

import contextlib
import textwrap
import timeit
from collections.abc import Callable, Iterator
from time import perf_counter as timer
from typing import Any, NoReturn

from distrt.core.errors import UnsupportedError
from distrt.core.process.settings import get_num_threads, set_num_threads
from distrt.utils.benchmark.measurement import Measurement, TaskSpec

__all__ = ["Timer", "set_torch_threads", "timer"]

_LEAST_BLOCK_S = 0.001  # shorter blocks are longer for the clock than for the statement
_OVERHEAD = 1e-4  # how much of a block the timer itself may take


@contextlib.contextmanager
def set_torch_threads(n: int) -> Iterator[None]:
    """As many threads for operations while the block runs."""
    before = get_num_threads()
    try:
        set_num_threads(n)
        yield
    finally:
        set_num_threads(before)


class Timer:
    """Times a statement.

    Args:
        stmt: Python, run in a loop.
        setup: run once before each loop.
        global_setup: for C++; must be empty.
        timer: gives seconds.
        globals: what both see; ``torch`` is distrt unless it says otherwise.
        label, sub_label, description, env: words for tables: the title, the row, the column, the place.
        num_threads: threads for operations.
        language: Python.

    Raises:
        UnsupportedError: for another language.
    """

    _timer_cls = timeit.Timer

    def __init__(
        self,
        stmt: str = "pass",
        setup: str = "pass",
        global_setup: str = "",
        timer: Callable[[], float] = timer,
        globals: dict[str, Any] | None = None,
        label: str | None = None,
        sub_label: str | None = None,
        description: str | None = None,
        env: str | None = None,
        num_threads: int = 1,
        language: str | int = "python",
    ) -> None:
        if not isinstance(stmt, str):
            raise ValueError(
                f"Currently only a `str` stmt is supported: expected one, got {type(stmt).__name__}"
            )
        if str(language).lower() not in ("python", "py", "0") or global_setup:
            raise UnsupportedError("distrt.utils.benchmark times Python statements: it compiles no C++")
        import distrt

        stmt, setup = textwrap.dedent(stmt).strip(), textwrap.dedent(setup).strip() or "pass"
        self._globals = {"torch": distrt, **(globals or {})}
        self._timer = self._timer_cls(stmt, setup, timer, self._globals)
        self._task_spec = TaskSpec(stmt, setup, "", label, sub_label, description, env, num_threads)

    def timeit(self, number: int = 1_000_000) -> Measurement:
        """Runs the statement ``number`` times, after a hundredth of them to warm up."""
        with set_torch_threads(self._task_spec.num_threads):
            self._time(max(int(number // 100), 2))
            return Measurement(number, [self._time(number)], self._task_spec)

    def blocked_autorange(
        self, callback: Callable[[int, float], NoReturn] | None = None, min_run_time: float = 0.2
    ) -> Measurement:
        """Times blocks of runs until they have taken ``min_run_time`` seconds; a block is long enough for the clock.

        Args:
            callback: is told of each block the number of runs, and its seconds.
            min_run_time: seconds in all.
        """
        with set_torch_threads(self._task_spec.num_threads):
            number = self._estimate_block_size(min_run_time)
            return Measurement(number, self._blocks(number, min_run_time, callback), self._task_spec)

    def adaptive_autorange(
        self,
        threshold: float = 0.1,
        *,
        min_run_time: float = 0.01,
        max_run_time: float = 10.0,
        callback: Callable[[int, float], NoReturn] | None = None,
    ) -> Measurement:
        """Times blocks until half of them lie within ``threshold`` of the median, at most ``max_run_time`` seconds."""
        with set_torch_threads(self._task_spec.num_threads):
            number = self._estimate_block_size(0.05)
            found = Measurement(number, self._blocks(number, min_run_time, callback), self._task_spec)
            while sum(found.raw_times) < max_run_time and not found.meets_confidence(threshold):
                found.raw_times.extend(self._blocks(number, min_run_time, callback))
            return found

    def collect_callgrind(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not there.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(
            "distrt counts no instructions: run the script under valgrind --tool=callgrind"
        )

    def _time(self, number: int) -> float:
        return max(self._timer.timeit(number), 1e-9)

    def _blocks(
        self, number: int, least_s: float, callback: Callable[[int, float], Any] | None
    ) -> list[float]:
        found: list[float] = []
        while not found or sum(found) < least_s:
            found.append(self._time(number))
            if callback is not None:
                callback(number, found[-1])
        return found

    def _estimate_block_size(self, least_s: float) -> int:
        overhead = sorted(timeit.Timer("pass").timeit(0) for _ in range(5))[2]
        number = 1
        while True:
            taken = self._time(number)
            is_long = taken >= max(_LEAST_BLOCK_S, least_s / 1000)
            if (is_long and overhead / taken <= _OVERHEAD) or taken >= least_s:
                return number
            number *= 10
