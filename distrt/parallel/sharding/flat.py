"""``FlatParameters``: parameters in a row, of which each rank updates an equal slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.comm.process_group import ProcessGroup, ReduceOp, Work
from distrt.core.arrays import Array
from distrt.core.errors import AutogradError
from distrt.core.tensor import Tensor, wrap
from distrt.core.versions import note_change
from distrt.parallel.sharding.one_copy import one_copy

__all__ = ["FlatParameters"]

_LINE = 64  # bytes; two ranks never write to one cache line


class FlatParameters:
    """Parameters of one dtype and their gradients, each back to back in a buffer.

    Parameters are there twice: a step writes the next half, while the present one stays whole until all ranks are done.
    Where the ranks share a machine, both halves are there once for all of them; else every rank has its own.

    Args:
        numbered: the parameters with their places in the whole optimizer.
        group: the ranks; all of them make this at the same time, and rank 0's values count.

    Attributes:
        shard: this rank's slice as the optimizer takes it, with its slice of the gradients.
        is_one_copy: whether the ranks share the memory of the parameters.
    """

    def __init__(self, numbered: Sequence[tuple[int, Tensor]], group: ProcessGroup) -> None:
        self.numbers = [number for number, _ in numbered]
        self.parameters = [parameter for _, parameter in numbered]
        self._group = group
        dtype = self.parameters[0]._array.dtype
        self.count = sum(parameter.numel() for parameter in self.parameters)
        line, size = _LINE // dtype.itemsize, group.size()
        self.share = -(-self.count // (size * line)) * line
        shared = one_copy(group, (2, size, self.share), dtype)
        self.is_one_copy = shared is not None
        self._halves = (
            [group.allocate((size, self.share), dtype) for _ in "ab"] if shared is None else list(shared)
        )
        self._gradients = group.allocate((size, self.share), dtype)
        self._slots = self.pieces(self._gradients)
        self._present = 0
        if group.rank() == 0 or not self.is_one_copy:
            for piece, parameter in zip(self.pieces(self._halves[0]), self.parameters, strict=True):
                piece[...] = parameter._array
        if self.is_one_copy:
            group.barrier()
        else:
            group.broadcast(self._halves[0], src=0)
        self.shard = wrap(self._halves[0][group.rank()])
        self._show()
        for parameter, slot in zip(self.parameters, self._slots, strict=True):
            parameter._grad_slot = slot

    def pieces(self, rows: Array) -> list[Array]:
        """A buffer's views in the parameters' shapes."""
        flat, found, start = rows.reshape(-1), [], 0
        for parameter in self.parameters:
            found.append(flat[start : start + parameter.numel()].reshape(parameter._array.shape))
            start += parameter.numel()
        return found

    # -- a step, in this order

    def collect(self) -> None:
        """Have all gradients in the buffer.

        Raises:
            AutogradError: a parameter has no gradient.
        """
        for number, parameter, slot in zip(self.numbers, self.parameters, self._slots, strict=True):
            if parameter.grad is None:
                raise AutogradError(
                    f"rank {self._group.rank()}: parameter {number} has no gradient. An optimizer that cuts parameters "
                    "into slices updates all of them in each step: leave out those that the loss does not need"
                )
            if parameter.grad._array is not slot:
                slot[...] = parameter.grad._array
                parameter.grad = wrap(slot)

    def average(self) -> Work:
        """Begin to average the gradients: each rank gets its slice. A collective."""
        mine = self._gradients[self._group.rank()]
        self.shard._grad = wrap(mine)
        return self._group.reduce_scatter(mine, self._gradients, ReduceOp.AVG, async_op=True)

    def begin(self) -> None:
        """Point the shard to the next half, with its present values."""
        rank = self._group.rank()
        following = self._halves[1 - self._present][rank]
        following[...] = self._halves[self._present][rank]
        self.shard.data = wrap(following)

    def exchange(self) -> list[Work]:
        """Begin to give every rank all slices of the next half: nothing to do where there is one. A collective."""
        if self.is_one_copy:
            return []
        following = self._halves[1 - self._present]
        return [self._group.broadcast(row, rank, async_op=True) for rank, row in enumerate(following)]

    def finish(self) -> None:
        """When all ranks are done: the next half is the present one."""
        self._present = 1 - self._present
        self._show()
        for parameter in self.parameters:
            parameter.grad = None  # in its place are a part of the average, and parts that were local

    def _show(self) -> None:
        for parameter, piece in zip(self.parameters, self.pieces(self._halves[self._present]), strict=True):
            parameter.data = wrap(piece)
            note_change(parameter._counter)

    # -- state

    def cut(self, slices: Sequence[Any]) -> list[Tensor]:
        """All ranks' slices of a state, as the parameters' own."""
        rows = np.stack([np.asarray(each._array) for each in slices])
        return [wrap(piece.copy()) for piece in self.pieces(rows)]

    def slice_of(self, tensors: Sequence[Tensor]) -> Tensor:
        """This rank's slice of the parameters' states."""
        rows = np.zeros((self._group.size(), self.share), self.parameters[0]._array.dtype)
        for piece, tensor in zip(self.pieces(rows), tensors, strict=True):
            piece[...] = tensor._array
        return wrap(rows[self._group.rank()].copy())
