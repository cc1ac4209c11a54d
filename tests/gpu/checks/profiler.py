"""The profiler on a GPU: kernels and copies belong to what has launched them, and nothing is left running."""

from __future__ import annotations

import gc
import json
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from ctypes import byref, c_void_p
from pathlib import Path
from typing import Any

import distrt as torch
import distrt.nn.functional as F
from distrt import nn
from distrt.profiler import DeviceType, ProfilerActivity, profile, record_function, schedule
from distrt.profiler.gpu.collecting import _hears
from distrt.profiler.gpu.library import library
from tests.gpu.checking import run_all
from tests.gpu.checks.graphs import captured
from tests.gpu.fixtures import NOT_THERE

_BOTH = [ProfilerActivity.CPU, ProfilerActivity.CUDA]
_WORKS = ("kernel", "gpu_memcpy", "gpu_memset")

#: By so much may the clocks of a GPU and of the CPU be off.
_CLOCKS_US = 100.0


def model() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.LayerNorm(32), nn.GELU(), nn.Linear(32, 10)).cuda()


def trained() -> Any:
    """A function that takes a step of training."""
    net = model()
    optimizer = torch.optim.AdamW(net.parameters())
    x, targets = torch.randn(4, 16).cuda(), torch.tensor([1, 2, 3, 4], device="cuda")

    def step() -> Any:
        optimizer.zero_grad()
        with record_function("forward"):
            loss = F.cross_entropy(net(x), targets)
        loss.backward()
        optimizer.step()
        return loss

    step()
    return step


def works(prof: Any) -> list[Any]:
    """What GPUs did."""
    return [each for each in prof.events() if each.category in _WORKS]


def kernels_belong_to_operations() -> Iterator[str]:
    """Every operation of a step that launches has kernels, whose times add up to those of the GPU."""
    step = trained()
    with profile(activities=_BOTH) as prof:
        step()
    totals = {each.key: each for each in prof.key_averages() if each.device_type is DeviceType.CPU}
    for name in (
        "aten::linear",
        "aten::gelu",
        "AddmmBackward0",
        "GeluBackward0",
        "Optimizer.step#AdamW.step",
    ):
        if not totals[name].device_time_total > 0:
            yield f"{name} has no kernel"
    found = works(prof)
    names = {each.name for each in found}
    if missing := {"normalise", "class_losses"} - names:
        yield f"no kernels of the names {missing} among {sorted(names)}"
    of_operations = sum(
        each.self_device_time_total for each in prof.events() if each.cpu_children or each.kernels
    )
    owned = sum(each.time_range.elapsed_us() for each in found if "External id" in each.details)
    if abs(of_operations - owned) > 1e-6 * owned:
        yield f"operations took {of_operations} us of a GPU, and their kernels {owned} us"
    if sum("External id" in each.details for each in found) < 0.8 * len(found):
        yield "more than a fifth of what the GPU did belongs to nobody"
    if not totals["forward"].device_time_total > totals["aten::gelu"].device_time_total:
        yield "a block takes less of the GPU's time than an operation in it"


def kernels_begin_after_their_launch() -> Iterator[str]:
    """And within the recording; calls of CUDA's lie within operations."""
    step = trained()
    with profile(activities=_BOTH) as prof:
        step()
        torch.cuda.synchronize()
    calls = {each.id: each for each in prof.events() if each.category in ("cuda_driver", "cuda_runtime")}
    for each in works(prof):
        launch = calls.get(each.id)
        if launch is None:
            yield f"{each.name} was launched by nobody"
        elif each.time_range.start < launch.time_range.start - _CLOCKS_US:
            yield f"{each.name} begins at {each.time_range.start}, launched at {launch.time_range.start}"
        elif launch.cpu_parent is not None and (
            launch.time_range.start < launch.cpu_parent.time_range.start - _CLOCKS_US
            or launch.time_range.end > launch.cpu_parent.time_range.end + _CLOCKS_US
        ):
            yield f"{launch.name} is not within {launch.cpu_parent.name}"


