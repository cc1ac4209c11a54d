"""`GroupMemory`: memory that a group's collectives use without copying, as `ProcessGroup` gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from distrt.comm.caller import Caller
from distrt.comm.reduction import Array, check_dtype
from distrt.comm.transport import Transport
from distrt.core.errors import DistributedError

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["GroupMemory"]


class GroupMemory:
    """The part of `ProcessGroup` that is about memory."""

    transport: Transport
    _caller: Caller

    def allocate(
        self, shape: int | tuple[int, ...], dtype: npt.DTypeLike, copies: int | None = None
    ) -> Array:
        """This rank's zeroed buffer, one on every rank, which collectives use without copying (all ranks call).

        Operations on one buffer, or on views of it, run one after another. Its views must cover the same elements
        on all ranks.

        Args:
            shape: of the buffer.
            dtype: of its elements.
            copies: None for one a rank. 1 for memory that all ranks of a machine have in common: for collectives it
                is memory as any other, and it goes with the last array on it instead of by `free`.

        Raises:
            DistributedError: on all ranks, where there is not enough memory.
        """
        self._caller.require_open("allocate")
        if copies not in (None, 1):
            raise DistributedError(self._caller.label(f"copies must be None or 1, got {copies}", "allocate"))
        dtype = np.dtype(dtype)
        check_dtype("allocate", dtype)
        wanted = (shape,) if isinstance(shape, int) else tuple(shape)
        call = self._caller.call("allocate", wanted, dtype, *(() if copies is None else ("one copy",)))
        allocate = self.transport.allocate if copies is None else self.transport.allocate_one
        array: Array = self._caller.value_of(call, allocate(wanted, dtype, call.fingerprint))
        return array

    def free(self, array: Array) -> None:
        """Give back the memory of an `allocate`d buffer (all ranks call). Its views must not be used again."""
        self._caller.require_open("free")
        call = self._caller.call("free", array.shape, array.dtype)
        self._caller.run(call, self.transport.free(array, call.fingerprint), False)

    def renew(self, array: Array) -> Array:
        """A new array for an `allocate`d buffer, with its values; the old one becomes this rank's alone.

        Whoever holds views of the old array keeps what is there now, and sees nothing of later operations. The other
        ranks do not notice: this is no collective. No operation on the buffer may be outstanding.
        """
        self._caller.require_open("renew")
        return self.transport.renew(array)
