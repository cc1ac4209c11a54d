"""``Measurement``: the times that a timer has taken, and what it was asked to time."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

__all__ = ["Measurement", "TaskSpec", "ordered_unique", "select_unit", "trim_sigfig", "unit_to_english"]

_CLOCK_S = 25e-9  # no measurement is better than this
_UNITS = {
    "ns": ("nanosecond", 1e-9),
    "us": ("microsecond", 1e-6),
    "ms": ("millisecond", 1e-3),
    "s": ("second", 1),
}
_SURE = 1.645  # so many standard errors hold 90 % of a normal distribution
_MANY, _FEW = 0.25, 0.1  # spreads, as parts of the median, that draw a warning


@dataclasses.dataclass(init=True, repr=False, eq=True, frozen=True)
class TaskSpec:
    """What is timed, and the words for it in texts and tables."""

    stmt: str
    setup: str
    global_setup: str = ""
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    env: str | None = None
    num_threads: int = 1

    @property
    def title(self) -> str:
        """The label, or the statement."""
        if self.label is not None:
            return self.label + (f": {self.sub_label}" if self.sub_label else "")
        if "\n" not in self.stmt:
            return self.stmt + (f": {self.sub_label}" if self.sub_label else "")
        under = f"{self.sub_label}\n" if self.sub_label else ""
        return f"stmt:{under}\n{textwrap.indent(self.stmt, '  ')}"

    def setup_str(self) -> str:
        """The setup, where there is one."""
        if self.setup == "pass" or not self.setup:
            return ""
        return (
            f"setup:\n{textwrap.indent(self.setup, '  ')}" if "\n" in self.setup else f"setup: {self.setup}"
        )

    def summarize(self) -> str:
        """Title, description and setup."""
        parts = [self.title, self.description or "", self.setup_str()]
        return "\n".join(f"{each}\n" if "\n" in each else each for each in parts if each)


_TASK_SPEC_FIELDS = tuple(field.name for field in dataclasses.fields(TaskSpec))


@dataclasses.dataclass(init=True, repr=False)
class Measurement:
    """Times of one statement.

    Attributes:
        number_per_run: how often it ran for each of the times.
        raw_times: seconds, each of ``number_per_run`` runs.
        task_spec: what was timed. Its fields are attributes of the measurement, too.
        metadata: whatever goes with it.
    """

    number_per_run: int
    raw_times: list[float]
    task_spec: TaskSpec
    metadata: dict[Any, Any] | None = None

    def __getattr__(self, name: str) -> Any:
        if name in _TASK_SPEC_FIELDS:
            return getattr(self.task_spec, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def times(self) -> list[float]:
        """Seconds of a single run, one for each time."""
        return [time / self.number_per_run for time in self.raw_times]

    @property
    def mean(self) -> float:
        """Of the times."""
        return float(np.mean(self._some))

    @property
    def median(self) -> float:
        """Of the times."""
        return self._quantile(0.5)

    @property
    def iqr(self) -> float:
        """What lies between the quartiles."""
        return self._quantile(0.75) - self._quantile(0.25)

    @property
    def significant_figures(self) -> int:
        """How many digits of the median mean something: the interval of the mean's likely values tells."""
        times = sorted(self._some)
        middle = times[len(times) // 4 : math.ceil(len(times) * 3 / 4)]
        interval = max(_SURE * float(np.std(middle)) / math.sqrt(len(middle)), _CLOCK_S)
        return max(min(math.floor(math.log10(self.median / interval)), 5), 1)

    @property
    def has_warnings(self) -> bool:
        """Whether the times vary much."""
        return bool(self._warning())

    @property
    def title(self) -> str:
        """The label, or the statement."""
        return self.task_spec.title

    @property
    def env(self) -> str | None:
        """Where it was measured, as the user has called it."""
        return self.task_spec.env

    @property
    def as_row_name(self) -> str:
        """What stands before a table's row."""
        return self.task_spec.sub_label or self.task_spec.stmt or "[Unknown]"

    def meets_confidence(self, threshold: float = _FEW) -> bool:
        """Whether the times lie close together: half of them within this part of the median."""
        return self.iqr / self.median < threshold

    @staticmethod
    def merge(measurements: Iterable[Measurement]) -> list[Measurement]:
        """One measurement for each task, of all its times."""
        found: dict[TaskSpec, list[Measurement]] = {}
        for each in measurements:
            found.setdefault(each.task_spec, []).append(each)
        return [
            Measurement(1, [time for one in group for time in one.times], task)
            for task, group in found.items()
        ]

    @property
    def _some(self) -> list[float]:
        if not self.raw_times:
            raise ValueError("This measurement has no times.")
        return self.times

    def _quantile(self, part: float) -> float:
        return float(np.quantile(np.array(self._some), part))

    def _warning(self) -> str:
        part = self.iqr / self.median
        if part < _FEW:
            return ""
        much = (
            "could indicate system fluctuation."
            if part < _MANY
            else "suggests significant environmental influence."
        )
        return f"  WARNING: Interquartile range is {part * 100:.1f}% of the median measurement.\n           This {much}"

    def __repr__(self) -> str:
        unit, scale = select_unit(self.median)
        count = len(self.raw_times)
        lines = [object.__repr__(self), self.task_spec.summarize()]
        lines.append(f"  {'Median: ' if count > 1 else ''}{self.median / scale:.2f} {unit}")
        if count >= 4:  # fewer have no quartiles to speak of
            first, third = self._quantile(0.25) / scale, self._quantile(0.75) / scale
            lines.append(f"  IQR:    {self.iqr / scale:.2f} {unit} ({first:.2f} to {third:.2f})")
        runs = f"{self.number_per_run} runs {'per measurement,' if count > 1 else ','}"
        threads = f"{self.num_threads} thread{'s' if self.num_threads > 1 else ''}"
        lines.append(f"  {count} measurement{'s' if count > 1 else ''}, {runs} {threads}")
        return "\n".join([*lines, *filter(None, [self._warning()])])


def select_unit(t: float) -> tuple[str, float]:
    """The unit that suits a time in seconds, and how many seconds it has."""
    unit = {-3: "ns", -2: "us", -1: "ms"}.get(int(math.log10(t) // 3), "s")
    return unit, _UNITS[unit][1]


def unit_to_english(u: str) -> str:
    """A unit's whole name."""
    return _UNITS[u][0]


def trim_sigfig(x: float, n: int) -> float:
    """A number rounded to ``n`` significant digits."""
    assert n == int(n)
    scale = 10.0 ** (math.ceil(math.log10(abs(x))) - n) if x else 1.0
    return float(round(x / scale) * scale)


def ordered_unique(elements: Iterable[Any]) -> list[Any]:
    """The elements, each once, in the order in which they come first."""
    seen: Iterator[Any] = iter(dict.fromkeys(elements))
    return list(seen)