def copies_are_named() -> Iterator[str]:
    """By their direction and the kinds of memory, with their bytes."""
    with profile(activities=_BOTH) as prof:
        up = torch.ones(1000).cuda()
        up.cpu()
    copies = {each.name: each.details["bytes"] for each in works(prof) if each.category == "gpu_memcpy"}
    for way in ("HtoD", "DtoH"):
        if 4000 not in [size for name, size in copies.items() if way in name]:
            yield f"no copy {way} of 4000 bytes among {copies}"


def tables_have_columns_of_the_gpu() -> Iterator[str]:
    """PyTorch's, where there is something to show; sorted by PyTorch's names, older ones, too."""
    step = trained()
    with profile(activities=_BOTH, profile_memory=True) as prof:
        step()
    for key in (
        "cuda_time_total",
        "self_cuda_time_total",
        "self_device_time_total",
        "self_cuda_memory_usage",
    ):
        text = prof.key_averages().table(sort_by=key, row_limit=5)
        for title in ("Self CUDA", "Self CUDA %", "CUDA total", "CUDA time avg", "CUDA Mem", "Self CUDA Mem"):
            if title not in text.splitlines()[1]:
                yield f"no column {title!r}"
    if "Self CUDA time total: " not in text:
        yield "the table does not end with the GPU's time"
    with profile(activities=[ProfilerActivity.CPU]) as prof:
        step()
    if "CUDA" in prof.key_averages().table() or works(prof):
        yield "the GPU is shown where nobody has asked for it"
    with torch.autograd.profiler.profile(use_device="cuda") as older:
        step()
    if "Self CUDA" not in older.key_averages().table():
        yield "the older profiler does not show the GPU"


def traces_have_rows_of_the_gpu() -> Iterator[str]:
    """Kineto's: a process for a GPU, a row for a stream, an arrow to each kernel; merged, rows of the rank."""
    step, stream = trained(), torch.cuda.Stream()
    with profile(activities=_BOTH) as prof:
        step()
        with torch.cuda.stream(stream):
            torch.ones(8, device="cuda").exp()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        prof.export_chrome_trace(file)
        trace = json.loads(file.read_text())
        prof.export_merged_trace(file)
        merged = json.loads(file.read_text())["traceEvents"]
    events = trace["traceEvents"]
    if {"labels": "GPU 0"} not in [each.get("args") for each in events]:
        yield "no process of GPU 0"
    bars = [each for each in events if each.get("cat") in _WORKS]
    if len({each["tid"] for each in bars}) != 2 or {each["pid"] for each in bars} != {0}:
        yield "not two streams of GPU 0"
    ends = {(each["id"], each["ts"]) for each in events if each.get("cat") == "ac2g" and each["ph"] == "f"}
    begins = {each["id"] for each in events if each.get("cat") == "ac2g" and each["ph"] == "s"}
    if {(each["args"]["correlation"], each["ts"]) for each in bars} != ends or {
        each for each, _ in ends
    } != begins:
        yield "not an arrow for each"
    if trace["deviceProperties"][0]["id"] != 0:
        yield "nothing said of GPU 0"
    if not any(str(each.get("args", {}).get("name", "")).startswith("GPU 0, stream") for each in merged):
        yield "the merged trace has no row of the GPU"


def replays_show_their_kernels() -> Iterator[str]:
    """Kernels of a captured graph belong to the call that launches the graph, every time."""
    net, x = model(), torch.randn(4, 16, device="cuda")
    graph, _ = captured(lambda: net(x).exp())
    counts = []
    for replays in (1, 3):
        with profile(activities=_BOTH) as prof, record_function("replay"):
            for _ in range(replays):
                graph.replay()
        found = [each for each in works(prof) if each.category == "kernel"]
        counts.append(len(found))
        if not any(each.name == "normalise" for each in found):
            yield f"no kernel of the layer norm among {[each.name for each in found]}"
        if not any(each.name == "cudaGraphLaunch" for each in prof.events()):
            yield "the launch of the graph is not shown"
    if not 0 < 3 * counts[0] == counts[1]:
        yield f"{counts[0]} kernels in one replay, {counts[1]} in three"


