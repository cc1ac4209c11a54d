"""What a recording gives: events, nested as the calls were, and averages over those of one name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, NamedTuple

from distrt.core.process.users_code import warn
from distrt.profiler.activities import DeviceType
from distrt.profiler.stacks import METRICS, write_stacks
from distrt.profiler.table import seconds_text, table

__all__ = ["EventList", "FunctionEvent", "FunctionEventAvg", "Kernel", "TimeRange"]


@dataclass(eq=False)
class TimeRange:
    """Microseconds of a clock that all processes of this machine share."""

    start: float
    end: float

    def elapsed_us(self) -> float:
        """How long it took."""
        return self.end - self.start


class Kernel(NamedTuple):
    """What a GPU did for an operation; ``duration`` in microseconds."""

    name: str
    device: int
    duration: float


class _Times:
    """Averages and texts of the totals that an event, or several, have."""

    overload_name = ""
    node_id = -1
    is_async = is_remote = is_legacy = False
    cpu_time_total: float
    self_cpu_time_total: float
    device_time_total: float
    self_device_time_total: float
    self_device_memory_usage: int
    count: int

    @property
    def cpu_time(self) -> float:
        """Microseconds of one call."""
        return self.cpu_time_total / self.count if self.count else 0.0

    @property
    def device_time(self) -> float:
        """Microseconds that a GPU took for one call."""
        return self.device_time_total / self.count if self.count else 0.0

    @property
    def cuda_time(self) -> float:
        """PyTorch's older name of ``device_time``."""
        warn("`cuda_time` is deprecated, please use `device_time` instead.", FutureWarning)
        return self.device_time

    @property
    def cuda_time_total(self) -> float:
        """PyTorch's older name of ``device_time_total``."""
        return float(self._older("cuda_time_total", "device_time_total"))

    @property
    def self_cuda_time_total(self) -> float:
        """PyTorch's older name of ``self_device_time_total``."""
        return float(self._older("self_cuda_time_total", "self_device_time_total"))

    @property
    def self_cuda_memory_usage(self) -> int:
        """PyTorch's older name of ``self_device_memory_usage``."""
        return int(self._older("self_cuda_memory_usage", "self_device_memory_usage"))

    def _older(self, older: str, name: str) -> Any:
        warn(f"`{older}` is deprecated. Use `{name}` instead.", FutureWarning)
        return getattr(self, name)

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

    @property
    def device_time_str(self) -> str:
        """``device_time`` with its unit."""
        return seconds_text(self.device_time)

    @property
    def device_time_total_str(self) -> str:
        """``device_time_total`` with its unit."""
        return seconds_text(self.device_time_total)

    @property
    def self_device_time_total_str(self) -> str:
        """``self_device_time_total`` with its unit."""
        return seconds_text(self.self_device_time_total)


