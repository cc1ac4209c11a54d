"""PyTorch's older profiler, ``torch.autograd.profiler``: one recording, without steps."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from distrt.core.process.users_code import warn
from distrt.profiler.activities import ProfilerActivity, supported_activities, warn_without
from distrt.profiler.events import EventList, FunctionEventAvg
from distrt.profiler.session import profile as session

__all__ = ["emit_itt", "emit_nvtx", "profile"]

_DEVICES = ("cuda", "xpu", "mtia", "hpu")


class profile:  # noqa: N801 - PyTorch's own spelling
    """Records what a block does; ``distrt.profiler.profile`` does more.

    Args:
        enabled: False to do nothing.
        record_shapes, with_flops, profile_memory, with_stack: as in ``distrt.profiler.profile``.
        use_cuda, use_device: GPUs, too ("cuda"); left out with a warning where there is none.
        use_cpu: must be True.
        with_modules, use_kineto, experimental_config, acc_events, custom_trace_id_callback, post_processing_timeout_s,
            activity_filters: PyTorch's, for its tracing library; they change nothing.

    Raises:
        AssertionError: ``use_cpu`` is False.
    """

    def __init__(
        self,
        enabled: bool = True,
        *,
        use_cuda: bool = False,
        use_device: str | None = None,
        record_shapes: bool = False,
        with_flops: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_modules: bool = False,
        use_kineto: bool = False,
        use_cpu: bool = True,
        experimental_config: Any = None,
        acc_events: bool = False,
        custom_trace_id_callback: Any = None,
        post_processing_timeout_s: float | None = None,
        activity_filters: Any = None,
    ) -> None:
        self.enabled, self.record_shapes, self.with_stack = enabled, record_shapes, with_stack
        activities = {ProfilerActivity.CPU}
        if enabled and use_cuda:
            said = "The attribute `use_cuda` will be deprecated soon, please use ``use_device = 'cuda'`` instead."
            warn(said, FutureWarning)
        self.use_device = "cuda" if use_cuda else use_device
        if enabled and self.use_device is not None:
            if self.use_device == "cuda" and ProfilerActivity.CUDA in supported_activities():
                activities.add(ProfilerActivity.CUDA)
            else:
                if self.use_device in _DEVICES:
                    warn_without(self.use_device.upper())
                else:
                    warn(f"The {self.use_device} is not a valid device option.")
                self.use_device = None
        assert use_cpu or not enabled, "Device-only events supported only with Kineto (use_kineto=True)"
        self._session = session(
            activities=activities,
            record_shapes=record_shapes,
            with_flops=with_flops,
            profile_memory=profile_memory,
            with_stack=with_stack,
        )
        self._is_over = False

    def __enter__(self) -> profile:
        if self.enabled:
            if self._is_over:
                raise RuntimeError("Profiler context manager is not reentrant")
            self._session.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.enabled:
            self._session.stop()
            self._is_over = True

    def __str__(self) -> str:
        return str(self.function_events) if self._is_over else "<unfinished torch.autograd.profile>"

    __repr__ = __str__

    @property
    def function_events(self) -> EventList:
        """The events.

        Raises:
            RuntimeError: the recording has not ended, or there is none.
        """
        if not self.enabled:
            raise RuntimeError("this profile was made with enabled=False: it has recorded nothing")
        if not self._is_over:
            raise RuntimeError("Profiler didn't finish running")
        return self._session.events()

    def table(self, *args: Any, **options: Any) -> str:
        """See ``EventList.table``."""
        return self.function_events.table(*args, **options)

    def key_averages(
        self,
        group_by_input_shape: bool = False,
        group_by_stack_n: int = 0,
        group_by_overload_name: bool = False,
    ) -> EventList:
        """See ``EventList.key_averages``."""
        return self.function_events.key_averages(
            group_by_input_shape, group_by_stack_n, group_by_overload_name
        )

    def total_average(self) -> FunctionEventAvg:
        """All events added up."""
        return self.function_events.total_average()

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of all events."""
        return self.function_events.self_cpu_time_total

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Writes a trace that Perfetto opens."""
        self._session.export_chrome_trace(path)

    def export_stacks(self, path: str | os.PathLike[str], metric: str = "self_cpu_time_total") -> None:
        """Writes where time was spent, a line for each place."""
        self._session.export_stacks(path, metric)


class emit_nvtx:  # noqa: N801 - PyTorch's own spelling
    """Marks for NVIDIA's profilers; there is nobody to read them."""

    _whose: ClassVar[str] = "NVTX"

    def __init__(self, enabled: bool = True, record_shapes: bool = False) -> None:
        self.enabled, self.record_shapes = enabled, record_shapes
        self.entered = False

    def __enter__(self) -> Any:
        if not self.enabled:
            return None
        if self.entered:
            raise RuntimeError(f"{self._whose} annotation context manager is not reentrant")
        self.entered = True
        return self

    def __exit__(self, *exception: object) -> None:
        pass


class emit_itt(emit_nvtx):  # noqa: N801 - PyTorch's own spelling
    """The same for Intel's."""

    _whose = "ITT"
