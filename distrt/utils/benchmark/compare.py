"""``Compare``: tables of measurements, with a row for each sub-label and a column for each description."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from distrt.utils.benchmark.measurement import (
    Measurement,
    ordered_unique,
    select_unit,
    trim_sigfig,
    unit_to_english,
)

__all__ = ["Compare"]

_INDENT = 6
_HARDLY_S = 100e-9  # nobody sees a difference of so many seconds
_BEST, _GOOD, _BAD, _VERY_BAD, _BOLD, _DIM, _END = (f"\033[{code}m" for code in (92, 34, 91, 31, 1, 2, 0))
_Cells = Sequence[Measurement | None]


class Compare:
    """Puts measurements side by side, a table for each label.

    Args:
        results: what timers gave. Those of one task count as one.
    """

    def __init__(self, results: Iterable[Measurement]) -> None:
        self._results: list[Measurement] = []
        self.extend_results(results)
        self._trims = False
        self._colours, self._rowwise = False, False
        self._highlights = False

    def __str__(self) -> str:
        return "\n".join(self._render())

    def extend_results(self, results: Iterable[Measurement]) -> None:
        """Takes in more of them.

        Raises:
            ValueError: for what is no measurement.
        """
        for each in results:
            if not isinstance(each, Measurement):
                raise ValueError(f"Expected an instance of `Measurement`, got {type(each)} instead.")
            self._results.append(each)

    def trim_significant_figures(self) -> None:
        """Leaves out digits that mean nothing."""
        self._trims = True

    def colorize(self, rowwise: bool = False) -> None:
        """Colours what is fast and what is slow in its row, or in its part of the table."""
        self._colours, self._rowwise = True, rowwise

    def highlight_warnings(self) -> None:
        """Marks the times that vary much with ``(! XX%)``."""
        self._highlights = True

    def print(self) -> None:
        """Writes the tables."""
        print(str(self))

    def _render(self) -> list[str]:
        merged = Measurement.merge(self._results)
        tables: dict[str, list[Measurement]] = {}
        for each in merged:
            tables.setdefault(each.label or "", []).append(each)
        return [self._table(label, group) for label, group in tables.items()]

    def _table(self, title: str, results: list[Measurement]) -> str:
        unit, scale = select_unit(min(each.median for each in results))
        heads = ordered_unique(each.description for each in results)
        places = {each.env for each in results}
        rows = ordered_unique((each.num_threads, each.env, each.as_row_name) for each in results)
        rows.sort(key=lambda row: row[0])
        cells = {(each.num_threads, each.env, each.as_row_name, each.description): each for each in results}
        grid: list[_Cells] = [[cells.get((*row, head)) for head in heads] for row in rows]
        names = [
            " " * _INDENT + (f"({place})  {name}" if len(places) > 1 else name) for _, place, name in rows
        ]
        columns = [
            _Column(head, [row[at] for row in grid], scale, self._trims, self._highlights)
            for at, head in enumerate(heads)
        ]
        wide = max(map(len, names))
        start = [f"{'':<{wide}}  |  " + "  |  ".join(column.head.center(column.width) for column in columns)]
        total = len(start[0])
        lines = [f"[{f' {title} '.center(total - 2, '-')}]", *start]
        threads = None
        for (count, *_), name, row in zip(rows, names, grid, strict=True):
            if count != threads:
                lines.append(f"{f'{count} threads: ':-<{total}}")
                threads = count
            texts = [
                self._painted(column.text(each), each, row if self._rowwise else column.cells)
                for column, each in zip(columns, row, strict=True)
            ]
            lines.append(f"{name:<{wide}}  |  " + "  |  ".join(texts))
        lines += ["", f"Times are in {unit_to_english(unit)}s ({unit})."]
        if self._highlights and any(each.has_warnings for each in results):
            lines.append("(! XX%) Measurement has high variance, where XX is the IQR / median * 100.")
        return "\n".join(lines) + "\n"

    def _painted(self, text: str, measured: Measurement | None, peers: _Cells) -> str:
        if measured is None or not self._colours:
            return text
        best, time = min(each.median for each in peers if each is not None), measured.median
        if time <= best * 1.01 or time <= best + _HARDLY_S:
            codes = _BEST + _BOLD
        elif time <= best * 1.1:
            codes = _GOOD + _BOLD
        elif time >= best * 5:
            codes = _VERY_BAD + _BOLD
        elif time >= best * 2:
            codes = _DIM + _BAD
        else:
            return text
        return f"{codes}{text}{_END}{_END}"


class _Column:
    """One column: its head, and how wide its numbers are."""

    def __init__(self, head: str | None, cells: _Cells, scale: float, trims: bool, highlights: bool) -> None:
        self.head, self.cells = head or "", cells
        self._scale, self._trims = scale, trims
        found = [each for each in cells if each is not None]
        self._decimals = 1
        if trims:
            whole = [max(math.ceil(math.log10(each.median / scale)), 1) for each in found]
            spare = [
                max(each.significant_figures - count, 0) for each, count in zip(found, whole, strict=True)
            ]
            self._decimals = min([1, *spare])
        self._number = max((len(self._rounded(each)) for each in found), default=1)
        self._mark = max((len(_mark(each)) for each in found), default=0) if highlights else 0
        self.width = max(self._number + self._mark, len(self.head))

    def text(self, measured: Measurement | None) -> str:
        """One number, as wide as the column."""
        if measured is None:
            return " " * self.width
        mark = f"{_mark(measured):>{self._mark}}" if self._mark else ""
        return f"{self._rounded(measured):>{self._number}}{mark}".center(self.width)

    def _rounded(self, measured: Measurement) -> str:
        value = measured.median / self._scale
        if self._trims:
            value = trim_sigfig(value, measured.significant_figures)
        return f"{value:.{self._decimals}f}"


def _mark(measured: Measurement) -> str:
    """What stands after a time that varies much."""
    return f" (! {measured.iqr / measured.median * 100:.0f}%)" if measured.has_warnings else ""
