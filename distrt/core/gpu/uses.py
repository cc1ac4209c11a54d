"""The memory of arrays on a GPU, from when it is made until it is freed, in whichever thread that is.

CuPy tells its hooks of what their own thread makes and frees alone, so each allocation has an object here that knows
when it goes. Streams may use memory beside the one that it was made for, which `Tensor.record_stream` says: CuPy's pool
gives freed memory to the next array of the latter, without asking. So that one is made to wait for the others first.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from distrt.core.gpu import library
from distrt.core.gpu.history import Block, noting
from distrt.core.modes import used
from distrt.core.process.forking import lock_across_forks

__all__ = ["Count", "Held", "note_use"]


class Count:
    """The bytes of one GPU.

    Attributes:
        used: in arrays.
        most_used: the most that ``used`` has been since it was last set back.
        most_reserved: the most that the pool has been seen to hold since then.
        allocations, freed: how many there were.
        blocks: by their addresses, those that arrays have.
    """

    __slots__ = ("_lock", "allocations", "blocks", "freed", "most_reserved", "most_used", "used")

    def __init__(self) -> None:
        self.used = self.most_used = self.most_reserved = self.allocations = self.freed = 0
        self.blocks: dict[int, Block] = {}
        self._lock = threading.RLock()  # memory may be freed wherever Python collects garbage, here too

    def made(self, address: int, block: Block) -> None:
        """An array has got memory."""
        size = block.size
        with self._lock:
            self.blocks[address] = block
            self.allocations += 1
            self.used += size
            if self.used > self.most_used:
                self.most_used = self.used

    def gone(self, address: int) -> Block:
        """An array has given it back."""
        with self._lock:
            block = self.blocks.pop(address)
            self.freed += 1
            self.used -= block.size
        return block


class Held:
    """Memory of the pool that an array has: it goes back when this object goes.

    Args:
        pointer: CuPy's.
        count: of its GPU.
        requested: the bytes that were asked for.
        pool: the number of the pool.

    Attributes:
        users: by their handles, streams that use it beside the one that it was made for; None until there are any.
    """

    __slots__ = ("_count", "_home", "_pointer", "users")

    def __init__(self, pointer: Any, count: Count, requested: int, pool: tuple[int, int]) -> None:
        self._pointer, self._count = pointer, count
        self._home: Any = library.find().cuda.get_current_stream() if used.streams else None
        self.users: dict[int, Any] | None = None
        stream = 0 if self._home is None else self._home.ptr
        now, size, address = noting.now, pointer.mem.size, pointer.ptr
        if now is None:
            count.made(address, Block(size, requested, stream, pool, None))
            return
        frames = now.lines() if now.context else None
        count.made(address, Block(size, requested, stream, pool, frames))
        now.note("alloc", pointer.device_id, address, size, stream, pool, frames)

    def __del__(self, is_ending: Callable[[], bool] = sys.is_finalizing) -> None:
        pointer = getattr(self, "_pointer", None)  # none where there was no time for it
        if pointer is None:
            return
        block = self._count.gone(pointer.ptr)
        if noting.now is not None:
            noting.now.freed(pointer.device_id, pointer.ptr, block)
        if self.users is not None and not is_ending():  # then nobody gets it next, and CuPy is in parts
            self._come_behind(self.users.values())

    def _come_behind(self, users: Iterable[Any]) -> None:
        """Who gets the memory next comes behind what its users have queued."""
        cuda = library.find().cuda
        with cuda.Device(self._pointer.device_id):
            home = cuda.Stream.null if self._home is None else self._home
            for user in users:
                if user.ptr != home.ptr and not (user.is_capturing() or home.is_capturing()):
                    mark = cuda.Event(disable_timing=True)
                    mark.record(user)
                    home.wait_event(mark)


_adding_user = lock_across_forks()


def note_use(array: Any, stream: Any) -> None:
    """A stream uses an array's memory until that is freed."""
    held = getattr(array.data.mem, "_owner", None)
    if not isinstance(held, Held):  # other memory is not made again
        return
    with _adding_user:
        if held.users is None:
            held.users = {}
        held.users[stream.ptr] = stream