def schedules_are_kept() -> Iterator[str]:
    """Only the active steps' kernels are kept; each cycle has its own."""
    step, found = trained(), []
    plan = schedule(wait=1, warmup=1, active=2, repeat=2)
    with profile(
        activities=_BOTH, schedule=plan, on_trace_ready=lambda each: found.append(works(each))
    ) as prof:
        for _ in range(8):
            step()
            prof.step()
    with profile(activities=_BOTH) as once:
        step()
    expected = sum(each.name == "normalise" for each in works(once))
    for each in found:
        if sum(work.name == "normalise" for work in each) != 2 * expected:
            yield f"{sum(work.name == 'normalise' for work in each)} layer norms in two steps of {expected}"
    if len(found) != 2:
        yield f"{len(found)} cycles"


def threads_are_told_apart() -> Iterator[str]:
    """What a thread launches belongs to its own operations."""

    def run() -> None:
        with record_function("in a thread"):
            torch.ones(8, device="cuda").exp()
            torch.cuda.synchronize()

    run()
    with profile(activities=_BOTH) as prof:
        other = threading.Thread(target=run)
        other.start()
        other.join()
        with record_function("outside"):
            torch.ones(8, device="cuda").log()
    times = {
        each.key: each.device_time_total for each in prof.key_averages() if each.device_type is DeviceType.CPU
    }
    for name in ("in a thread", "aten::exp", "outside", "aten::log"):
        if not times.get(name):
            yield f"{name} has no kernel"


def nothing_is_left_running() -> Iterator[str]:
    """After an error in the block, too; CUPTI is free for the next one, and another profiler is told of."""
    step = trained()
    try:
        with profile(activities=_BOTH):
            step()
            raise RuntimeError("the user's")
    except RuntimeError:
        pass
    cupti = library()
    other = c_void_p()
    cupti.call("cuptiSubscribe", byref(other), _hears, None)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with profile(activities=_BOTH) as prof:
            step()
    words = [str(each.message) for each in said]
    is_told = any("CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED" in each for each in words)
    if not is_told and not works(prof):  # a CUPTI that lets several listen records all the same
        yield f"another profiler: neither kernels nor a warning that names it, but {words}"
    if "aten::linear" not in {each.key for each in prof.key_averages()}:
        yield "the CPU's side is not measured beside another profiler"
    cupti.call("cuptiUnsubscribe", other)
    kinds = getattr(cupti.functions, "emulated_kinds_recorded", None)
    if kinds is not None and kinds():
        yield f"{kinds()} kinds of records are still on"
    gc.collect()
    with profile(activities=_BOTH) as prof:
        step()
    if not works(prof):
        yield "nothing is recorded afterwards"


def ranges_are_nested() -> Iterator[str]:
    """Those that NVIDIA's tools show: each says how many are around it."""
    with torch.cuda.nvtx.range("step {}", 1):
        torch.cuda.nvtx.mark("here")
        levels = (
            torch.cuda.nvtx.range_push("inner"),
            torch.cuda.nvtx.range_pop(),
            torch.cuda.nvtx.range_push("next"),
        )
        torch.cuda.nvtx.range_pop()
    if levels != (1, 1, 1) or torch.cuda.nvtx.range_pop() != -1:
        yield f"levels {levels}"


CHECKS = (
    kernels_belong_to_operations,
    kernels_begin_after_their_launch,
    copies_are_named,
    tables_have_columns_of_the_gpu,
    traces_have_rows_of_the_gpu,
    replays_show_their_kernels,
    schedules_are_kept,
    threads_are_told_apart,
    nothing_is_left_running,
    ranges_are_nested,
)


def _missing() -> str | None:
    """Why CUPTI does not record here."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with profile(activities=_BOTH):
            pass
    return next((str(each.message) for each in said if "CUDA profiling is off" in str(each.message)), None)


if __name__ == "__main__":
    if (reason := _missing()) is not None:
        print(reason)
        sys.exit(NOT_THERE)
    sys.exit(1 if run_all(CHECKS) else 0)
