"""``Bucket``: several gradients in one buffer, reduced together.

The mechanism under ``DistributedDataParallel``, which holds the policy. A bucket's buffer lies in the segment that the
ranks of a machine share, each gradient is a view of it, and the all-reduce works on it in place: a gradient is
written once, by backward, and never copied.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Iterable, Sequence
from sys import getrefcount
from typing import Any, TypeAlias

import numpy as np

from distrt.comm.futures import Future
from distrt.comm.process_group import ProcessGroup, ReduceOp, Work
from distrt.core.arrays import (
    Array,
    address_of,
    array_module,
    is_dense,
    is_on_gpu,
    is_writeable,
    memory_of,
)
from distrt.core.errors import ShapeError
from distrt.core.process.references import ARGUMENT
from distrt.core.tensor import Tensor, wrap
from distrt.core.tensors.questions import typename
from distrt.parallel.leases import Lease, allocate_leased, give_back, renew

#: What users may put in the place of the all-reduce; it averages, too.
CommHook: TypeAlias = Callable[["GradBucket"], Any]

#: References to a slot that its bucket alone has: that of the list, and of what the list gives to `getrefcount`.
_UNSHARED = 2
#: To a former slot that only its parameter's gradient shows: a list's, a variable's, the gradient's, the argument.
_WHEN_LEAVING = 3 + ARGUMENT
#: To an array that one gradient alone has: its own, a variable's, the argument.
_WHEN_ASKED = 2 + ARGUMENT


class GradBucket:
    """A bucket as communication hooks see it, with PyTorch's methods."""

    def __init__(self, bucket: Bucket, index: int, is_last: bool) -> None:
        self._bucket, self._index, self._is_last = bucket, index, is_last
        self._replacement: Tensor | None = None

    def index(self) -> int:
        """Its number; buckets are launched in order."""
        return self._index

    def is_last(self) -> bool:
        """Whether it is the last one of the pass."""
        return self._is_last

    def buffer(self) -> Tensor:
        """All gradients back to back, (elements,): those in place, unless ``set_buffer`` has replaced them."""
        return wrap(self._bucket.buffer) if self._replacement is None else self._replacement

    def gradients(self) -> list[Tensor]:
        """Each parameter's gradient, as a view of the buffer."""
        if self._replacement is None:
            return [wrap(slot) for slot in self._bucket.slots]
        pieces = self._replacement.split([slot.size for slot in self._bucket.slots])
        return [_laid_out_as(slot, piece) for piece, slot in zip(pieces, self._bucket.slots, strict=True)]

    def parameters(self) -> list[Tensor]:
        """The parameters, in the order of their gradients."""
        return list(self._bucket.parameters)

    def set_buffer(self, buffer: Tensor) -> None:
        """Give this object another buffer, such as one of half precision; the gradients stay as they are."""
        self._replacement = buffer


