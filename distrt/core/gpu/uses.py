"""Memory that streams use beside the one that it was made for: what `Tensor.record_stream` says.

CuPy's pool gives freed memory to the next array of the stream that it was made for, without asking what other streams
still do with it. So that stream is made to wait for them when the memory is freed; `memory.watch` tells when.
"""

from __future__ import annotations

from typing import Any

from distrt.core.gpu import library
from distrt.core.modes import used

__all__ = ["freed", "made", "note_use"]

#: By the number that CuPy gives an allocation: the stream that it was made for (none: the default one), its users.
_homes: dict[int, Any] = {}
_users: dict[int, list[Any]] = {}


def made(allocation: int) -> None:
    """Memory has been made, for the current stream; nobody asks while there is the default one alone."""
    stream = library.find().cuda.get_current_stream()
    if stream.ptr:
        _homes[allocation] = stream


def note_use(array: Any, stream: Any) -> None:
    """A stream uses an array's memory until that is freed."""
    used.streams = True
    memory = array.data.mem
    if hasattr(memory, "pool"):  # other memory is not made again
        _users.setdefault(id(memory), []).append(stream)


def freed(allocation: int, device: int) -> None:
    """Memory is about to be given back: who gets it next comes behind what its users have queued."""
    home, users = _homes.pop(allocation, None), _users.pop(allocation, ())
    if not users:
        return
    cuda = library.find().cuda
    with cuda.Device(device):
        home = cuda.Stream.null if home is None else home
        for user in {each.ptr: each for each in users}.values():
            if user.ptr != home.ptr and not (user.is_capturing() or home.is_capturing()):
                mark = cuda.Event(disable_timing=True)
                mark.record(user)
                home.wait_event(mark)
