"""Memory that processes share: mapped as long as somebody looks, and no longer; locks that a fork waits for."""

import os
import threading
import types
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import distrt
from distrt import nn
from distrt.core.process.carrying import ExceptionWrapper
from distrt.core.process.forking import lock_across_forks
from distrt.core.storage.shared_memory import PAGE, SharedMemory, SharedRow
from distrt.core.storage.unnamed import open_unnamed_file


def mappings() -> int:
    with open("/proc/self/maps") as file:
        return sum("distrt-test" in line for line in file)


def test_memory_is_mapped_as_long_as_an_array_lies_in_it() -> None:
    descriptor = open_unnamed_file("test")
    os.ftruncate(descriptor, 3 * PAGE)
    before = len(os.listdir("/proc/self/fd"))
    first, second = (SharedRow(SharedMemory(descriptor, 3 * PAGE), 2 * PAGE).row() for _ in range(2))
    assert len(os.listdir("/proc/self/fd")) == before, "a mapping holds no descriptor"
    os.close(descriptor)
    assert (mappings(), first.shape, first.dtype) == (2, (2 * PAGE,), np.uint8)
    view = first[5:9].view(np.uint32)
    del first
    view[0] = 0x01020304
    assert second[5:9].tolist() == [4, 3, 2, 1]
    assert mappings() == 2
    del view
    assert mappings() == 1
    del second
    assert mappings() == 0


def test_memory_that_cannot_be_mapped_is_an_oserror() -> None:
    with pytest.raises(OSError, match="cannot map memory"):
        SharedMemory(-1, PAGE)


def test_a_fork_waits_for_a_lock_and_a_child_finds_it_open() -> None:
    lock = lock_across_forks()
    events: list[str] = []
    held = threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            threading.Event().wait(0.1)
            events.append("done")

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if not child:
        os._exit(0 if events == ["done"] and lock.acquire(timeout=1) else 1)
    _, status = os.waitpid(child, 0)
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 0
    assert lock.acquire(timeout=1)
    lock.release()


class Named(Exception):  # noqa: N818
    message = "as some libraries have it"

    def __init__(self, message: str = "") -> None:
        super().__init__(message)


class OfTwo(Exception):  # noqa: N818
    def __init__(self, one: int, two: int) -> None:
        super().__init__(one, two)


@pytest.mark.parametrize(
    "error", [ValueError("v"), KeyError("k"), Named("n"), OfTwo(1, 2), OSError(2, "o")], ids=repr
)
def test_an_error_is_carried_as_pytorch_carries_it(torch: ModuleType, error: Exception) -> None:
    def carried(kind: type) -> tuple[type, str]:
        try:
            raise error.with_traceback(None)
        except Exception:
            wrapper = kind(where="in a test")
        with pytest.raises(Exception) as caught:
            wrapper.reraise()
        return type(caught.value), str(caught.value)

    assert carried(ExceptionWrapper) == carried(torch._utils.ExceptionWrapper)


class Marked(distrt.Tensor):
    """A class that users make."""


class Inherited:
    """What stands for a descriptor that a new process inherits."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def detach(self) -> int:
        return self.descriptor


@pytest.mark.parametrize("kind", ["a queue", "a new process"])
def test_shared_memory_travels_through_multiprocessing(monkeypatch: Any, kind: str) -> None:
    """The pickle has the file, so that whoever reads it maps the same bytes; here it is a pickle to ourselves."""
    from multiprocessing import context, resource_sharer
    from multiprocessing.reduction import ForkingPickler

    import distrt.multiprocessing

    assert distrt.multiprocessing.get_sharing_strategy() == "file_descriptor"
    if kind == "a new process":
        popen = types.SimpleNamespace(
            duplicate_for_child=lambda descriptor: descriptor,
            DupFd=Inherited,
        )
        monkeypatch.setattr(context, "get_spawning_popen", lambda: popen)
    base = distrt.arange(12.0)
    view, marked, weight = (
        base.view(3, 4).t(),
        distrt.ones(2).as_subclass(Marked),
        nn.Parameter(distrt.ones(3)),
    )
    weight.note = "kept"  # type: ignore[attr-defined]
    if kind == "a queue":
        for each in (base, weight):
            each.share_memory_()
    got_view, got_marked, got_weight, again = ForkingPickler.loads(
        ForkingPickler.dumps((view, marked, weight, base))
    )
    resource_sharer.stop()  # the standard library's thread, which hands out descriptors
    view[0, 1] = 50.0
    weight.data[0] = 7.0
    assert got_view.tolist() == view.tolist() and again[4] == 50 and got_view.stride() == (1, 4)
    assert type(got_weight) is nn.Parameter and got_weight.requires_grad and got_weight.note == "kept"
    assert got_weight[0] == 7 and got_view.untyped_storage().nbytes() == 48
    marked[0] = 9.0
    assert type(got_marked) is Marked
    assert got_marked.tolist() == ([1, 1] if kind == "a queue" else [9, 1])  # it was not shared


def test_many_shared_tensors_need_few_descriptors_and_keep_to_their_bytes() -> None:
    before = len(os.listdir("/proc/self/fd"))
    tensors = [distrt.full((size,), float(size)).share_memory_() for size in range(1, 200)]
    big = distrt.zeros(1 << 18).share_memory_()
    assert len(os.listdir("/proc/self/fd")) <= before + 2
    for each in tensors:
        each.add_(1)
    assert all(each.eq(size + 1).all() for size, each in enumerate(tensors, 1)) and not big.any()
    del tensors, big, each
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # the last file waits for more


def test_a_graph_does_not_travel() -> None:
    from multiprocessing.reduction import ForkingPickler

    tensor = distrt.ones(2, requires_grad=True) * 2
    distrt.ones(1).share_memory_()
    with pytest.raises(RuntimeError, match="Cowardly refusing to serialize non-leaf tensor"):
        ForkingPickler.dumps(tensor)
