"""Where arrays are, and how they get somewhere else."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

from distrt.core import gpu
from distrt.core.arrays import Array, dim_order, is_meta, is_on_gpu, memory_of, row_major
from distrt.core.device import CPU, META, device, missing
from distrt.core.errors import DeviceError
from distrt.core.gpu import library
from distrt.core.gpu.capturing import refuse
from distrt.core.modes import used
from distrt.core.process.forking import lock_across_forks


@functools.cache
def of_number(number: int) -> device:
    """``cuda:N``."""
    return device("cuda", number)


def device_of(array: Array) -> device:
    """Where an array's memory is."""
    if isinstance(array, np.ndarray):
        return CPU
    if is_on_gpu(array):
        return of_number(array.device.id)
    return META if is_meta(array) else CPU


def moved(array: Array, target: device, non_blocking: bool = False) -> Array:
    """The elements of ``array`` in the memory of another device; the array itself where it is there already.

    The steps stay, as far as the elements fill their memory. A copy to the CPU is complete when this returns, also
    where ``non_blocking`` is asked for: NumPy has no way to wait for it later.
    """
    if device_of(array) == target:
        return array
    if used.sparse:
        from distrt.core.sparse.array import require_no_sparse

        require_no_sparse(array, target)
    if target is META or is_meta(array):
        from distrt.core.meta.crossing import crossed

        return crossed(array, target)
    if target.type == "cpu":
        return _downloaded(array)
    cupy = library.find()
    begin()
    if not isinstance(array, np.ndarray):
        return _crossed(cupy, array, cupy.cuda.Device(target.index))
    refuse("a copy from the CPU", "the memory that it comes from is another's when the graph is replayed")
    with cupy.cuda.Device(target.index):
        return _uploaded(cupy, array, non_blocking)


def beside(array: Array, tensor: Any) -> Array:
    """What was computed on the CPU for a tensor, where that tensor is."""
    return moved(array, device_of(tensor._array))


def taken_in(data: Any) -> Array:
    """CuPy's array of the memory on a GPU that an array of any library describes by ``__cuda_array_interface__``.

    Raises:
        DeviceMissing: where distrt finds no GPU.
    """
    cupy = library.find()
    if cupy is None:
        raise missing("cuda")
    begin()
    return data if is_on_gpu(data) else cupy.asarray(data)


def begin() -> None:
    """From the first array on a GPU on, operations look where arrays are, and memory is counted."""
    if not used.gpu:
        gpu.memory.watch()
        used.gpu_array = library.find().ndarray
        used.gpu = True


def table(array: Array, like: Array) -> Array:
    """What follows from sizes alone, where another array is; nobody may write to it."""
    return gpu.tables.kept_beside(array, like) if is_on_gpu(like) else np.asarray(array, like=like)


def _uploaded(cupy: Any, array: Array, non_blocking: bool) -> Array:
    order = dim_order(array)
    host = np.ascontiguousarray(array.transpose(order))
    packed = _uploaded_later(cupy, host) if non_blocking and is_pinned(host) else cupy.asarray(host)
    return packed.transpose(np.argsort(order).tolist()) if array.ndim > 1 else packed.reshape(array.shape)


def _crossed(cupy: Any, array: Array, there: Any) -> Array:
    """From one GPU to another: behind what the one has queued, and before what it does next to the same memory."""

    def mark() -> Any:
        made = cupy.cuda.Event(disable_timing=True)
        made.record()
        return made

    order = dim_order(array)
    with array.device:
        packed = row_major(array.transpose(order))  # CuPy copies nothing else between GPUs
        ready = mark()
    with there:
        cupy.cuda.get_current_stream().wait_event(ready)
        made = cupy.array(packed)
        done = mark()
    with array.device:
        cupy.cuda.get_current_stream().wait_event(done)
    return made.transpose(np.argsort(order).tolist()) if array.ndim > 1 else made.reshape(array.shape)


def _uploaded_later(cupy: Any, host: Array) -> Array:
    """What is in page-locked memory, copied from there while the program goes on; CuPy would copy it in between."""
    made = cupy.empty(host.shape, host.dtype)
    stream, done = cupy.cuda.get_current_stream(), cupy.cuda.Event(disable_timing=True)
    made.set(host, stream)
    done.record(stream)
    _keep_until(done, host)
    return made


#: What GPUs still read from the host's memory, and the mark behind it.
_on_their_way: deque[tuple[Any, Array]] = deque()
_keeping = (
    lock_across_forks()
)  # threads copy at the same time, and one would let go of what another looked at


def _keep_until(done: Any, host: Array) -> None:
    with _keeping:
        while _on_their_way and _on_their_way[0][0].done:
            _on_their_way.popleft()
        _on_their_way.append((done, host))


def _downloaded(array: Array) -> Array:
    refuse("a copy to the CPU")
    with array.device:
        order = dim_order(array)
        packed = array.transpose(order) if array.ndim > 1 else array
        if not packed.flags.c_contiguous:
            packed = packed.copy()
        host = packed.get()
    gpu.faults.raise_found()
    return host.transpose(np.argsort(order)) if array.ndim > 1 else host.reshape(array.shape)


def at(array: Array) -> AbstractContextManager[Any]:
    """A block in which the GPU of an array is the current one, as CuPy wants it; nothing for an array on the CPU."""
    return array.device if is_on_gpu(array) else nullcontext()


def go_to(arrays: Iterable[Any]) -> None:
    """Makes the GPU of the first array that is on one the current one."""
    for each in arrays:
        array = getattr(each, "_array", each)
        if array is not None and is_on_gpu(array):
            if array.device.id != library.current():
                array.device.use()
            return


def staying() -> AbstractContextManager[Any]:
    """A block after which the GPU is the current one that is so before."""
    return library.find().cuda.Device(library.current())  # type: ignore[no-any-return]


def same_queue() -> AbstractContextManager[Any]:
    """A block for another thread, in which the GPU and the stream are those that are the current ones here."""
    cuda = library.find().cuda
    gpu, stream = cuda.Device(library.current()), cuda.get_current_stream()

    @contextmanager
    def entered() -> Iterator[None]:
        with gpu, stream:
            yield

    return entered()


def is_pinned(array: Array) -> bool:
    """True for memory of the host that is page-locked."""
    owner = memory_of(array).base
    return type(getattr(owner, "obj", owner)).__name__ == "PinnedMemoryPointer"


def apart(name: str, one: device, other: device) -> DeviceError:
    """The error for arrays in two places."""
    return DeviceError(
        f"Expected all tensors to be on the same device, but found at least two devices, {one} and {other}! (when "
        f"checking arguments for {name.strip('_')})"
    )


@functools.cache
def prototype(target: device) -> Array:
    """An array without elements, to make others beside: ``np.zeros(3, like=prototype(device))``."""
    if target.type == "cpu":
        return np.empty(0, np.float32)
    return moved(np.empty(0, np.float32), target)
