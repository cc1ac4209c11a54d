"""Batches in page-locked memory, which a GPU copies from while the program goes on: ``DataLoader(pin_memory=True)``.

Source: https://docs.pytorch.org/docs/stable/data.html#memory-pinning
"""

from __future__ import annotations

import copy
import queue
import threading
import weakref
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from typing import TYPE_CHECKING, Any

from distrt.core.gpu.places import same_queue
from distrt.core.tensor import Tensor
from distrt.data.iterating import InProcess
from distrt.data.workers.iterator import InWorkers

if TYPE_CHECKING:
    from distrt.data.dataloader import DataLoader

__all__ = ["PinnedInProcess", "PinnedInWorkers", "pin_memory"]

_LOOK_EVERY_S = 0.1  # whether anybody still wants the batches, or still brings them


def pin_memory(data: Any, device: Any = None) -> Any:
    """The same with all tensors in page-locked memory, in whatever lists, tuples and mappings they are.

    What has a method ``pin_memory`` is asked for it; what is no container stays as it is.
    """
    if isinstance(data, Tensor) or hasattr(data, "pin_memory"):
        return data.pin_memory()
    if isinstance(data, str | bytes):
        return data
    if isinstance(data, Mapping):
        return _mapping(data)
    if isinstance(data, tuple):
        items = [pin_memory(each) for each in data]
        return type(data)(*items) if hasattr(data, "_fields") else type(data)(items)
    return _sequence(data) if isinstance(data, Sequence) else data


def _mapping(data: Mapping[Any, Any]) -> Any:
    items = {key: pin_memory(value) for key, value in data.items()}
    try:
        if not isinstance(data, MutableMapping):
            return type(data)(items)  # type: ignore[call-arg]
        clone = copy.copy(data)  # it may have more than its items
        clone.update(items)
        return clone
    except TypeError:  # it cannot be made so
        return items


def _sequence(data: Sequence[Any]) -> Any:
    items = [pin_memory(each) for each in data]
    try:
        if not isinstance(data, MutableSequence):
            return type(data)(items)  # type: ignore[call-arg]
        clone = copy.copy(data)
        for place, each in enumerate(items):
            clone[place] = each
        return clone
    except TypeError:
        return items


class PinnedInProcess(InProcess):
    """Loads each batch when it is asked for, and copies it."""

    def _next_batch(self) -> tuple[Any, int]:
        batch, size = super()._next_batch()
        return pin_memory(batch), size


class PinnedInWorkers(InWorkers):
    """Loads in worker processes; a thread takes what comes and copies it, one batch ahead."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._thread: threading.Thread | None = None
        super().__init__(loader)

    def begin_again(self, loader: DataLoader[Any]) -> None:
        """Another pass with the same workers."""
        self._end_thread()
        super().begin_again(loader)

    def _end_thread(self) -> None:
        if self._thread is not None:
            self._is_over.set()
            self._thread.join()
            self._thread = None

    def _next_batch(self) -> tuple[Any, int]:
        if self._thread is None:
            self._ready_ones: queue.Queue[Any] = queue.Queue(1)
            self._is_over = threading.Event()
            arguments = weakref.ref(self), self._ready_ones, self._is_over, same_queue()
            self._thread = threading.Thread(target=_pin, args=arguments, name="distrt pinning", daemon=True)
            self._thread.start()
        found = self._found(self._thread)
        if isinstance(found, BaseException):
            self._end_thread()
            raise found
        batch, size = found
        return batch, size

    def _found(self, thread: threading.Thread) -> Any:
        """What the thread brings: a batch, or an error.

        Raises:
            RuntimeError: it has ended without.
        """
        while True:
            is_alive = thread.is_alive()
            try:
                return self._ready_ones.get(timeout=_LOOK_EVERY_S)
            except queue.Empty:
                if not is_alive:
                    self._end_thread()
                    raise RuntimeError("Pin memory thread exited unexpectedly") from None

    def _taken(self) -> tuple[Any, int]:
        return super()._next_batch()


def _pin(
    iterator: weakref.ref[PinnedInWorkers], ready: queue.Queue[Any], is_over: threading.Event, place: Any
) -> None:
    """In the thread: it holds the iterator only while it takes a batch, so that one that nobody wants goes."""
    with place:
        is_last = False
        while not is_last:
            wanted = iterator()
            if wanted is None:
                return
            try:
                batch, size = wanted._taken()
                found: Any = (pin_memory(batch), size)
            except BaseException as error:  # StopIteration, too
                found, is_last = error, True
            del wanted
            while True:
                if is_over.is_set() or iterator() is None:
                    return
                try:
                    ready.put(found, timeout=_LOOK_EVERY_S)
                    break
                except queue.Full:
                    continue
            found = None
