"""Memory that processes share: ``tensor.share_memory_()``, and tensors on their way through ``multiprocessing``.

Shared memory is a part of a file without a name. A process that is forked has it mapped already; one that is started
otherwise inherits the file's descriptor; one that gets the tensor from a queue fetches it from the sender, which must
live until then. ``Copying`` lets each class of tensors be known here, ``distrt.multiprocessing`` turns it on.
"""

from __future__ import annotations

import mmap
import os
import sys
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from distrt.core.arrays import Array, Place, memory_of, place_in, place_of, row_of
from distrt.core.errors import AutogradError
from distrt.core.sparse.array import is_sparse
from distrt.core.storage.copying import Copying, attributes_of, rebuild
from distrt.core.storage.shared_memory import PAGE, SharedMemory, SharedRow, round_up
from distrt.core.storage.unnamed import open_unnamed_file
from distrt.core.tensors.versions import live_views

if TYPE_CHECKING:
    from distrt.core.tensor import Tensor

_CHUNK = 1 << 20  # bytes of a file that holds several tensors: a model's parameters need few descriptors
_ALIGNED = 64
# That a new process gets for tensors that were not shared: a fork server passes on 252 descriptors.
_MOST_FILES = 240


class FileMap(mmap.mmap):
    """A map of a file, which belongs to one process."""


def is_shared(array: Array) -> bool:
    """True where the memory of an array is a shared map."""
    owner = memory_of(array).base
    if isinstance(owner, memoryview):
        owner = owner.obj
    return isinstance(owner, mmap.mmap | SharedRow) and not isinstance(owner, FileMap)


def share_memory_(self: Tensor) -> Tensor:
    """Moves the memory to where processes share it, and with it the tensor's base and its views.

    Processes forked from now on see it, and those that are given the tensor by ``distrt.multiprocessing``. Memory that
    is shared already stays where it is, and so does that of a GPU. Returns this tensor.
    """
    if self.is_cuda:
        return self
    send_through_multiprocessing()
    array = self._array
    if is_shared(array) or not array.size:
        return self
    old = row_of(array).view(np.uint8)
    new = _new_part(old.nbytes).row()
    new[...] = old
    base = self if self._base is None else self._base
    family = {id(each): each for each in (self, base, *live_views(self._counter))}
    memory = memory_of(array)
    for each in family.values():
        if memory_of(each._array) is memory:
            each._array = place_in(new, place_of(each._array))
    return self


def send_through_multiprocessing() -> None:
    """From now on tensors that go through ``multiprocessing`` take their shared memory along."""
    import multiprocessing.reduction  # noqa: F401 - 10 ms, which only those pay who share

    kinds: list[Any] = [Copying]
    for kind in kinds:
        kinds += kind.__subclasses__()
        _register(kind)


def require_no_history(tensor: Tensor) -> None:
    """Raises AutogradError for a tensor whose graph would have to come along to another process."""
    if tensor.requires_grad and not tensor.is_leaf:
        raise AutogradError(
            "Cowardly refusing to serialize non-leaf tensor which requires_grad, since autograd does not "
            "support crossing process boundaries.  If you just want to transfer the data, call detach() on the "
            "tensor before serializing (e.g., putting it on the queue)."
        )


class _File(SharedMemory):
    """Shared memory that can be sent: it keeps its descriptor. Tensors lie in it one after another."""

    __slots__ = ("_descriptor", "_used")

    def __init__(self, descriptor: int, length: int) -> None:
        self._descriptor, self._used = descriptor, 0
        super().__init__(descriptor, length)

    def __del__(self) -> None:
        super().__del__()
        os.close(self._descriptor)

    def __reduce__(self) -> tuple[Any, ...]:
        from multiprocessing.reduction import DupFd

        return _opened, (_identity(self._descriptor), DupFd(self._descriptor), self.length)

    def part(self, length: int) -> _Part | None:
        """So many bytes that no tensor lies in; None where too few are left."""
        start = self._used
        if start + length > self.length:
            return None
        self._used = round_up(start + length, _ALIGNED)
        return _Part(self, length, start)


class _Part(SharedRow):
    """The bytes of one tensor's memory in a file."""

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return _Part, (self.memory, *self.__array_interface__["shape"], self.offset)


#: The file that the next small tensors of this process go to, and all files by device and number: what comes twice
#: is mapped once. A process that was forked begins a file of its own.
_open: dict[int, _File] = {}
_known: weakref.WeakValueDictionary[tuple[int, int], _File] = weakref.WeakValueDictionary()


def _new_part(length: int) -> _Part:
    """Shared memory for a tensor of so many bytes."""
    process = os.getpid()
    last = _open.get(process)
    part = None if last is None else last.part(length)
    if part is None:
        file = _new_file(round_up(length, PAGE) if length > _CHUNK // 2 else _CHUNK)
        part = file.part(length)
        if length <= _CHUNK // 2:
            _open.clear()
            _open[process] = file
    assert part is not None, "the file was made long enough"
    return part


def _new_file(length: int) -> _File:
    descriptor = open_unnamed_file("tensors")
    try:
        os.ftruncate(descriptor, length)
        return _kept(_File(descriptor, length))
    except BaseException:
        os.close(descriptor)
        raise


def _kept(file: _File) -> _File:
    _known[_identity(file._descriptor)] = file
    return file


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _opened(identity: tuple[int, int], handle: Any, length: int) -> _File:
    """The file that another process has sent; one that is known here is not asked for."""
    file = _known.get(identity)
    if file is None:
        file = _kept(_File(handle.detach(), length))
        file._used = length  # whoever made it goes on to fill it
    return file


def _register(kind: Any) -> None:
    """Lets ``multiprocessing``, where it is loaded, pickle this class of tensors by ``_sent``."""
    reduction = sys.modules.get("multiprocessing.reduction")
    if reduction is not None and kind.__reduce_ex__ is Copying.__reduce_ex__:
        reduction.ForkingPickler.register(kind, _sent)


def _sent(tensor: Tensor) -> Any:
    """What ``multiprocessing`` pickles: shared memory by its file; other memory is shared first, for a new process.

    Beyond a number of files, memory that was not shared is copied: lists of tensors may be long.
    What goes through a queue and is not shared is copied: its sender need not live on until it is fetched. Sparse
    tensors are copied.
    """
    from multiprocessing.context import get_spawning_popen

    require_no_history(tensor)
    if is_sparse(tensor._array):
        return tensor.__reduce_ex__(2)
    new: Any = get_spawning_popen()
    is_full = len(getattr(new, "_fds", ())) >= _MOST_FILES  # what multiprocessing's own Popen will pass on
    if new is not None and not is_full and memory_of(tensor._array).flags.writeable:
        share_memory_(tensor)
    part = memory_of(tensor._array).base
    if not isinstance(part, _Part):
        return tensor.__reduce_ex__(2)
    return _received, (
        type(tensor),
        part,
        place_of(tensor._array),
        tensor.requires_grad,
        attributes_of(tensor),
    )


def _received(kind: type, part: _Part, place: Place, requires_grad: bool, attributes: dict[str, Any]) -> Any:
    return rebuild(kind, part.row(), place, requires_grad, attributes)


Copying._on_subclass = staticmethod(_register)
if "multiprocessing.reduction" in sys.modules:
    send_through_multiprocessing()
