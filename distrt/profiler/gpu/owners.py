"""Who has launched what: kernels and copies become events, which belong to the operations that called for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from distrt.profiler.activities import DeviceType
from distrt.profiler.events import FunctionEvent, Kernel, TimeRange
from distrt.profiler.gpu.collecting import Collected, Launch, Work

__all__ = ["attributed"]

#: Calls that are shown though they launch nothing: where a program waits, and what is slow.
_SHOWN = ("Synchronize", "Malloc", "Free", "HostAlloc", "GraphLaunch", "GraphInstantiate")


def attributed(
    collected: Collected, events: Iterable[FunctionEvent], number_of: Callable[[int], int]
) -> list[FunctionEvent]:
    """What CUDA was called for and what GPUs did, as events; operations get their kernels, and calls within them.

    Args:
        collected: of a recording.
        events: of the same recording, whose ids were pushed.
        number_of: our number of a thread by the system's.
    """
    by_id = {each.id: each for each in events}

    def owner_of(correlation: int) -> FunctionEvent | None:
        return by_id.get(collected.links.get(correlation, -1))

    made = [_call(each, owner_of(each.correlation), number_of) for each in _shown(collected)]
    spans: dict[tuple[int, int, int], FunctionEvent] = {}
    for work in collected.works:
        owner = owner_of(work.correlation)
        event = _work(work, owner)
        made.append(event)
        for annotation in _annotations_around(owner):
            _cover(spans, annotation, event)
    return [*made, *spans.values()]


def _shown(collected: Collected) -> Iterator[Launch]:
    """Of calls within calls the outermost, which is the runtime's: both have one correlation."""
    has_launched = {each.correlation for each in collected.works}
    of_runtime = {each.correlation for each in collected.launches if each.is_runtime}
    for each in collected.launches:
        if not each.is_runtime and each.correlation in of_runtime:
            continue
        if each.correlation in has_launched or (
            each.is_runtime and any(word in each.name for word in _SHOWN)
        ):
            yield each


def _call(launch: Launch, owner: FunctionEvent | None, number_of: Callable[[int], int]) -> FunctionEvent:
    event = FunctionEvent(
        id=launch.correlation,
        trace_name=launch.name,
        thread=number_of(launch.thread) if owner is None else owner.thread,
        time_range=TimeRange(launch.began_ns / 1e3, launch.ended_ns / 1e3),
        cpu_parent=owner,
        use_device="cuda",
        category="cuda_runtime" if launch.is_runtime else "cuda_driver",
        details={"cbid": launch.number, "correlation": launch.correlation},
    )
    if owner is not None:
        owner.cpu_children.append(event)
    return event


def _work(work: Work, owner: FunctionEvent | None) -> FunctionEvent:
    event = FunctionEvent(
        id=work.correlation,
        trace_name=work.name,
        thread=work.stream,
        time_range=TimeRange(work.began_ns / 1e3, work.ended_ns / 1e3),
        use_device="cuda",
        device_type=DeviceType.CUDA,
        device_index=work.device,
        device_resource_id=work.stream,
        category=work.category,
        details=work.details if owner is None else {"External id": owner.id + 1, **work.details},
    )
    if owner is not None:
        owner.kernels.append(Kernel(work.name, work.device, event.time_range.elapsed_us()))
    return event


def _annotations_around(event: FunctionEvent | None) -> Iterator[FunctionEvent]:
    while event is not None:
        if event.is_user_annotation:
            yield event
        event = event.cpu_parent


def _cover(
    spans: dict[tuple[int, int, int], FunctionEvent], annotation: FunctionEvent, work: FunctionEvent
) -> None:
    """A block of the user's is shown in each stream, from the first to the last of what it has launched there."""
    key = annotation.id, work.device_index, work.device_resource_id
    found = spans.get(key)
    if found is not None:
        found.time_range.start = min(found.time_range.start, work.time_range.start)
        found.time_range.end = max(found.time_range.end, work.time_range.end)
        return
    spans[key] = FunctionEvent(
        id=annotation.id,
        trace_name=annotation.trace_name,
        thread=work.thread,
        time_range=TimeRange(work.time_range.start, work.time_range.end),
        is_user_annotation=True,
        use_device="cuda",
        device_type=DeviceType.CUDA,
        device_index=work.device_index,
        device_resource_id=work.device_resource_id,
        category="gpu_user_annotation",
        details={"External id": annotation.id + 1},
    )