def _laid_out_as(slot: Array, piece: Tensor) -> Tensor:
    if slot.flags.c_contiguous:
        return piece.view(slot.shape)
    return piece.as_strided(slot.shape, [stride // slot.itemsize for stride in slot.strides])


class Bucket:
    """The gradients of some parameters, all of one dtype, back to back in one buffer.

    A gradient that lies elsewhere and that somebody looks at is copied in and, averaged, back to where it lies.
    """

    writes_back = True

    def __init__(
        self,
        parameters: Sequence[Tensor],
        group: ProcessGroup,
        lease: Lease,
        is_shared: Callable[[Tensor], bool] = lambda parameter: False,
    ) -> None:
        self.parameters = list(parameters)
        self.group = group
        #: The positions of gradients that are averaged here, too, but handed out by another wrapper (see `Shares`).
        self.lent: frozenset[int] = frozenset()
        total = self.room(sum(parameter.numel() for parameter in parameters), parameters[0]._array.dtype)
        first = parameters[0]._array
        self.buffer: Array = allocate_leased(group, total, first.dtype, lease, parameters, like=first)
        self.slots = self._cut()
        for parameter, slot in zip(self.parameters, self.slots, strict=True):
            if not is_shared(parameter):
                parameter._grad_slot = slot
        self.work: Any = None  # a Work, or a hook's Future
        self.reset()
        self.set_up()

    def _cut(self) -> list[Array]:
        """Each parameter's part of the buffer.

        A part is the base of every view of it, so that its references tell whether somebody has one. Its elements lie
        in the order of the parameter's, as in PyTorch.
        """
        found, start = [], 0
        self._strides = [parameter._array.strides for parameter in self.parameters]
        for parameter in self.parameters:
            array = parameter._array
            found.append(_part(self.buffer, start, array.shape, self.strides_of(array)))
            start += array.nbytes
        return found

    def strides_of(self, array: Array) -> tuple[int, ...] | None:
        """How the gradient of a parameter lies in its part; None for row by row."""
        return array.strides if is_dense(array) else None

    def set_up(self) -> None:
        """Make what a kind of bucket has besides its buffer; a collective."""

    def room(self, count: int, dtype: np.dtype[Any]) -> int:
        """How many elements the buffer of ``count`` has."""
        return count

    def reset(self) -> None:
        """Before a backward pass: no gradient is ready."""
        self.is_ready = [False] * len(self.parameters)
        self.missing = len(self.parameters)
        self.work = None

    def follow_layouts(self) -> None:
        """Before a pass: parameters may lie otherwise in memory than they did."""
        if [parameter._array.strides for parameter in self.parameters] != self._strides and self._fits():
            self._leave()

    def _is_looked_at(self, position: int) -> bool:
        """Whether somebody has a tensor, a view or a NumPy array of this slot."""
        is_lent = self.parameters[position]._grad_slot is self.slots[position]
        return getrefcount(self.slots[position]) > _UNSHARED + is_lent

    def _free_slot(self, position: int) -> Array:
        """A slot to write to. Former gradients that somebody still looks at stay what they are: the bucket moves."""
        if self._is_looked_at(position):
            self._leave()
        return self.slots[position]

    def _fits(self) -> bool:
        """Whether parameters that lie otherwise than they did have their sizes yet."""
        pairs = zip(self.parameters, self.slots, strict=True)
        return all(parameter._array.shape == slot.shape for parameter, slot in pairs)

    def _leave(self) -> None:
        """Go on in other memory, with the gradients that parameters have."""
        former, self.buffer = self.slots, renew(self.group, self.buffer)
        self.slots = self._cut()
        for position, parameter in enumerate(self.parameters):
            old, slot = former[position], self.slots[position]
            if parameter._grad_slot is old:
                parameter._grad_slot = slot
            gradient = parameter.grad
            if gradient is None or gradient._array is not old or slot.strides != old.strides:
                continue
            # One that somebody looks at stays, to be added to.
            if not self.writes_back or getrefcount(old) <= _WHEN_LEAVING:
                gradient._array = slot

    def lend(self, positions: frozenset[int]) -> None:
        """In this pass, another wrapper hands these gradients out: what is reduced here is not theirs."""
        self.lent = positions
        self.move_out(positions)

    def move_out(self, positions: Iterable[int]) -> None:
        """These parameters' gradients become copies, and their slots free for something else."""
        for position in positions:
            gradient = self.parameters[position].grad
            if gradient is not None and gradient._array is self.slots[position]:
                gradient._array = gradient._array.copy("K")

    def mark_ready(self, position: int) -> bool:
        """Notes that a parameter's gradient is complete; True when it was the last one of the bucket."""
        if not self.is_ready[position]:
            self.is_ready[position] = True
            self.missing -= 1
        gradient = self.parameters[position].grad
        if gradient is not None and gradient._array is not self.slots[position]:
            self._take_in(position, gradient)
        return self.missing == 0

    def _take_in(self, position: int, gradient: Tensor) -> None:
        """Have a gradient averaged that lies elsewhere: where a script has put it, or since its slot was not free."""
        slot = self._free_slot(position)
        slot[...] = gradient._array
        if position in self.lent:
            return
        if gradient.requires_grad:  # left by a pass with create_graph
            self.parameters[position].grad = wrap(slot)
        elif not (self.writes_back and _is_shown_elsewhere(gradient)):
            gradient._array = slot

    def fill_missing(self) -> list[int]:
        """Completes the slots of parameters that this pass did not reach; returns their positions.

        What such a parameter has accumulated before counts; one without a gradient counts as zero.
        """
        unused = [position for position, ready in enumerate(self.is_ready) if not ready]
        for position in unused:
            if self.parameters[position].grad is None:
                self._free_slot(position)[...] = 0
            else:
                self.mark_ready(position)
        return unused

    def clear(self) -> None:
        """Zeros in all slots, which leaves the gradients that parameters have as they are."""
        positions = range(len(self.parameters))
        self.move_out(positions)
        for position in positions:
            self._free_slot(position)
        self.buffer[...] = 0

    def launch(self, op: ReduceOp, hook: CommHook | None, index: int, is_last: bool) -> None:
        """Starts reducing over the ranks, or what ``hook`` does instead; does not wait."""
        if hook is None:
            self.work = self.group.all_reduce(self.buffer, op, async_op=True)
        else:
            self.work = _require_future(hook(GradBucket(self, index, is_last)))

    def wait(self, divisor: float | None = None) -> None:
        """Waits until the reduced gradients are in the slots, and divides them."""
        work, self.work = self.work, None
        if work is None:
            return
        result = work.wait()
        if not isinstance(work, Work):
            self._take(result)
        if divisor is not None:
            np.divide(self.buffer, divisor, out=self.buffer)
        for position, slot in enumerate(self.slots):
            gradient = self.parameters[position].grad
            if gradient is None:
                continue
            if gradient._array is not slot and self.is_ready[position] and position not in self.lent:
                gradient._array[...] = slot
            gradient._counter[0] += 1

    @staticmethod
    def settle(buckets: Sequence[Bucket], divisor: float | None) -> None:
        """When all buckets of a pass have been waited for."""

    def result(self, position: int) -> Array:
        """Where a parameter's averaged gradient is."""
        return self.slots[position]

    def _take(self, tensor: Any) -> None:
        """Take over what a hook's future gave."""
        if not isinstance(tensor, Tensor):
            raise RuntimeError(
                f"Unable to cast {tensor} to Tensor: a communication hook's future must give one tensor of the "
                f"bucket's {self.buffer.size} elements"
            )
        found = tensor._array.reshape(-1)
        if found.size < self.buffer.size:
            raise ShapeError(
                f"a communication hook's future must give a tensor of the bucket's {self.buffer.size} elements, "
                f"got {tuple(tensor.shape)}"
            )
        if address_of(found) != address_of(self.buffer) or found.dtype != self.buffer.dtype:
            self.buffer[...] = found[: self.buffer.size]

    def free(self) -> None:
        """Gives the buffer back; a collective. Gradients that are still held stay valid."""
        if any(map(self._is_looked_at, range(len(self.slots)))):
            self.buffer = renew(self.group, self.buffer)  # they stay where they are
        for parameter, slot in zip(self.parameters, self.slots, strict=True):
            if parameter._grad_slot is slot:
                parameter._grad_slot = None
        self.slots.clear()
        give_back(self.group, self.buffer)


class OrderedBucket(Bucket):
    """A bucket on a GPU whose sums are made along the tree of all other transports, whatever NCCL would do."""

    def launch(self, op: ReduceOp, hook: CommHook | None, index: int, is_last: bool) -> None:
        """Start reducing in that order; hooks are refused."""
        self.work = self.group.all_reduce(self.buffer, op, async_op=True, deterministic=True)


def _part(buffer: Array, start: int, shape: tuple[int, ...], strides: tuple[int, ...] | None) -> Array:
    """A part of a buffer, from a byte on, that is the base of its views."""
    if is_on_gpu(buffer):
        made: Any = array_module(buffer).ndarray
        part: Array = made(shape, buffer.dtype, memptr=_memory(buffer) + start, strides=strides)
        return part
    nbytes = math.prod(shape) * buffer.itemsize
    # NumPy passes arrays over as bases.
    owner = (ctypes.c_char * nbytes).from_buffer(buffer.view(np.uint8), start)
    return np.ndarray(shape, buffer.dtype, owner, strides=strides)


def _memory(array: Any) -> Any:
    return array.data


def _is_shown_elsewhere(gradient: Tensor) -> bool:
    """Whether somebody else looks at the memory of a gradient, and may see the average there, as in PyTorch."""
    array = gradient._array
    is_ours = memory_of(array) is array and getrefcount(array) <= _WHEN_ASKED
    return not is_ours and is_writeable(array)


def _require_future(found: Any) -> Any:
    if isinstance(found, Future):
        return found
    kind = "torch.Tensor" if isinstance(found, Tensor) else typename(found)
    raise RuntimeError(
        f"DDP communication hook's callback must return a torch.futures.Future object, but got {kind}"
    )


def assign_to_buckets(parameters: Sequence[Tensor], cap_bytes: Sequence[int]) -> list[list[Tensor]]:
    """Cuts ``parameters``, in their order, into buckets of one dtype.

    A bucket is closed when it has reached its cap; ``cap_bytes`` are the caps of the first, second, … bucket of a
    dtype, the last one for all further ones. Every parameter is in exactly one bucket.

    Source: PyTorch's ``compute_bucket_assignment_by_size``.
    """
    closed: list[tuple[int, list[Tensor]]] = []
    open_buckets: dict[np.dtype, list[tuple[int, Tensor]]] = {}
    counts: dict[np.dtype, int] = {}
    for order, parameter in enumerate(parameters):
        dtype = parameter._array.dtype
        bucket = open_buckets.setdefault(dtype, [])
        bucket.append((order, parameter))
        cap = cap_bytes[min(counts.get(dtype, 0), len(cap_bytes) - 1)]
        if sum(each._array.nbytes for _, each in bucket) >= cap:
            closed.append((bucket[0][0], [each for _, each in bucket]))
            counts[dtype] = counts.get(dtype, 0) + 1
            del open_buckets[dtype]
    closed += [(bucket[0][0], [each for _, each in bucket]) for bucket in open_buckets.values()]
    return [bucket for _, bucket in sorted(closed, key=lambda each: each[0])]
