"""What a recording gives: events, nested as the calls were, and averages over those of one name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from distrt.profiler.activities import DeviceType
from distrt.profiler.stacks import METRICS, write_stacks
from distrt.profiler.table import seconds_text, table

__all__ = ["EventList", "FunctionEvent", "FunctionEventAvg", "TimeRange"]


@dataclass(eq=False)
class TimeRange:
    """Microseconds of a clock that all processes of this machine share."""

    start: float
    end: float

    def elapsed_us(self) -> float:
        """How long it took."""
        return self.end - self.start


class _Times:
    """Totals of events that PyTorch has, with those of devices, which are 0 here."""

    device_time = device_time_total = self_device_time_total = 0.0
    device_memory_usage = self_device_memory_usage = 0
    cuda_time = cuda_time_total = self_cuda_time_total = 0.0
    device_time_str = device_time_total_str = self_device_time_total_str = seconds_text(0.0)
    use_device = None
    overload_name = ""
    device_type = DeviceType.CPU
    node_id = -1
    is_async = is_remote = is_legacy = False
    cpu_time_total: float
    self_cpu_time_total: float
    count: int

    @property
    def cpu_time(self) -> float:
        """Microseconds of one call."""
        return self.cpu_time_total / self.count if self.count else 0.0

    @property
    def cpu_time_str(self) -> str:
        """``cpu_time`` with its unit."""
        return seconds_text(self.cpu_time)

    @property
    def cpu_time_total_str(self) -> str:
        """``cpu_time_total`` with its unit."""
        return seconds_text(self.cpu_time_total)

    @property
    def self_cpu_time_total_str(self) -> str:
        """``self_cpu_time_total`` with its unit."""
        return seconds_text(self.self_cpu_time_total)


@dataclass(eq=False)
class FunctionEvent(_Times):
    """One call.

    Attributes:
        id: its number in the recording, in the order in which calls began.
        trace_name: such as ``aten::mm``, or ``ProfilerStep#3``.
        thread: 1 for the thread that began to profile, then by first appearance.
        time_range: when.
        input_shapes: those of its arguments, where they were asked for.
        cpu_memory_usage: bytes of the arrays that it has made and handed out.
        flops: floating-point operations, where they are known and were asked for.
        stack: the user's lines that have led here, the innermost first.
        is_user_annotation: whether ``record_function`` has made it.
        cpu_parent, cpu_children: the calls around it and within it.
        args: a note.
        is_async: whether it goes on beside other events of its thread, as what ranks exchange does.
    """

    id: int
    trace_name: str
    thread: int
    time_range: TimeRange
    input_shapes: list[Any] = field(default_factory=list)
    cpu_memory_usage: int = 0
    flops: int = 0
    stack: list[str] = field(default_factory=list)
    is_user_annotation: bool = False
    cpu_parent: FunctionEvent | None = None
    cpu_children: list[FunctionEvent] = field(default_factory=list)
    args: str | None = None
    is_async: bool = False
    count = 1

    @property
    def name(self) -> str:
        """What events of its kind are called: steps have numbers, and are one kind."""
        return "ProfilerStep*" if self.trace_name.startswith("ProfilerStep#") else self.trace_name

    @property
    def key(self) -> str:
        """The name."""
        return self.name

    @property
    def cpu_time_total(self) -> float:  # type: ignore[override]
        """Microseconds, those of calls within included."""
        return self.time_range.elapsed_us()

    @property
    def self_cpu_time_total(self) -> float:  # type: ignore[override]
        """Microseconds without those of calls within; of what goes on beside others, none."""
        return (
            0.0
            if self.is_async
            else self.cpu_time_total - sum(each.cpu_time_total for each in self.cpu_children)
        )

    @property
    def self_cpu_memory_usage(self) -> int:
        """Bytes without those of calls within."""
        return self.cpu_memory_usage - sum(each.cpu_memory_usage for each in self.cpu_children)

    def __repr__(self) -> str:
        return (
            f"<FunctionEvent id={self.id} name={self.name} device_type={self.device_type} node_id={self.node_id} "
            f"cpu_time={self.cpu_time_str} start_us={self.time_range.start:.3f} end_us={self.time_range.end:.3f} "
            f"cpu_children={[each.id for each in self.cpu_children]} thread={self.thread} "
            f"input_shapes={self.input_shapes} cpu_memory_usage={self.cpu_memory_usage} is_async={self.is_async} "
            f"is_remote={self.is_remote}>"
        )


@dataclass(eq=False)
class FunctionEventAvg(_Times):
    """The events of one name (and one set of shapes, and one place, where asked for), added up."""

    key: str = ""
    count: int = 0
    cpu_time_total: float = 0.0
    self_cpu_time_total: float = 0.0
    cpu_memory_usage: int = 0
    self_cpu_memory_usage: int = 0
    flops: int = 0
    input_shapes: Any = ""
    stack: list[str] = field(default_factory=list)
    is_user_annotation: bool = False
    cpu_parent: FunctionEvent | None = None
    cpu_children: list[FunctionEvent] = field(default_factory=list)

    def add(self, other: FunctionEvent | FunctionEventAvg) -> FunctionEventAvg:
        """Adds an event, or another average."""
        if not self.key:
            self.key, self.is_user_annotation = other.key, other.is_user_annotation
            self.cpu_parent, self.cpu_children, self.stack = other.cpu_parent, other.cpu_children, other.stack
        self.cpu_time_total += other.cpu_time_total
        self.self_cpu_time_total += other.self_cpu_time_total
        self.cpu_memory_usage += other.cpu_memory_usage
        self.self_cpu_memory_usage += other.self_cpu_memory_usage
        self.flops += other.flops
        self.count += other.count
        return self

    def __iadd__(self, other: FunctionEvent | FunctionEventAvg) -> FunctionEventAvg:
        return self.add(other)

    def __repr__(self) -> str:
        return (
            f"<FunctionEventAvg key={self.key} self_cpu_time={self.self_cpu_time_total_str} "
            f"cpu_time={self.cpu_time_str}  self_cuda_time=0.000us cuda_time=0.000us "
            f"input_shapes={self.input_shapes} cpu_memory_usage={self.cpu_memory_usage} cuda_memory_usage=0>"
        )


class EventList(list[Any]):
    """Events, or averages of events.

    Args:
        events: in the order in which they began.
        profile_memory, with_flops: which columns the table has.
    """

    def __init__(
        self, events: Iterable[Any] = (), profile_memory: bool = False, with_flops: bool = False
    ) -> None:
        super().__init__(events)
        self._profile_memory, self._with_flops = profile_memory, with_flops

    def __str__(self) -> str:
        return self.table()

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of all events."""
        return float(sum(each.self_cpu_time_total for each in self))

    def key_averages(
        self,
        group_by_input_shapes: bool = False,
        group_by_stack_n: int = 0,
        group_by_overload_name: bool = False,
    ) -> EventList:
        """The events added up by name.

        Args:
            group_by_input_shapes: keep calls with other shapes apart.
            group_by_stack_n: keep apart what so many of the innermost lines of the user's have called.
            group_by_overload_name: changes nothing: operations have no overloads.
        """
        groups: dict[tuple[Any, ...], FunctionEventAvg] = {}
        for each in self:
            shapes = str(each.input_shapes) if group_by_input_shapes else ""
            stack = tuple(each.stack[:group_by_stack_n])
            average = groups.setdefault((each.key, shapes, stack), FunctionEventAvg())
            average.add(each)
            average.input_shapes = each.input_shapes if group_by_input_shapes else ""
            average.stack = list(stack)
        return EventList(groups.values(), self._profile_memory, self._with_flops)

    def total_average(self) -> FunctionEventAvg:
        """All events added up."""
        total = FunctionEventAvg("Total", input_shapes=[])
        for each in self:
            total += each
        return total

    def supported_export_stacks_metrics(self) -> list[str]:
        """What ``export_stacks`` can add up."""
        return list(METRICS)

    def export_stacks(self, path: str | PathLike[str], metric: str) -> None:
        """Writes where time was spent, a line for each place, as flame graphs are made from.

        Raises:
            ValueError: the metric is no supported one.
            OSError: the file cannot be written.
        """
        write_stacks(path, self, metric)

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int = 75,
        max_name_column_width: int = 55,
        max_shapes_column_width: int = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
        time_unit: str | None = None,
    ) -> str:
        """The events as text, a row for each.

        Args:
            sort_by: an attribute such as ``cpu_time_total``, ``self_cpu_memory_usage`` or ``count``; the largest first.
            row_limit: how many rows; -1 for all.
            max_src_column_width, max_name_column_width, max_shapes_column_width: characters.
            header: a line above the table.
            top_level_events_only: leave out what was called by others.
            time_unit: "s", "ms" or "us"; whichever suits where None.

        Raises:
            AttributeError: events have nothing of the name ``sort_by``.
        """
        return table(
            self,
            sort_by=sort_by,
            row_limit=row_limit,
            widths=(max_name_column_width, max_shapes_column_width, max_src_column_width),
            header=header,
            top_level_only=top_level_events_only,
            with_memory=self._profile_memory,
            with_flops=self._with_flops,
            time_unit=time_unit,
        )
