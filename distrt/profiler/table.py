"""Events as a table of text, with PyTorch's columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from distrt.profiler.activities import DeviceType

__all__ = ["seconds_text", "table"]

_WIDTH = 12  # of a column of numbers
_MARGIN = 4  # beside the longest name
_GAP = "  "
_UNITS = {"s": 1e6, "ms": 1e3, "us": 1.0}
_PREFIXES = ("", "K", "M", "G", "T", "P")
_PLACES = "Source Location"

Column = tuple[str, int, Callable[[Any], str]]


def seconds_text(microseconds: float, unit: str | None = None) -> str:
    """Microseconds with the given unit, or, where it is none, with one that suits them."""
    if unit not in _UNITS:
        unit = next((name for name, size in _UNITS.items() if microseconds >= size), "us")
    return f"{microseconds / _UNITS[unit]:.3f}{unit}"


def bytes_text(count: int) -> str:
    """Bytes with a unit that suits them."""
    for unit, size in (("GB", 2**30), ("MB", 2**20), ("KB", 2**10)):
        if abs(count) >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} B"


def table(
    events: Sequence[Any],
    sort_by: str | None,
    row_limit: int,
    widths: tuple[int, int, int],
    header: str | None,
    top_level_only: bool,
    with_memory: bool,
    with_flops: bool,
    time_unit: str | None,
) -> str:
    """See ``EventList.table``; ``widths`` are the largest ones of names, shapes and lines of source."""
    if not events:
        return ""
    total = sum(each.self_cpu_time_total for each in events)
    of_gpus = (
        sum(each.self_device_time_total for each in events if _is_of_gpu(each))
        if any(each.self_device_time_total > 0 for each in events)
        else None
    )
    rows = list(events)
    if sort_by is not None:
        rows.sort(key=lambda each: getattr(each, _attribute(sort_by)), reverse=True)
    columns = _columns(rows, widths, (total, of_gpus), with_memory, with_flops, time_unit)
    line = _GAP.join("-" * width for _, width, _ in columns) + _GAP
    text = []
    if header is not None:
        text += ["=" * (len(line) - len(_GAP)), header]
    if top_level_only:
        text += ["=" * (len(line) - len(_GAP)), "This report only display top-level ops statistics"]
    text += [line, _row([title for title, _, _ in columns], columns), line]
    shown = [each for each in rows if not (top_level_only and each.cpu_parent is not None)]
    for each in shown if row_limit < 0 else shown[:row_limit]:
        text.append(_row([cell(each) for _, _, cell in columns], columns))
        if columns[-1][0] == _PLACES:
            rest = [""] * (len(columns) - 1)
            text += [
                _row([*rest, _end_of(place, columns[-1][1])], columns) for place in [*each.stack[1:], ""]
            ]
    text += [line, f"Self CPU time total: {seconds_text(total, time_unit)}"]
    if of_gpus is not None:
        text.append(f"Self CUDA time total: {seconds_text(of_gpus, time_unit)}")
    return "\n".join([*text, ""])


def _is_of_gpu(event: Any) -> bool:
    """Whether it is a kernel or a copy: operations have the same time again, and so have blocks with names."""
    return event.device_type is DeviceType.CUDA and not event.is_user_annotation


def _attribute(sort_by: str) -> str:
    """PyTorch's older names of a device's times stand for any device's."""
    return sort_by.replace("cuda", "device").replace("xpu", "device").replace("privateuse1", "device")


def _columns(
    rows: Sequence[Any],
    widths: tuple[int, int, int],
    totals: tuple[float, float | None],
    with_memory: bool,
    with_flops: bool,
    time_unit: str | None,
) -> list[Column]:
    """``totals`` are the CPU's and the GPUs', None without any."""
    total, of_gpus = totals

    def share(value: float) -> str:
        return _share(value, total)

    name_width, shapes_width, source_width = widths
    width = min(max(len(each.key) for each in rows) + _MARGIN, name_width)
    columns: list[Column] = [
        ("Name", width, lambda each: _cut(each.key, name_width)),
        ("Self CPU %", _WIDTH, lambda each: share(each.self_cpu_time_total)),
        ("Self CPU", _WIDTH, lambda each: seconds_text(each.self_cpu_time_total, time_unit)),
        ("CPU total %", _WIDTH, lambda each: share(each.cpu_time_total)),
        ("CPU total", _WIDTH, lambda each: seconds_text(each.cpu_time_total, time_unit)),
        ("CPU time avg", _WIDTH, lambda each: seconds_text(each.cpu_time, time_unit)),
    ]
    if of_gpus is not None:
        columns += _of_gpus(of_gpus, time_unit)
    if with_memory:
        columns.append(("CPU Mem", _WIDTH, lambda each: bytes_text(each.cpu_memory_usage)))
        columns.append(("Self CPU Mem", _WIDTH, lambda each: bytes_text(each.self_cpu_memory_usage)))
        if any(each.use_device and each.self_device_memory_usage > 0 for each in rows):
            columns.append(("CUDA Mem", _WIDTH, lambda each: bytes_text(each.device_memory_usage)))
            columns.append(("Self CUDA Mem", _WIDTH, lambda each: bytes_text(each.self_device_memory_usage)))
    columns.append(("# of Calls", _WIDTH, lambda each: str(each.count)))
    if any(each.input_shapes for each in rows):
        longest = min(max(len(str(each.input_shapes)) for each in rows) + _MARGIN, shapes_width)
        columns.append(("Input Shapes", longest, lambda each: str(each.input_shapes)[:longest]))
    if with_flops and any(each.flops > 0 for each in rows):
        columns.append(_flops(min(each.flops for each in rows if each.flops > 0)))
    if places := [place for each in rows for place in each.stack]:
        far = min(max(map(len, places)) + _MARGIN, source_width)
        columns.append((_PLACES, far, lambda each: _end_of(each.stack[0] if each.stack else "", far)))
    return columns


def _of_gpus(total: float, time_unit: str | None) -> list[Column]:
    return [
        ("Self CUDA", _WIDTH, lambda each: seconds_text(each.self_device_time_total, time_unit)),
        ("Self CUDA %", _WIDTH, lambda each: _share(each.self_device_time_total, total)),
        ("CUDA total", _WIDTH, lambda each: seconds_text(each.device_time_total, time_unit)),
        ("CUDA time avg", _WIDTH, lambda each: seconds_text(each.device_time, time_unit)),
    ]


def _share(value: float, total: float) -> str:
    return f"{value / total * 100:.2f}%" if total else "NaN"


def _flops(least: int) -> Column:
    """In the unit that suits the least of them, as in PyTorch."""
    power = min(int(math.log10(least) / 3), len(_PREFIXES) - 1)
    scale = 1000.0**-power
    return (
        f"Total {_PREFIXES[power]}FLOPs",
        _WIDTH,
        lambda each: f"{each.flops * scale:8.3f}" if each.flops > 0 else "--",
    )


def _cut(text: str, width: int) -> str:
    return text if len(text) < width - 3 else text[: width - 3] + "..."


def _end_of(path: str, width: int) -> str:
    """The last part of a path, which says more than the first."""
    return path if len(path) <= width else "..." + path[len(path) - width + 3 :]


def _row(cells: Sequence[str], columns: Sequence[Column]) -> str:
    return "".join(
        f"{cell:{'<' if title == _PLACES else '>'}{width}}{_GAP}"
        for cell, (title, width, _) in zip(cells, columns, strict=True)
    )
