"""``profile``: a recording, or several ones in the steps of a schedule, and what is done with them."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from distrt.core.process.users_code import warn
from distrt.profiler import activities as available
from distrt.profiler.annotations import record_function
from distrt.profiler.events import EventList
from distrt.profiler.merging import merged_trace, write_step_picture
from distrt.profiler.recording import Recorder
from distrt.profiler.schedules import ProfilerAction, Schedule, always
from distrt.profiler.trace_file import trace_of, write_trace

__all__ = ["profile", "tensorboard_trace_handler"]


class profile:  # noqa: N801 - PyTorch's own spelling
    """Records what a block does.

        with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as prof:
            model(inputs)
        print(prof.key_averages().table(sort_by="self_cpu_time_total", row_limit=10))

    With a schedule, ``step`` is called after each step of a training loop, and ``on_trace_ready`` with this object at
    the end of each cycle.

    Args:
        activities: ``ProfilerActivity.CPU``, and ``CUDA`` where there is a GPU; both where None. What this machine does
            not have is left out, with a warning.
        schedule: which steps are recorded; all where None.
        on_trace_ready: called when a recording has ended.
        record_shapes: note the shapes of arguments.
        profile_memory: note the bytes of the arrays that calls hand out. What is freed is not noted.
        with_stack: note the user's lines.
        with_flops: note the operations of products and convolutions.
        with_modules: changes nothing.
        experimental_config, execution_trace_observer, use_cuda, custom_trace_id_callback, post_processing_timeout_s:
            PyTorch's, for its tracing library; they change nothing.
        acc_events: keep the events of all cycles.
        sees_operations: False records what ``record_function`` names, and steps, alone, at next to no cost.

    Raises:
        AssertionError: no activity is asked for, or none that can be had.
        TypeError, ValueError: what is asked for is no activity, or is asked for twice; a schedule that stops a device.
    """

    def __init__(
        self,
        *,
        activities: Iterable[available.Asked] | None = None,
        schedule: Schedule | None = None,
        on_trace_ready: Callable[[Any], Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        experimental_config: Any = None,
        execution_trace_observer: Any = None,
        acc_events: bool = False,
        use_cuda: bool | None = None,
        custom_trace_id_callback: Callable[[], str] | None = None,
        post_processing_timeout_s: float | None = None,
        sees_operations: bool = True,
    ) -> None:
        if use_cuda is not None:
            said = "`use_cuda` is deprecated, use `activities` argument instead"
            warn(said, FutureWarning)
        self.activities = available.checked(activities)
        self._has_steps = schedule is not None
        self.schedule = schedule or always
        self.on_trace_ready = on_trace_ready
        self.record_shapes, self.profile_memory = record_shapes, profile_memory
        self.with_stack, self.with_flops, self.with_modules = with_stack, with_flops, with_modules
        self.acc_events, self.sees_operations = acc_events, sees_operations
        self.step_num = 0
        self.current_action = self.schedule(0)
        if self.current_action is ProfilerAction.DEVICE_STOPPED:
            raise ValueError("ProfilerAction.DEVICE_STOPPED is PyTorch's own: no schedule may return it")
        self._recorder: Recorder | None = None
        self._past: list[Any] = []  # events of cycles before, where they are kept
        self._metadata: dict[str, Any] = {}
        self._step: record_function | None = None
        self._has_told = False

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    # -- steps

    def start(self) -> None:
        """Begins, with step 0."""
        self.current_action = self.schedule(self.step_num)
        self._go_to(ProfilerAction.NONE, self.current_action)
        self._begin_step()

    def stop(self) -> None:
        """Ends; what was recorded is handed over."""
        assert self._recorder is not None or self._has_steps, (
            "Profiler must be initialized before stopping trace"
        )
        self._end_step()
        self._go_to(self.current_action, None)

    def step(self) -> None:
        """The next step begins."""
        self._end_step()
        before = self.current_action
        self.step_num += 1
        self.current_action = self.schedule(self.step_num)
        if self._recorder is not None or self._has_steps:
            self._go_to(before, self.current_action)
            self._begin_step()

    def _begin_step(self) -> None:
        if self._has_steps:
            self._step = record_function(f"ProfilerStep#{self.step_num}")
            self._step.__enter__()

    def _end_step(self) -> None:
        if self._step is not None:
            self._step.__exit__()
            self._step = None

    def _go_to(self, before: ProfilerAction, after: ProfilerAction | None) -> None:
        """From one step's action to the next one's; None ends it all.

        A warm-up is recorded, too, so that its first step is as slow as the others: it is thrown away.
        """
        goes_on = after is before or (before.is_recording and after is not None and after.is_recording)
        if before is ProfilerAction.RECORD_AND_SAVE or (before.is_recording and after is None):
            self.stop_trace()
            if self.on_trace_ready is not None:
                self.on_trace_ready(self)
            goes_on = False
        elif before is not ProfilerAction.NONE and not goes_on:
            if after is ProfilerAction.NONE or before.is_recording:
                said = f"Incorrect schedule: {before.name} followed by {after.name if after else None}"
                warn(said)
            self.stop_trace(keep=before.is_recording)
        if after not in (ProfilerAction.NONE, None) and not goes_on:
            self.start_trace()

    # -- one recording

    def prepare_trace(self) -> None:
        """Nothing needs to be prepared."""

    def start_trace(self) -> None:
        """Begins to record; the events of the cycle before go, unless ``acc_events`` keeps them."""
        if self._recorder is not None:
            if self.acc_events:
                self._past += self._recorder.events()
            elif self.on_trace_ready is None and self._recorder.events():  # nobody has had them
                self._tell_of_cycles()
        self._recorder = Recorder(
            self.record_shapes,
            self.profile_memory,
            self.with_stack,
            self.with_flops,
            sees_operations=self.sees_operations and available.ProfilerActivity.CPU in self.activities,
            sees_gpus=available.ProfilerActivity.CUDA in self.activities,
        )
        self._recorder.start()

    def stop_trace(self, keep: bool = True) -> None:
        """Stops to record; unless ``keep``, nothing of it is left."""
        assert self._recorder is not None, "Profiler must be initialized before stopping trace"
        if not self._recorder.ended_ns:
            self._recorder.stop()
        if not keep:
            self._recorder.forget()

    def toggle_collection_dynamic(
        self, enable: bool, activities: Iterable[available.ProfilerActivity]
    ) -> None:
        """Leaves out activities from here on, or goes on with them; blocks with names are recorded all the same.

        Args:
            enable: False to leave them out.
            activities: ``ProfilerActivity.CPU`` for operations, ``CUDA`` for GPUs.
        """
        if self._recorder is None:
            return
        named = set(activities)
        if available.ProfilerActivity.CPU in named:
            self._recorder.see_operations(enable)
        if available.ProfilerActivity.CUDA in named:
            self._recorder.see_gpus(enable)

    def _tell_of_cycles(self) -> None:
        if not self._has_told:
            self._has_told = True
            warn(
                "Warning: Profiler clears events at the end of each cycle. Only events from the current cycle will be "
                "reported. To keep events across cycles, set acc_events=True."
            )

    # -- what was recorded

    def events(self) -> EventList:
        """The events, in the order in which they began."""
        recorder = self._asked_for("accessing events")
        found = recorder.events()
        found[:0] = self._past
        return found

    def key_averages(
        self,
        group_by_input_shape: bool = False,
        group_by_stack_n: int = 0,
        group_by_overload_name: bool = False,
    ) -> EventList:
        """The events added up by name; see ``EventList.key_averages``."""
        self._asked_for("getting key averages")
        return self.events().key_averages(group_by_input_shape, group_by_stack_n, group_by_overload_name)

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Writes a trace that Perfetto and ``chrome://tracing`` open; compressed where the path ends in ``.gz``."""
        write_trace(path, self._trace(os.fspath(path)))

    def export_merged_trace(self, path: str | os.PathLike[str]) -> None:
        """Writes one trace of all ranks, with one clock and arrows between their collectives; a collective.

        distrt's own. Rank 0 writes; the others return when it has. ``distrt-launch trace`` makes the same of files.
        """
        merged_trace(self._trace(os.fspath(path)), lambda merged: write_trace(path, merged))

    def export_step_picture(self, path: str | os.PathLike[str], step: int | None = None) -> None:
        """Draws one step of all ranks, as SVG: what each did, what it exchanged, what of that was hidden; a collective.

        distrt's own.

        Args:
            path: where rank 0 writes.
            step: which of the steps that were recorded, from 0; the last whole one where None.

        Raises:
            TraceError: (a ValueError) on all ranks: there is no such step.
        """
        merged_trace(self._trace(os.fspath(path)), lambda merged: write_step_picture(path, merged, step))

    def _trace(self, name: str) -> dict[str, Any]:
        recorder = self._asked_for("exporting chrome trace")
        span_us = recorder.began_ns / 1e3, recorder.ended_ns / 1e3
        timeline = recorder.timeline
        return trace_of(name, recorder.events(), recorder.threads, span_us, self._metadata, timeline)

    def export_stacks(self, path: str | os.PathLike[str], metric: str = "self_cpu_time_total") -> None:
        """Writes where time was spent, a line for each place, as flame graphs are made from; needs ``with_stack``."""
        self._asked_for("exporting stacks")
        assert self.with_stack, "export_stacks() requires with_stack=True"
        self.events().export_stacks(path, metric)

    def add_metadata(self, key: str, value: str) -> None:
        """Notes a text in the trace."""
        self._metadata[key] = str(value)

    def add_metadata_json(self, key: str, value: str) -> None:
        """Notes what a JSON text says in the trace."""
        self._metadata[key] = json.loads(value)

    def preset_metadata_json(self, key: str, value: str) -> None:
        """The same, before the recording begins."""
        self.add_metadata_json(key, value)

    def _asked_for(self, purpose: str) -> Recorder:
        assert self._recorder is not None, f"Profiler must be initialized before {purpose}"
        return self._recorder


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False, use_python_export: bool = False
) -> Callable[[profile], None]:
    """For ``on_trace_ready``: writes a trace of each cycle to a folder, under a name that TensorBoard looks for.

    Args:
        dir_name: the folder; it is made.
        worker_name: unique among processes; made of the machine's name and the process's number where None.
        use_gzip: compress it.
        use_python_export: changes nothing.

    Raises:
        RuntimeError: at a cycle's end: the folder cannot be made.
    """

    def handler(prof: profile) -> None:
        try:
            os.makedirs(dir_name, exist_ok=True)
        except OSError as error:
            raise RuntimeError(f"Can't create directory: {dir_name}") from error
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        name = f"{worker}.{time.time_ns()}.pt.trace.json{'.gz' if use_gzip else ''}"
        prof.export_chrome_trace(os.path.join(dir_name, name))

    return handler
