"""Memory of GPUs: what is counted, what other streams and libraries use, and what is page-locked."""

from __future__ import annotations

import subprocess
import sys
import warnings
from threading import Thread
from types import SimpleNamespace

import distrt as torch
from tests.gpu.checking import assert_refused, run_all

CUDA = torch.device("cuda:0")


def _run_alone(*lines: str) -> None:
    """In a process of its own, which says nothing."""
    program = "\n".join(("import distrt as torch", *lines))
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, ""), ended.stderr


def check_memory() -> None:
    """It is counted, and given back."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    x = torch.zeros(1 << 20, device=CUDA)
    assert torch.cuda.memory_allocated() - before >= 4 << 20
    del x
    assert torch.cuda.memory_allocated() == before
    assert torch.cuda.max_memory_allocated() - before >= 4 << 20
    assert torch.cuda.memory_reserved() >= torch.cuda.memory_allocated()
    torch.cuda.empty_cache()
    assert "Allocated memory" in torch.cuda.memory_summary()


def check_memory_for_other_libraries() -> None:
    """It is the pool's, and given back by its address."""
    before = torch.cuda.memory_allocated()
    for stream in (None, torch.cuda.Stream(), torch.cuda.Stream().cuda_stream):
        address = torch.cuda.caching_allocator_alloc(1 << 20, 0, stream)
        assert address and torch.cuda.memory_allocated() - before == 1 << 20
        torch.cuda.caching_allocator_delete(address)
        assert torch.cuda.memory_allocated() == before
    assert_refused(ValueError, "not from caching_alloc", lambda: torch.cuda.caching_allocator_delete(address))
    assert_refused(TypeError, "stream argument", lambda: torch.cuda.caching_allocator_alloc(8, 0, "s"))
    with torch.cuda.memory.caching_allocator_disabled():
        torch.cuda.caching_allocator_enable()
    assert torch.cuda.get_allocator_backend() == "native"
    _run_alone(
        "address = torch.cuda.caching_allocator_alloc(1 << 20)",
        "assert torch.cuda.memory_allocated() == 1 << 20, 'it is counted before there is a tensor, too'",
    )


def check_memory_of_all_threads() -> None:
    """What one thread makes another may free, and either counts."""
    before, kept = torch.cuda.memory_allocated(), []
    threads = [Thread(target=lambda: kept.append(torch.zeros(1 << 20, device=CUDA))) for _ in range(2)]
    for thread in threads:
        thread.start()
        thread.join()
    assert torch.cuda.memory_allocated() - before == 8 << 20
    thread = Thread(target=kept.clear)
    thread.start()
    thread.join()
    assert torch.cuda.memory_allocated() == before


def check_memory_is_counted_once_wherever_the_first_of_it_is_made() -> None:
    """In two threads at once; in a block with an allocator of the program's own, whose memory is its own affair."""
    _run_alone(
        "import threading, time",
        "from distrt.core.gpu import memory",
        "count, kept = memory.Count, []",
        "memory.Count = lambda: (time.sleep(0.2), count())[1]",
        "make = lambda: kept.append(torch.zeros(1 << 20, device='cuda'))",
        "threads = [threading.Thread(target=make) for _ in range(2)]",
        "for each in threads: each.start()",
        "for each in threads: each.join()",
        "assert torch.cuda.memory_allocated() == 8 << 20, torch.cuda.memory_allocated()",
    )
    _run_alone(
        "import cupy",
        "with cupy.cuda.using_allocator(cupy.get_default_memory_pool().malloc):",
        "    x = torch.zeros(1 << 20, device='cuda')",
        "y = torch.zeros(1 << 20, device='cuda')",
        "assert torch.cuda.memory_allocated() == 4 << 20, torch.cuda.memory_allocated()",
    )


def check_lack_of_memory() -> None:
    """PyTorch's error, upon which scripts try less."""
    x = torch.ones(10, device=CUDA)
    torch.cuda.set_per_process_memory_fraction(0.001)
    assert abs(torch.cuda.get_per_process_memory_fraction() - 0.001) < 1e-6
    try:
        assert_refused(
            torch.cuda.OutOfMemoryError, "CUDA out of memory", lambda: torch.zeros(1 << 28, device=CUDA)
        )
        assert_refused(RuntimeError, "CUDA out of memory", lambda: torch.zeros(1 << 28).cuda())
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert (x + 1).tolist() == [2.0] * 10


