"""A rank that is alone in its group: what NCCL would do are copies at most, so that no NCCL is needed.

Everything else is as among many: operations run on the group's own stream, and streams wait for them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from distrt.comm.nccl.channel import Channel
from distrt.comm.nccl.transport import NcclTransport
from distrt.comm.progress import Operation
from distrt.comm.reduction import Array, Reduction

__all__ = ["AloneTransport", "QuietChannel"]


class QuietChannel(Channel):
    """A stream, and nobody at the other end of it."""

    def open(self) -> None:
        """Make the stream, where that has not been done."""
        if self.stream is None:
            self.stream = self._new_stream()

    @property
    def is_open(self) -> bool:
        """False: there is no communicator that could fail, be aborted or be ended."""
        return False


class AloneTransport(NcclTransport):
    """Every collective is a copy at most; messages to oneself are refused by `ProcessGroup`."""

    def all_reduce(self, flat: Array, reduction: Reduction, fingerprint: int) -> Operation:
        """Nothing to do."""
        return self._operation(lambda: None)

    def all_reduce_in_order(self, flat: Array, reduction: Reduction, fingerprint: int) -> Operation:
        """Nothing to do."""
        return self._operation(lambda: None)

    def reduce(self, flat: Array, dst: int, reduction: Reduction, fingerprint: int) -> Operation:
        """Nothing to do."""
        return self._operation(lambda: None)

    def reduce_scatter(self, flat: Array, rows: Array, reduction: Reduction, fingerprint: int) -> Operation:
        """A copy."""
        return self._operation(lambda: _copy(flat, rows[0]))

    def broadcast(self, flat: Array, src: int, fingerprint: int) -> Operation:
        """Nothing to do."""
        return self._operation(lambda: None)

    def all_gather(self, outputs: Sequence[Array], flat: Array, fingerprint: int) -> Operation:
        """A copy."""
        return self._operation(lambda: _copy(outputs[0], flat))

    def barrier(self, fingerprint: int) -> Operation:
        """Nothing to do."""
        return self._operation(lambda: None)

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        yield


def _copy(target: Array, source: Array) -> None:
    target[...] = source
