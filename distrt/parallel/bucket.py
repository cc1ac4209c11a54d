"""``Bucket``: several gradients in one buffer, reduced together.

The mechanism under ``DistributedDataParallel``, which holds the policy. A bucket's buffer lies in the segment that the
ranks of a machine share, each gradient is a view of it, and the all-reduce works on it in place: a gradient is
written once, by backward, and never copied.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distrt.comm.process_group import ProcessGroup, ReduceOp, Work
from distrt.core.arrays import Array
from distrt.core.tensor import Tensor, wrap


class Bucket:
    """The gradients of some parameters, all of one dtype, back to back in one buffer."""

    def __init__(self, parameters: Sequence[Tensor], group: ProcessGroup) -> None:
        self.parameters = list(parameters)
        self.group = group
        total = sum(parameter.numel() for parameter in parameters)
        self.buffer: Array = group.allocate((total,), parameters[0]._array.dtype)
        self.slots: list[Array] = []
        start = 0
        for parameter in parameters:
            slot = self.buffer[start : start + parameter.numel()].reshape(parameter._array.shape)
            parameter._grad_slot = slot
            self.slots.append(slot)
            start += parameter.numel()
        self.work: Work | None = None
        self.reset()

    def reset(self) -> None:
        """Before a backward pass: no gradient is ready."""
        self.is_ready = [False] * len(self.parameters)
        self.missing = len(self.parameters)
        self.work = None

    def mark_ready(self, position: int) -> bool:
        """Notes that a parameter's gradient is complete; True when it was the last one of the bucket."""
        parameter, slot = self.parameters[position], self.slots[position]
        if not self.is_ready[position]:
            self.is_ready[position] = True
            self.missing -= 1
        if parameter.grad is not None and parameter.grad._array is not slot:
            slot[...] = parameter.grad._array  # assigned by the user, or left by a pass with create_graph
            parameter.grad = wrap(slot)
        return self.missing == 0

    def fill_missing(self) -> list[int]:
        """Completes the slots of parameters that this pass did not reach; returns their positions.

        What such a parameter has accumulated before counts; one without a gradient counts as zero.
        """
        unused = [position for position, ready in enumerate(self.is_ready) if not ready]
        for position in unused:
            if self.parameters[position].grad is None:
                self.slots[position][...] = 0
            else:
                self.mark_ready(position)
        return unused

    def launch(self) -> None:
        """Starts averaging over the ranks; does not wait."""
        self.work = self.group.all_reduce(self.buffer, ReduceOp.AVG, async_op=True)

    def wait(self) -> None:
        """Waits until the averages are in the slots."""
        if self.work is not None:
            self.work.wait()
            self.work = None
            for parameter in self.parameters:
                if parameter.grad is not None:
                    parameter.grad._counter[0] += 1

    def free(self) -> None:
        """Gives the buffer back; a collective. Gradients that are still held stay valid."""
        for parameter, slot in zip(self.parameters, self.slots, strict=True):
            if parameter._grad_slot is slot:
                parameter._grad_slot = None
            if parameter.grad is not None and parameter.grad._array is slot:
                parameter.grad = wrap(np.array(slot))
        self.slots.clear()
        self.group.free(self.buffer)


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
