"""``SharedBucket``: gradients that are averaged slice by slice, into one copy that all ranks of the machine read."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from sys import getrefcount
from typing import Any

import numpy as np

from distrt.comm.process_group import ReduceOp
from distrt.core.arrays import CACHE_LINE_BYTES, Array, address_of, memory_of
from distrt.core.storage.sealed import place_at, seal
from distrt.core.tensor import Tensor
from distrt.parallel.bucket import Bucket, CommHook

__all__ = ["SharedBucket", "share_of"]


def share_of(count: int, ranks: int, itemsize: int) -> int:
    """How many of ``count`` elements each of ``ranks`` updates: cache lines. The last ones may have fewer, or none."""
    line = max(1, CACHE_LINE_BYTES // itemsize)
    return -(-count // (ranks * line)) * line


class SharedBucket(Bucket):
    """Where an all-reduce writes the average to all ranks' buckets, this writes it once.

    Backward fills each rank's own slots, as ever. Each rank reduces its share of all of them into the average, which is
    one copy a machine; from then on ``.grad`` shows it. A gradient that is changed in place, or added to by the next
    pass, goes back into its slot first.

    Attributes:
        average: (ranks, share) elements.
    """

    writes_back = False  # every gradient shows the average

    def set_up(self) -> None:
        """Make the average."""
        group = self.group
        shape = group.size(), self.buffer.size // group.size()
        self.average: Array = group.allocate(shape, self.buffer.dtype, copies=1)
        # Where the memory under an array cannot be exchanged, a rank shows a copy of its own.
        self._read = self.average if group.transport.ends_together else np.zeros_like(self.average)
        self.shown = self._show()
        self._unseen = list(map(getrefcount, self.shown))

    @property
    def read(self) -> Array:
        """The average as a row, as this rank sees it; its references do not count as those of a gradient."""
        return self._read.reshape(-1)

    def _show(self) -> list[Array]:
        found, flat, start = [], self.read, 0
        for parameter, slot in zip(self.parameters, self.slots, strict=True):
            found.append(seal(flat[start : start + slot.size].reshape(slot.shape), _IntoSlot(parameter)))
            start += slot.size
        return found

    def room(self, count: int, dtype: np.dtype[Any]) -> int:
        """Every rank has a share of one size."""
        return self.group.size() * share_of(count, self.group.size(), dtype.itemsize)

    def strides_of(self, array: Array) -> tuple[int, ...] | None:
        """Row by row: so that slices of gradients, parameters and state are the same elements."""
        return None

    def launch(self, op: ReduceOp, hook: CommHook | None, index: int, is_last: bool) -> None:
        """Start reducing this rank's share of all ranks' gradients."""
        self._let_go()
        mine = self.average[self.group.rank()]
        rows = self.buffer.reshape(self.average.shape)
        # `settle` has the ranks meet, once for all buckets.
        self.work = self.group.reduce_scatter(mine, rows, op, async_op=True, meets_after=False)

    def wait(self, divisor: float | None = None) -> None:
        """Wait until the average is there, and show it; `settle` divides."""
        work, self.work = self.work, None
        if work is None:
            return
        work.wait()
        for parameter, slot, shown in zip(self.parameters, self.slots, self.shown, strict=True):
            gradient = parameter._grad
            if gradient is not None and gradient._array is slot:
                gradient._array = shown
                gradient._counter[0] += 1

    @staticmethod
    def settle(buckets: Sequence[Bucket], divisor: float | None) -> None:
        """All shares are there when this is over, and all slots free; a collective.

        A rank that has run out of input learns here what the others divide by.
        """
        group = buckets[0].group
        if divisor is not None:
            counted = np.array([divisor])
            group.all_reduce(counted, ReduceOp.MAX)
            for bucket in buckets:
                assert isinstance(bucket, SharedBucket)
                mine = bucket.average[group.rank()]
                np.divide(mine, float(counted[0]), out=mine)
        group.barrier()
        for bucket in buckets:
            assert isinstance(bucket, SharedBucket)
            if bucket._read is not bucket.average:
                bucket._read[...] = bucket.average

    def result(self, position: int) -> Array:
        """The average, which cannot be written to."""
        return self.shown[position]

    def _let_go(self) -> None:
        """Former gradients that somebody still looks at stay what they are: the average moves."""
        references = list(map(getrefcount, self.shown))
        if references != self._unseen:
            for parameter, shown, count, least in zip(
                self.parameters, self.shown, references, self._unseen, strict=True
            ):
                if count > least and (parameter._grad is None or parameter._grad._array is not shown):
                    self._leave_average()
                    break

    def _leave_average(self) -> None:
        """Go on in other memory, with the gradients that parameters have."""
        if self._read is self.average:
            self._read = self.average = self.group.renew(self.average)
        else:
            self._read = np.array(self._read)
        former, self.shown = self.shown, self._show()
        for parameter, old, shown in zip(self.parameters, former, self.shown, strict=True):
            if parameter._grad is not None and parameter._grad._array is old:
                parameter._grad._array = shown

    def move_out(self, positions: Iterable[int]) -> None:
        """As of a bucket, for what shows the average, too."""
        listed = list(positions)
        for position in listed:
            gradient = self.parameters[position]._grad
            if gradient is not None and gradient._array is self.shown[position]:
                gradient._array = np.array(gradient._array)
        super().move_out(listed)

    def free(self) -> None:
        """Give the buffer back; the average goes with the last gradient that shows it."""
        super().free()
        self.shown.clear()


class _IntoSlot:
    """A gradient that is about to be changed goes into its slot, which nobody needs between passes."""

    def __init__(self, parameter: Tensor) -> None:
        self._parameter = weakref.ref(parameter)

    def __call__(self, tensor: Tensor, is_overwritten: bool) -> None:
        parameter, memory = self._parameter(), memory_of(tensor._array)
        gradient = None if parameter is None else parameter._grad
        if parameter is None or gradient is None or memory_of(gradient._array) is not memory:
            return
        offset = address_of(tensor._array) - address_of(memory)
        slot = parameter._grad_slot
        if slot is None:
            slot = np.empty_like(gradient._array)
        if not (is_overwritten and tensor is gradient):
            slot[...] = gradient._array
        gradient._array = slot
        if tensor is not gradient:
            tensor._array = place_at(slot, offset, tensor._array)
