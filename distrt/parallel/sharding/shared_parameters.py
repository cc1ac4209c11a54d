"""``SharedParameters``: a model's parameters in memory that all ranks of a machine have in common."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from distrt.comm.process_group import ProcessGroup
from distrt.core.arrays import Array, address_of
from distrt.core.errors import UnsupportedError
from distrt.core.sealed import ReleaseToCopy, seal
from distrt.core.tensor import Tensor, wrap
from distrt.core.versions import note_change
from distrt.parallel.bucket import Bucket
from distrt.parallel.sharding.shared_bucket import SharedBucket

__all__ = ["Part", "SharedParameters", "aligned_bounds", "runs_of"]

_LINE = 64


class Part:
    """One trained parameter, and the slice of it that this rank updates.

    Attributes:
        parameter: what the model has. Its memory is ``shown`` but where the user has changed it in place since.
        halves, start: where its values and those after the next step are among others'.
        live, shown: the one copy, as a row that can be written to, and as the parameter shows it.
        following: its values after the step that is under way; as ``live`` between steps.
        low, high: this rank's slice.
        piece: that of ``following``, as an optimizer gets it, with its gradient.
    """

    def __init__(self, parameter: Tensor, halves: Sequence[Array], start: int) -> None:
        self.parameter = parameter
        self.halves, self.start = halves, start
        self.live, self.following = (half[start : start + parameter.numel()] for half in halves)
        live = self.live
        self.shown = seal(live.reshape(parameter._array.shape), ReleaseToCopy(parameter))
        self.low = self.high = 0
        self.place, self.share = 0, 1  # in its bucket
        self.piece = wrap(self.following[:0])
        self._bucket: Bucket | None = None
        self._position = 0
        self._shown: list[Array] = []  # the bucket's when the average's piece was made
        self._average: Tensor | None = None

    def bounds(self, rank: int, share: int) -> tuple[int, int]:
        """The slice of a rank, where each updates ``share`` elements of the bucket."""
        size = self.live.size
        low, high = (min(max(share * number - self.place, 0), size) for number in (rank, rank + 1))
        return low, high

    def cut(self, low: int, high: int, bucket: Bucket, position: int) -> None:
        """Make this rank's piece the elements from low to high; the gradient has that position in its bucket."""
        self.low, self.high = low, high
        self.piece = wrap(self.following[low:high])
        self._bucket, self._position, self._average = bucket, position, None

    def prepare(self) -> Tensor:
        """This rank's piece, with the present values and gradient."""
        parameter = self.parameter
        gradient = parameter._grad
        assert gradient is not None, "those without a gradient are left out"
        bucket = self._bucket
        if isinstance(bucket, SharedBucket) and gradient._array is bucket.shown[self._position]:
            if self._average is None or self._shown is not bucket.shown:
                start, self._shown = self.place + self.low, bucket.shown
                self._average = wrap(bucket.read[start : start + self.high - self.low])
            self.piece._grad = self._average
        else:
            self.piece._grad = wrap(np.ascontiguousarray(gradient._array).reshape(-1)[self.low : self.high])
        if parameter._array is not self.shown:  # changed by the user
            flat = np.ascontiguousarray(parameter._array).reshape(-1)
            self.following[self.low : self.high] = flat[self.low : self.high]
        return self.piece

    def let_go(self) -> None:
        """After the update: look at no gradient any more, which would count as somebody's who keeps it."""
        self.piece._grad = None

    def show(self) -> None:
        """Have the parameter show the one copy, which has changed."""
        if self.parameter._array is not self.shown:
            self.parameter._array = self.shown
        note_change(self.parameter._counter)

    def take_following(self) -> None:
        """Have the parameter show its values after the step, in memory of its own."""
        self.parameter._array = np.array(self.following).reshape(self.shown.shape)
        note_change(self.parameter._counter)


class SharedParameters:
    """All parameters of a model, one copy a machine.

    Those that are trained are there a second time, for the step that is under way.

    Args:
        named: the parameters with their names; every rank of a machine has the same values.
        group: the ranks; a collective.

    Attributes:
        parts: those that are trained.
        nbytes: what all of this takes on a machine.
    """

    def __init__(self, named: Sequence[tuple[str, Tensor]], group: ProcessGroup) -> None:
        _require_apart(named)
        self.parts: list[Part] = []
        self.nbytes = 0
        writes = group.rank() == group.transport.mates[0]
        kinds: dict[tuple[np.dtype[Any], bool], list[Tensor]] = {}
        for _, parameter in named:
            kinds.setdefault((parameter._array.dtype, parameter.requires_grad), []).append(parameter)
        found: list[tuple[Tensor, list[Array], int]] = []
        for (dtype, is_trained), parameters in kinds.items():
            bounds = aligned_bounds([parameter.numel() for parameter in parameters], dtype.itemsize)
            halves = [group.allocate((bounds[-1],), dtype, copies=1) for _ in range(1 + is_trained)]
            self.nbytes += sum(half.nbytes for half in halves)
            for parameter, start in zip(parameters, bounds, strict=False):
                for half in halves if writes else ():
                    half[start : start + parameter.numel()] = parameter._array.reshape(-1)
                found.append((parameter, halves, start))
        group.barrier()
        for parameter, halves, start in found:
            if len(halves) > 1:
                self.parts.append(Part(parameter, halves, start))
                parameter._array = self.parts[-1].shown
            else:
                live = halves[0][start : start + parameter.numel()].reshape(parameter._array.shape)
                parameter._array = seal(live, ReleaseToCopy(parameter))


def runs_of(parts: Sequence[Part]) -> list[tuple[Array, Array]]:
    """The slices of some parameters, in both halves: those that lie back to back as one."""
    found: list[list[Any]] = []  # halves, low, high, whether it ends where its parameter does
    for part in sorted(parts, key=lambda part: (id(part.halves), part.start)):
        if part.low == part.high:
            continue
        low, high, is_whole = part.start + part.low, part.start + part.high, part.high == part.live.size
        line = _LINE // part.live.itemsize
        last: list[Any] = found[-1] if found else [None, 0, 0, False]
        # What is between two whole parameters is nobody's.
        if last[0] is part.halves and last[3] and not part.low and low - last[2] < line:
            last[2:] = high, is_whole
        else:
            found.append([part.halves, low, high, is_whole])
    return [(halves[0][low:high], halves[1][low:high]) for halves, low, high, _ in found]


def aligned_bounds(sizes: Sequence[int], itemsize: int) -> list[int]:
    """Where rows of these sizes begin, each at a cache line, and where the last one ends."""
    line = max(1, _LINE // itemsize)
    bounds = [0]
    for size in sizes:
        bounds.append(bounds[-1] + -(-size // line) * line)
    return bounds


def _require_apart(named: Sequence[tuple[str, Tensor]]) -> None:
    """Refuses parameters that lie in one another's memory: in one copy each would have its own."""
    found = []
    for name, parameter in named:
        if parameter.numel():
            start = address_of(parameter._array)
            found.append((start, start + parameter._array.nbytes, name))
    for (_, end, name), (start, _, other) in pairwise(sorted(found)):
        if start < end:
            raise UnsupportedError(
                f"shard_optimizer: {name} and {other} share memory, and would not any more: use one parameter in both "
                "places"
            )
