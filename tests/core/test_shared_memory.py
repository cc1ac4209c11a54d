"""Memory that processes share: mapped as long as somebody looks, and no longer; locks that a fork waits for."""

import os
import threading
from types import ModuleType

import numpy as np
import pytest

from distrt.core.carrying import ExceptionWrapper
from distrt.core.forking import lock_across_forks
from distrt.core.shared_memory import PAGE, SharedMemory, SharedRow
from distrt.core.unnamed import open_unnamed_file


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