@dataclass(eq=False)
class FunctionEvent(_Times):
    """One call.

    Attributes:
        id: its number in the recording, in the order in which calls began; of a call of CUDA's, and of what a GPU did
            for it, CUDA's own.
        trace_name: such as ``aten::mm``, or ``ProfilerStep#3``.
        thread: 1 for the thread that began to profile, then by first appearance; of what a GPU did, the stream.
        time_range: when.
        input_shapes: those of its arguments, where they were asked for.
        cpu_memory_usage: bytes of the arrays that it has made and handed out.
        flops: floating-point operations, where they are known and were asked for.
        stack: the user's lines that have led here, the innermost first.
        is_user_annotation: whether ``record_function`` has made it.
        cpu_parent, cpu_children: the calls around it and within it.
        args: a note.
        is_async: whether it goes on beside other events of its thread, as what ranks exchange does.
        use_device: "cuda" where GPUs are recorded.
        device_type, device_index, device_resource_id: whether a GPU did it, which, and in which stream.
        kernels: what GPUs did for this call, without what they did for those within.
        device_memory_usage: bytes that the GPUs' arrays have taken meanwhile, less what was given back.
        category, details: of calls of CUDA's and what GPUs did: what a trace tells.
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
    use_device: str | None = None
    device_type: DeviceType = DeviceType.CPU
    device_index: int = 0
    device_resource_id: int = 0
    kernels: list[Kernel] = field(default_factory=list)
    device_memory_usage: int = 0
    category: str = ""
    details: dict[str, Any] = field(default_factory=dict)
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
        """Microseconds, those of calls within included; of what a GPU did, none."""
        return self.time_range.elapsed_us() if self.device_type is DeviceType.CPU else 0.0

    @property
    def self_cpu_time_total(self) -> float:  # type: ignore[override]
        """Microseconds without those of calls within; of what goes on beside others, none."""
        return (
            0.0
            if self.is_async
            else self.cpu_time_total - sum(each.cpu_time_total for each in self.cpu_children)
        )

    @property
    def device_time_total(self) -> float:  # type: ignore[override]
        """Microseconds that GPUs took for it, for calls within, too."""
        if self.is_async or self.use_device is None:
            return 0.0
        if self.device_type is not DeviceType.CPU:
            return self.time_range.elapsed_us()
        return self.self_device_time_total + sum(each.device_time_total for each in self.cpu_children)

    @property
    def self_device_time_total(self) -> float:  # type: ignore[override]
        """Microseconds that GPUs took for it alone."""
        if self.is_async or self.use_device is None:
            return 0.0
        if self.device_type is not DeviceType.CPU:
            return self.time_range.elapsed_us()
        return float(sum(each.duration for each in self.kernels))

    @property
    def self_device_memory_usage(self) -> int:  # type: ignore[override]
        """Bytes of GPUs without those of calls within."""
        return self.device_memory_usage - sum(each.device_memory_usage for each in self.cpu_children)

    @property
    def self_cpu_memory_usage(self) -> int:
        """Bytes without those of calls within."""
        return self.cpu_memory_usage - sum(each.cpu_memory_usage for each in self.cpu_children)

    def __repr__(self) -> str:
        return (
            f"<FunctionEvent id={self.id} name={self.name} device_type={self.device_type} node_id={self.node_id} "
            f"cpu_time={self.cpu_time_str} start_us={self.time_range.start:.3f} end_us={self.time_range.end:.3f} "
            f"cpu_children={[each.id for each in self.cpu_children]} {self.use_device}_time={self.device_time_str} "
            f"thread={self.thread} input_shapes={self.input_shapes} cpu_memory_usage={self.cpu_memory_usage} "
            f"is_async={self.is_async} is_remote={self.is_remote}>"
        )


_ADDED = (
    "cpu_time_total",
    "self_cpu_time_total",
    "device_time_total",
    "self_device_time_total",
    "cpu_memory_usage",
    "self_cpu_memory_usage",
    "device_memory_usage",
    "self_device_memory_usage",
    "flops",
    "count",
)


@dataclass(eq=False)
class FunctionEventAvg(_Times):
    """The events of one name (and one set of shapes, and one place, where asked for), added up."""

    key: str = ""
    count: int = 0
    cpu_time_total: float = 0.0
    self_cpu_time_total: float = 0.0
    device_time_total: float = 0.0
    self_device_time_total: float = 0.0
    cpu_memory_usage: int = 0
    self_cpu_memory_usage: int = 0
    device_memory_usage: int = 0
    self_device_memory_usage: int = 0
    use_device: str | None = None
    device_type: DeviceType = DeviceType.CPU
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
            self.use_device, self.device_type = other.use_device, other.device_type
        for name in _ADDED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    def __iadd__(self, other: FunctionEvent | FunctionEventAvg) -> FunctionEventAvg:
        return self.add(other)

    def __repr__(self) -> str:
        return (
            f"<FunctionEventAvg key={self.key} self_cpu_time={self.self_cpu_time_total_str} "
            f"cpu_time={self.cpu_time_str}  self_cuda_time={self.self_device_time_total_str} "
            f"cuda_time={self.device_time_str} input_shapes={self.input_shapes} "
            f"cpu_memory_usage={self.cpu_memory_usage} cuda_memory_usage={self.device_memory_usage}>"
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
            where = each.device_type, each.is_user_annotation
            average = groups.setdefault((each.key, *where, shapes, stack), FunctionEventAvg())
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
