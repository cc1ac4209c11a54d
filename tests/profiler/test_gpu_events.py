"""What CUPTI tells becomes events, tables and traces: PyTorch's table of the same events is the oracle."""

from __future__ import annotations

import ctypes
import os
import threading
from typing import Any

import pytest

from distrt.pictures.traces import merge
from distrt.profiler import DeviceType, ProfilerActivity, profile, record_function
from distrt.profiler.events import EventList, FunctionEvent, TimeRange
from distrt.profiler.gpu import collecting, rows
from distrt.profiler.gpu.collecting import Collected, Launch, Work
from distrt.profiler.gpu.library import Cupti, CuptiError
from distrt.profiler.gpu.names import copy_name, kernel_name
from distrt.profiler.gpu.owners import attributed
from distrt.profiler.recording import Recorder, running

_THREAD = threading.get_native_id()


def operation(number: int, name: str, start: float, end: float, **more: Any) -> FunctionEvent:
    return FunctionEvent(number, name, 1, TimeRange(start, end), use_device="cuda", **more)


def kernel(name: str, correlation: int, start: int, end: int, stream: int = 7) -> Work:
    details = {"device": 0, "stream": stream, "correlation": correlation}
    return Work("kernel", name, 0, stream, correlation, start * 1000, end * 1000, details)


def launch(name: str, correlation: int, start: int, is_runtime: bool = True) -> Launch:
    return Launch(name, is_runtime, 211, correlation, _THREAD, start * 1000, (start + 2) * 1000)


def recorded() -> tuple[list[FunctionEvent], list[FunctionEvent]]:
    """A block with a product, which launches two kernels by two calls, and one kernel of nobody's."""
    block = operation(0, "forward", 0, 100, is_user_annotation=True)
    product = operation(1, "aten::mm", 10, 60, cpu_parent=block, device_memory_usage=512)
    block.cpu_children.append(product)
    block.device_memory_usage = 512
    collected = Collected(
        works=[kernel("gemm", 21, 40, 90), kernel("gemm", 22, 95, 115), kernel("stray", 23, 120, 125, 13)],
        launches=[
            launch("cudaLaunchKernel", 21, 20),
            launch("cuLaunchKernel", 21, 20, is_runtime=False),  # within the runtime's call
            launch("cuLaunchKernel", 22, 30, is_runtime=False),
            launch("cudaGetDevice", 24, 35),
            launch("cudaDeviceSynchronize", 25, 90),
        ],
        links={21: 1, 22: 1},
    )
    cpu = [block, product]
    return cpu, attributed(collected, cpu, lambda native: 1)


def test_kernels_belong_to_what_has_launched_them() -> None:
    (block, product), made = recorded()
    assert [(each.name, each.duration) for each in product.kernels] == [("gemm", 50.0), ("gemm", 20.0)]
    assert product.self_device_time_total == block.device_time_total == 70.0
    assert (block.self_device_time_total, product.device_time) == (0.0, 70.0)
    assert [each.name for each in product.cpu_children] == ["cudaLaunchKernel", "cuLaunchKernel"]
    assert product.self_cpu_time_total == 50 - 2 * 2
    calls = [each.name for each in made if each.category in ("cuda_runtime", "cuda_driver")]
    assert calls == [
        "cudaLaunchKernel",
        "cuLaunchKernel",
        "cudaDeviceSynchronize",
    ]  # the last launches nothing
    works = [each for each in made if each.device_type is DeviceType.CUDA and not each.is_user_annotation]
    assert [each.self_cpu_time_total for each in works] == [0.0] * 3
    assert sum(each.self_device_time_total for each in works) == 75.0


def test_a_block_spans_its_kernels_in_a_stream() -> None:
    _, made = recorded()
    (span,) = [each for each in made if each.category == "gpu_user_annotation"]
    assert (span.name, span.time_range.start, span.time_range.end) == ("forward", 40.0, 115.0)


def test_the_table_is_pytorchs(torch: Any) -> None:
    util = torch.autograd.profiler_util
    cpu, made = recorded()
    ours = EventList([*cpu, *made], profile_memory=True).key_averages()
    theirs = util.EventList(use_device="cuda", profile_memory=True)
    twins = {}
    for each in [*cpu, *made]:
        twin = twins[id(each)] = util.FunctionEvent(
            each.id,
            each.name,
            each.thread,
            each.time_range.start,
            each.time_range.end,
            input_shapes=[],
            stack=[],
            use_device="cuda",
            device_type=getattr(torch.autograd.DeviceType, each.device_type.name),
            is_user_annotation=each.is_user_annotation,
            device_memory_usage=each.device_memory_usage,
        )
        theirs.append(twin)
        for name, device, duration in each.kernels:
            twin.append_kernel(name, device, duration)
    for each in [*cpu, *made]:
        for child in each.cpu_children:
            twins[id(each)].append_cpu_child(twins[id(child)])
    theirs._tree_built = True
    for sort_by in ("cuda_time_total", "self_device_time_total", "self_cuda_memory_usage", "cpu_time_total"):
        expected = theirs.key_averages().table(sort_by=sort_by)
        assert ours.table(sort_by=sort_by) == expected


