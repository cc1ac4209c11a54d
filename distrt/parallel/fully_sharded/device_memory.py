"""``DeviceMemory``: what a unit takes memory from whose whole parameters are on a GPU.

The graph keeps views of a module's parameters between forward and backward, and so would keep their memory. There are
no pages to take from below them; so as a node is recorded, what it keeps of whole parameters is replaced by where it
lies in them. Backward takes it from wherever they are gathered to by then. Who else has a view (a script, an
``autograd.Function``) keeps the memory, with the values that it had.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from distrt.core.arrays import Array, Place, address_of, array_module, is_on_gpu, memory_of, place_in
from distrt.core.autograd.node import FREED, Node
from distrt.core.autograd.packing import is_active
from distrt.core.device import device
from distrt.core.errors import DeviceError
from distrt.core.gpu import library
from distrt.core.gpu.places import device_of, moved, prototype
from distrt.core.modes import modes

if TYPE_CHECKING:
    from distrt.core.tensor import Tensor
    from distrt.nn.modules.module import Module

__all__ = ["DeviceArena", "DeviceMemory", "bring"]


def bring(parameters: Iterable[Tensor], modules: Sequence[Module], place: device) -> None:
    """Have parameters, and the buffers of modules, on the GPU; those without data get some later.

    Raises:
        DeviceError: one is on another GPU.
    """
    buffers = [each for module in modules for each in module.buffers()]
    for tensor in [each for each in (*parameters, *buffers) if not each.is_meta]:
        if tensor.is_cuda and device_of(tensor._array) != place:
            raise DeviceError(
                f"fully_shard: a tensor of the model is on {tensor.device}, and this rank's GPU is {place}: "
                "torch.cuda.set_device(local_rank) first"
            )
        tensor._array = moved(tensor._array, place)


class DeviceMemory:
    """The memory of a GPU.

    Args:
        place: the GPU.
        is_apart: keep parts, and their gradients, in page-locked memory of the CPU (``CPUOffloadPolicy``).
    """

    def __init__(self, place: device, is_apart: bool = False) -> None:
        self.device, self.is_apart = place, is_apart
        self._like = prototype(place)

    def zeros(self, shape: Any, dtype: Any) -> Array:
        """Zeros."""
        with library.find().cuda.Device(self.device.index):
            return np.zeros(shape, dtype, like=self._like)

    def empty(self, shape: Any, dtype: Any) -> Array:
        """Memory as it comes."""
        with library.find().cuda.Device(self.device.index):
            return np.empty(shape, dtype, like=self._like)

    def row(self, size: int, dtype: Any) -> Array:
        """Zeros, for a unit's parts."""
        return _page_locked(size, dtype) if self.is_apart else self.zeros(size, dtype)

    def arena(self, size_bytes: int) -> DeviceArena:
        """Room for whole parameters."""
        return DeviceArena(self, size_bytes)

    def fetched(self, row: Array) -> Array:
        """Parts, where they can be sent from."""
        return moved(row, self.device) if self.is_apart else row

    def brought(self, row: Array) -> Array:
        """Reduced gradients, where the parts are."""
        if not self.is_apart:
            return row
        host = _page_locked(row.size, row.dtype)
        row.get(out=host)
        return host


def _page_locked(size: int, dtype: Any) -> Array:
    kind = np.dtype(dtype)
    room = library.find().cuda.alloc_pinned_memory(max(1, size * kind.itemsize))
    found = np.frombuffer(room, kind, size)
    found[...] = 0
    return found


class DeviceArena:
    """Memory for a unit's whole parameters, which is there from ``acquire`` to ``release``."""

    def __init__(self, memory: DeviceMemory, size_bytes: int) -> None:
        self._memory, self._size_bytes = memory, max(size_bytes, 1)
        self._bytes: Array | None = None

    @property
    def bytes(self) -> Array:
        """All of it."""
        assert self._bytes is not None, "a node keeps the version of what lies here, which has changed"
        return self._bytes

    def acquire(self) -> Array:
        """All of it, to be written to."""
        self._bytes = self._memory.empty(self._size_bytes, np.uint8)
        _live[id(self._bytes)] = self
        modes.watch_with("sharded", _let_go)
        return self._bytes

    def release(self) -> None:
        """Give it back; it goes when nobody has a view of it."""
        _live.pop(id(self._bytes), None)
        self._bytes = None

    def outline(self, place: slice, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
        """What stands for an array in it while nothing is there: a single element, wherever one looks."""
        one = self._memory.zeros(1, dtype)
        with library.find().cuda.Device(self._memory.device.index):
            return array_module(one).ndarray(shape, dtype, memptr=one.data, strides=(0,) * len(shape))


#: Those that have memory, by it.
_live: weakref.WeakValueDictionary[int, DeviceArena] = weakref.WeakValueDictionary()


class _Within(NamedTuple):
    """What a node keeps of whole parameters: where it lies. It has an array's shape and dtype, for messages."""

    arena: DeviceArena
    place: Place

    @property
    def shape(self) -> tuple[int, ...]:
        return self.place.shape

    @property
    def dtype(self) -> Any:
        return self.place.dtype

    def array(self) -> Array:
        """It, where it is now."""
        memory = self.arena.bytes
        return place_in(memory, self.place) if math.prod(self.place.shape) else memory[:0].view(self.dtype)


class _LettingGo(Node):
    """A node that keeps places in whole parameters. Their versions are checked as ever."""

    __slots__ = ()

    def take_saved(self, keep_graph: bool) -> tuple[Any, ...]:
        """The kept values, those of whole parameters from where these are now."""
        return tuple(_each(super().take_saved(keep_graph), _back))


def _let_go(node: Node) -> None:
    if not _live:  # arenas end on other threads, too, and with models that nobody gives back
        modes.watch_with("sharded", None)
        return
    if node.is_custom or not node.saved or node.saved is FREED or is_active():
        return
    saved = _each(node.saved, _gone)
    if any(new is not old for new, old in zip(saved, node.saved, strict=True)):
        node.saved = tuple(saved)
        node.__class__ = _LettingGo


def _gone(value: Any) -> Any:
    if not is_on_gpu(value):
        return value
    memory = memory_of(value)
    arena = _live.get(id(memory))
    if arena is None or arena._bytes is not memory or not value.size:
        return value
    offset = address_of(value) - address_of(memory)
    return _Within(arena, Place(value.shape, value.strides, offset, value.dtype))


def _back(value: Any) -> Any:
    return value.array() if isinstance(value, _Within) else value


def _each(values: Any, change: Any) -> list[Any]:
    """The values changed, also inside lists; a list in which nothing has is the same one."""
    found = []
    for value in values:
        if type(value) is list:
            inner = _each(value, change)
            same = all(new is old for new, old in zip(inner, value, strict=True))
            found.append(value if same else inner)
        else:
            found.append(change(value))
    return found
