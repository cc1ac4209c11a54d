"""``SharedParameters``: a model's parameters in memory that all ranks of a machine have in common."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from sys import getrefcount
from typing import Any

import numpy as np

from distrt.comm.process_group import ProcessGroup
from distrt.core.arrays import Array, address_of, line_bounds
from distrt.core.errors import UnsupportedError
from distrt.core.storage.sealed import ReleaseToCopy, seal
from distrt.core.tensor import Tensor, wrap
from distrt.core.tensors.versions import note_change
from distrt.parallel.bucket import Bucket
from distrt.parallel.sharding.shared_bucket import SharedBucket

__all__ = ["Part", "SharedParameters"]


class Part:
    """One trained parameter, and the slice of it that this rank updates.

    There are two copies of its values. Between steps the parameter shows one, and the other one is nobody's: the step
    writes to that, and when all ranks have, the parameter shows that one instead.

    Attributes:
        parameter: what the model has. Its memory is ``shown`` but where the user has changed it in place since.
        half: which of the two is the present one, 0 or 1.
        low, high: this rank's slice.
        piece: that of the present values, as an optimizer gets it, with its gradient.
    """

    def __init__(self, parameter: Tensor, halves: Sequence[Array], start: int) -> None:
        self.parameter = parameter
        release = ReleaseToCopy(parameter)
        self._rows = [half[start : start + parameter.numel()] for half in halves]
        self._shown = [seal(row.reshape(parameter._array.shape), release) for row in self._rows]
        self._unseen = getrefcount(self._shown[0])
        self._slices = [row[:0] for row in self._rows]
        self.half = 0
        self.low = self.high = 0
        self.place, self.share = 0, 1  # in its bucket
        self.piece = wrap(self._rows[0][:0])
        self._bucket: Bucket | None = None
        self._position = 0
        self._shown_averages: list[Array] = []  # the bucket's when the average's piece was made
        self._average: Tensor | None = None

    @property
    def live(self) -> Array:
        """The present copy, as a row that can be written to."""
        return self._rows[self.half]

    @property
    def shown(self) -> Array:
        """That, as the parameter shows it."""
        return self._shown[self.half]

    @property
    def following(self) -> Array:
        """The other copy, as a row: for the values after the step that is under way."""
        return self._rows[1 - self.half]

    @property
    def target(self) -> Array:
        """This rank's slice of that."""
        return self._slices[1 - self.half]

    def bounds(self, rank: int, share: int) -> tuple[int, int]:
        """The slice of a rank, where each updates ``share`` elements of the bucket."""
        size = self.live.size
        low, high = (min(max(share * number - self.place, 0), size) for number in (rank, rank + 1))
        return low, high

    def cut(self, low: int, high: int, bucket: Bucket, position: int) -> None:
        """Make this rank's piece the elements from low to high; the gradient has that position in its bucket."""
        self.low, self.high = low, high
        self._slices = [row[low:high] for row in self._rows]
        self._bucket, self._position, self._average = bucket, position, None

    def prepare(self) -> Tensor:
        """This rank's piece, with the present values and gradient."""
        parameter, piece = self.parameter, self.piece
        gradient = parameter._grad
        assert gradient is not None, "those without a gradient are left out"
        bucket = self._bucket
        if isinstance(bucket, SharedBucket) and gradient._array is bucket.shown[self._position]:
            if self._average is None or self._shown_averages is not bucket.shown:
                start, self._shown_averages = self.place + self.low, bucket.shown
                self._average = wrap(bucket.read[start : start + self.high - self.low])
            piece._grad = self._average
        else:
            piece._grad = wrap(np.ascontiguousarray(gradient._array).reshape(-1)[self.low : self.high])
        if parameter._array is self.shown:
            piece._array = self._slices[self.half]
        else:  # changed by the user
            piece._array = np.ascontiguousarray(parameter._array).reshape(-1)[self.low : self.high]
        return piece

    def let_go(self) -> None:
        """After the update: look at no gradient any more, which would count as somebody's who keeps it."""
        self.piece._grad = None

    def gradients_home(self) -> list[Array] | None:
        """The bucket's gradients that this one's is among, at its place; None where it lies elsewhere."""
        bucket, gradient = self._bucket, self.parameter._grad
        if bucket is not None and gradient is not None and gradient._array.flags.c_contiguous:
            for home in (bucket.slots, bucket.shown if isinstance(bucket, SharedBucket) else ()):
                if home and gradient._array is home[self._position]:
                    return home
        return None

    def is_settled(self, gradients: list[Array]) -> bool:
        """Whether the parameter shows the present copy, and has a gradient among these, at its place."""
        parameter = self.parameter
        return (
            parameter._array is self._shown[self.half]
            and parameter._grad is not None
            and parameter._grad._array is gradients[self._position]
        )

    @property
    def is_looked_at(self) -> bool:
        """Whether somebody has another name of the present copy (``.data``, a view, a NumPy array, a state dict)."""
        place, half = self._shown, self.half
        return getrefcount(place[half]) > self._unseen + (self.parameter._array is place[half])

    def show(self) -> None:
        """Have the parameter show the present copy, which has changed."""
        self.parameter._array = self._shown[self.half]
        note_change(self.parameter._counter)

    def turn_to(self, half: int) -> None:
        """Have the parameter show that copy, which all ranks have written to."""
        self.half = half
        self.show()

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
            bounds = line_bounds([parameter.numel() for parameter in parameters], dtype.itemsize)
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
