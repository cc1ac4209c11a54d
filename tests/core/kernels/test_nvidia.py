"""Handles of NVIDIA's libraries: each thread has its own, and what threads leave is taken by others."""

from __future__ import annotations

import threading
from ctypes import c_void_p
from types import SimpleNamespace
from typing import Any

import pytest

from distrt.core.kernels import nvidia


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(nvidia.gpus, "current", lambda: 0)
    made: list[int] = []

    def create(room: Any) -> int:
        made.append(len(made) + 1)
        room._obj.value = made[-1]
        return 0

    functions = SimpleNamespace(create=create)
    found = nvidia.NvidiaLibrary(functions, {"create": [c_void_p]}, "create", None, str)
    found.made = made  # type: ignore[attr-defined]
    return found


def in_threads(library: Any, count: int, meet: threading.Barrier | None = None) -> list[int]:
    """The handles that threads get, one thread after the other, or all at once."""
    found: list[int] = []

    def run() -> None:
        found.extend({library.handle().value for _ in range(2)})
        if meet:
            meet.wait(10)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for each in threads:
        each.start()
        if not meet:
            each.join()
    for each in threads:
        each.join()
    return found


def test_threads_that_come_one_after_the_other_share_a_handle(library: Any) -> None:
    assert set(in_threads(library, 5)) == {1}


def test_threads_at_one_time_have_handles_of_their_own(library: Any) -> None:
    assert sorted(in_threads(library, 3, threading.Barrier(3))) == [1, 2, 3]
    assert library.handle().value in (1, 2, 3)
    assert len(library.made) == 3


def test_gpus_have_handles_of_their_own(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = library.handle().value
    monkeypatch.setattr(nvidia.gpus, "current", lambda: 1)
    assert library.handle().value != first
