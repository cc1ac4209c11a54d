"""A world of one rank: what a script that no launcher started runs in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.comm.presence import here_if_launched
from distrt.comm.progress import Operation, Steps
from distrt.comm.reduction import Array, Reduction
from distrt.comm.status import StatusPage
from distrt.comm.transport import Transport
from distrt.core.errors import ShapeError

__all__ = ["SoloTransport"]

_QUEUE = "solo"


class SoloTransport(Transport):
    """Every collective is a copy at most."""

    kind = "solo"

    def __init__(self) -> None:
        super().__init__(0, 1)
        presence = here_if_launched()
        self._page = None if presence is None else presence.page

    @property
    def page(self) -> StatusPage | None:
        """Under a launcher, which looks at it."""
        return self._page

    def all_reduce(self, flat: Array, reduction: Reduction, fingerprint: int) -> Operation:
        """Nothing to do."""
        return _done()

    def reduce(self, flat: Array, dst: int, reduction: Reduction, fingerprint: int) -> Operation:
        """Nothing to do."""
        return _done()

    def reduce_scatter(self, flat: Array, rows: Array, reduction: Reduction, fingerprint: int) -> Operation:
        """A copy."""
        return _done(flat, rows[0])

    def broadcast(self, flat: Array, src: int, fingerprint: int) -> Operation:
        """Nothing to do."""
        return _done()

    def all_gather(self, outputs: Sequence[Array], flat: Array, fingerprint: int) -> Operation:
        """A copy."""
        return _done(outputs[0], flat)

    def gather(self, outputs: Sequence[Array] | None, flat: Array, dst: int, fingerprint: int) -> Operation:
        """A copy."""
        return _done() if outputs is None else _done(outputs[0], flat)

    def scatter(self, flat: Array, inputs: Sequence[Array] | None, src: int, fingerprint: int) -> Operation:
        """A copy."""
        return _done() if inputs is None else _done(flat, inputs[0])

    def all_to_all(self, outputs: Sequence[Array], inputs: Sequence[Array], fingerprint: int) -> Operation:
        """A copy."""
        sent, expected = inputs[0].nbytes, outputs[0].nbytes
        if sent != expected:
            return _done(value=ShapeError(f"rank 0 sends {sent} bytes to rank 0, which expects {expected}"))
        return _done(outputs[0], inputs[0])

    def send(self, flat: Array, dst: int, tag: int) -> Operation:
        """There is nobody to send to."""
        raise AssertionError("ProcessGroup refuses messages to oneself")

    def recv(self, flat: Array, src: int | None, tag: int) -> Operation:
        """There is nobody to receive from."""
        return _done(value=ShapeError("there is no other rank to receive from"))

    def barrier(self, fingerprint: int) -> Operation:
        """Nothing to do."""
        return _done()

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any], fingerprint: int) -> Operation:
        """An ordinary array."""
        return _done(value=np.zeros(shape, dtype))

    def allocate_one(self, shape: tuple[int, ...], dtype: np.dtype[Any], fingerprint: int) -> Operation:
        """An ordinary array."""
        return _done(value=np.zeros(shape, dtype))

    def free(self, array: Array, fingerprint: int) -> Operation:
        """Nothing to do."""
        return _done()

    def subgroup(self, ranks: Sequence[int], name: str, timeout_s: float) -> Transport:
        """Another world of one."""
        return SoloTransport()

    def close(self) -> None:
        """Nothing to do."""


def _done(target: Array | None = None, source: Array | None = None, value: Any = None) -> Operation:
    def steps() -> Steps:
        if target is not None:
            target[...] = source
        return value
        yield

    return Operation(steps(), _QUEUE)