def test_older_names_are_told() -> None:
    (_, product), _ = recorded()
    for name, newer in (("cuda_time_total", 70.0), ("self_cuda_time_total", 70.0), ("cuda_time", 70.0)):
        with pytest.warns(FutureWarning, match=f"`{name}` is deprecated"):
            assert getattr(product, name) == newer


def test_a_trace_has_streams_and_arrows(monkeypatch: pytest.MonkeyPatch) -> None:
    _, made = recorded()
    found = list(rows.rows(made, {1: _THREAD}))
    named = [each["args"] for each in found if each["ph"] == "M"]
    assert {"labels": "GPU 0"} in named
    assert {"name": "stream 7"} in named
    assert {"name": "stream 13"} in named
    begins = [(each["id"], each["pid"]) for each in found if each["ph"] == "s"]
    ends = [(each["id"], each["pid"], each["tid"]) for each in found if each["ph"] == "f"]
    assert begins == [(21, os.getpid()), (22, os.getpid())]
    assert ends == [(21, 0, 7), (22, 0, 7)]  # nothing is known of the third one's launch


def test_streams_are_rows_of_their_rank_in_a_merged_trace() -> None:
    _, made = recorded()
    traces = [
        {"distributedInfo": {"rank": rank}, "traceEvents": list(rows.rows(made, {1: 7}))} for rank in range(2)
    ]
    events = merge(traces)["traceEvents"]
    kernels = [each for each in events if each.get("cat") == "kernel"]
    calls = [each for each in events if each.get("cat") == "cuda_runtime"]
    assert {each["pid"] for each in kernels} == {0, 1}
    assert not {each["tid"] for each in kernels} & {each["tid"] for each in calls}  # though both are called 7
    names = [each["args"]["name"] for each in events if each["ph"] == "M" and each["name"] == "thread_name"]
    assert names.count("GPU 0, stream 7") == 2
    arrows = [(each["id"], each["pid"]) for each in events if each.get("cat") == "ac2g"]
    assert len({number for number, _ in arrows}) == len(set(arrows)) == 4


def test_without_cupti_the_cpu_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Any:
        raise CuptiError("libcupti.so.13 is not here (pip install 'distrt[cupti13]')")

    monkeypatch.setattr(collecting, "library", missing)
    recorder = Recorder(sees_gpus=True)
    with pytest.warns(UserWarning, match=r"CUDA profiling is off.*distrt\[cupti13\]"):
        recorder.start()
    with record_function("block"):
        pass
    recorder.stop()
    assert [(each.name, each.use_device) for each in recorder.events()] == [("block", None)]


def test_a_warning_that_is_an_error_leaves_no_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refuses:
        is_given_up = False

        def start(self) -> None:
            raise CuptiError("cuptiSubscribe: CUPTI_ERROR_NOT_READY")

        def give_up(self) -> None:
            Refuses.is_given_up = True

    monkeypatch.setattr(collecting, "library", lambda: None)
    monkeypatch.setattr(collecting, "Collector", lambda cupti: Refuses())
    with pytest.raises(UserWarning, match="CUDA profiling is off"):  # here they all are
        Recorder(sees_gpus=True).start()
    assert Refuses.is_given_up
    assert running() is None
    with profile(activities=[ProfilerActivity.CPU]):
        pass


def test_what_goes_wrong_at_the_end_leaves_no_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fails:
        def push(self, number: int) -> None: ...

        def pop(self) -> None: ...

        def stop(self) -> Any:
            raise CuptiError("cuptiGetTimestamp: CUPTI_ERROR_UNKNOWN")

    monkeypatch.setattr(collecting, "started", Fails)
    recorder = Recorder(sees_gpus=True)
    recorder.start()
    with record_function("block"):
        pass
    with pytest.warns(UserWarning, match="what GPUs did is lost.*cuptiGetTimestamp"):
        recorder.stop()
    assert [each.name for each in recorder.events()] == ["block"]
    assert running() is None
    with profile(activities=[ProfilerActivity.CPU]):  # the next one is not refused
        pass


def test_another_library_is_refused_by_name() -> None:
    with pytest.raises(CuptiError, match="has no cuptiGetVersion: it is another library"):
        Cupti(ctypes.CDLL(None))


def test_cupti_is_not_loaded_for_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "started", lambda: pytest.fail("nobody has asked for GPUs"))
    with profile(activities=[ProfilerActivity.CPU]):
        pass


def test_kernels_have_the_names_of_their_source() -> None:
    assert kernel_name(b"_Z4gemmIfEvPT_i") == "void gemm<float>(float*, int)"
    assert kernel_name(b"normalise") == "normalise"
    assert kernel_name(None) == "unknown kernel"
    assert copy_name(1, 1, 3) == "Memcpy HtoD (Pageable -> Device)"
    assert copy_name(99, 2, 0) == "Memcpy Unknown (Pinned -> Unknown)"