def check_streams() -> None:
    """Work in a stream of one's own, and times."""
    stream = torch.cuda.Stream()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    x = torch.ones(1000, device=CUDA)
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        assert torch.cuda.current_stream() == stream
        start.record()
        y = x * 2
        end.record()
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()
    assert start.elapsed_time(end) >= 0 and y.sum().item() == 2000


def check_memory_goes_to_other_libraries() -> None:
    """By DLPack, by CUDA's array interface, and back: the same memory."""
    import cupy

    from distrt.core.modes import used

    x = torch.ones(3, device=CUDA)
    used.gpu = False  # as where another library brings the first array
    assert torch.as_tensor(x._array).is_cuda and used.gpu
    assert x.__dlpack_device__() == (2, 0)
    assert x.__cuda_array_interface__["data"][0] == x.data_ptr()
    assert_refused(AttributeError, "non-CUDA tensor type", lambda: torch.ones(1).__cuda_array_interface__)
    assert torch.as_tensor(x._array).data_ptr() == torch.asarray(x._array).data_ptr() == x.data_ptr()
    assert torch.tensor(x._array).device == CUDA and not torch.as_tensor(x._array, device="cpu").is_cuda
    with warnings.catch_warnings(action="ignore"):  # a tensor is better cloned
        assert torch.tensor(x).device == CUDA
    assert_refused(ValueError, "negative", lambda: torch.as_tensor(x._array[::-1]))
    if getattr(cupy, "IS_FAKE", False):
        return  # it has no DLPack
    y, z = torch.from_dlpack(x), torch.utils.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(x))
    y += 1
    assert z.tolist() == x.tolist() == cupy.from_dlpack(x).get().tolist() == [2.0, 2.0, 2.0]
    assert cupy.asarray(x).data.ptr == x.data_ptr()
    stranger = SimpleNamespace(__cuda_array_interface__=x.__cuda_array_interface__)  # as Numba's arrays
    assert torch.as_tensor(stranger).data_ptr() == torch.asarray(stranger).data_ptr() == x.data_ptr()
    assert torch.tensor(stranger).tolist() == x.tolist()
    assert torch.from_dlpack(x.to(torch.bfloat16)).dtype is torch.bfloat16


def check_memory_that_another_stream_uses_is_not_given_away() -> None:
    """The stream that it was made in waits for its users when it is freed, in whichever thread."""
    from distrt.core.gpu import uses

    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        x = torch.ones(1000, device=CUDA)
    torch.cuda.current_stream().wait_stream(side)
    y = x * 2
    for _ in range(3):
        x.record_stream(torch.cuda.current_stream())
    waited, behind = [], uses.Held._come_behind
    uses.Held._come_behind = lambda held, users: (waited.append(len(users)), behind(held, users))  # type: ignore[method-assign]
    kept = [x]
    del x
    thread = Thread(target=kept.clear)
    thread.start()
    thread.join()
    uses.Held._come_behind = behind  # type: ignore[method-assign]
    assert waited == [1]
    with torch.cuda.stream(side):
        torch.zeros(1000, device=CUDA)
    assert y.sum().item() == 2000
    assert_refused(NotImplementedError, "aten::record_stream", lambda: torch.ones(1).record_stream(side))


def check_a_program_may_end_with_memory_that_another_stream_uses() -> None:
    """A module keeps it until CuPy is in parts: nobody gets it next, so nothing is done, and nothing said."""
    _run_alone(
        "import json",
        "json.kept = torch.ones(9, device='cuda')",
        "json.kept.record_stream(torch.cuda.Stream())",
    )


def check_pinned_and_shared() -> None:
    """``pin_memory=`` where tensors are made; the memory of a GPU counts as shared."""
    assert torch.empty(3, pin_memory=True).is_pinned() and torch.tensor([1.0], pin_memory=True).is_pinned()
    assert not torch.zeros(3).is_pinned()
    x = torch.ones(2, device=CUDA)
    assert x.share_memory_() is x and x.is_shared()


CHECKS = [value for name, value in globals().items() if name.startswith("check_")]


if __name__ == "__main__":
    sys.exit(1 if run_all(CHECKS) else 0)
