"""Collectives on arrays that are not in the shared segment: they pass through its staging areas, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from distrt.comm.calls import FINGERPRINT_BITS
from distrt.comm.progress import Engine, Label, Steps
from distrt.comm.reduction import Array, Reduction, as_bits, copy
from distrt.comm.shm.meeting import Meeting, MeetingRoom, meeting_word
from distrt.comm.shm.quick import WAKING, QuickReduction
from distrt.comm.shm.region import Staging, slice_bounds
from distrt.comm.transport import require_fitting_lengths
from distrt.core.arrays import CACHE_LINE_BYTES
from distrt.core.errors import ShapeError

__all__ = ["CHUNK_BYTES", "Receiver", "Staged"]

CHUNK_BYTES = 1024 * 1024  # of one array, per round through the staging areas
_GLANCES_IN_ONE = 4  # a look at one word, in looks at a meeting
_LOOKS_IN_ONE = 8  # a look by compiled code, in the same: of 30 ns, most of it the processor's pause
_COMPILE_AFTER_CALLS = 5000  # some 20 ms that Python has taken

Stage: TypeAlias = Callable[[int], None]  # does its part of the chunk with this number
Receiver: TypeAlias = Callable[[list[Array], int, int], None]  # gets all ranks' columns from low to high


class Staged:
    """One rank's part in the operations that share the staging areas. They run one after another.

    Args:
        room: how ranks meet; its control words count the meetings.
        staging: the areas.
    """

    def __init__(self, room: MeetingRoom, staging: Staging) -> None:
        self.room = room
        self._staging = staging
        self.rank = room.rank
        self.size = len(room.peers)
        self.words = room.control.words
        self.others = [rank for rank in range(self.size) if rank != self.rank]
        self.tick = 0  # the last meeting that this rank has come to
        self._chunks = 0  # how many chunks have gone through: picks the half
        self.half = 0  # the half of the slots that the last small operation used

    # Small arrays: each rank shows a whole one, and each reduces them all.

    def prepare(
        self, dtype: np.dtype[Any], count: int, reduction: Reduction, fingerprint: int
    ) -> PreparedReduction:
        """All-reduces of arrays of one dtype and length, each of which fits into a slot."""
        return PreparedReduction(self, self._staging.slots(dtype, count), reduction, fingerprint)

    def reduce_small(
        self, flat: Array, reduction: Reduction, fingerprint: int, dst: int | None = None
    ) -> Steps:
        """All-reduce (or reduce, to ``dst``) of an array that fits into a slot."""
        slots = self._next_slots(flat)
        slots[self.rank][...] = flat
        yield self._meet(fingerprint)
        if dst is None or dst == self.rank:
            reduction.reduce(slots, flat)

    def barrier(self, fingerprint: int) -> Steps:
        """Over when all have come."""
        yield self._meet(fingerprint)

    def _next_slots(self, flat: Array) -> list[Array]:
        self.half ^= 1
        return self._staging.slots(flat.dtype, flat.size)[self.half]

    # Large ones: each reduces a slice.

    def reduce(self, flat: Array, reduction: Reduction, fingerprint: int, dst: int | None = None) -> Steps:
        """Stages: show the others their slices; reduce my slice and show it; take over the others' slices."""
        width = CHUNK_BYTES // flat.itemsize
        count = -(-flat.size // width)
        first, me, ranks = self._chunks, self.rank, range(self.size)
        self._chunks += count
        bits = as_bits(flat)
        inputs, results = self._staging.inputs, self._staging.results(bits.dtype)
        takes, is_in_place = dst is None or dst == me, dst is None

        def bounds(chunk: int) -> list[int]:
            return slice_bounds(min(width, flat.size - chunk * width), self.size, flat.itemsize)

        def show(chunk: int) -> None:
            start, cut, shown = chunk * width, bounds(chunk), inputs(bits.dtype)[first + chunk & 1][me]
            for low, high in ((0, cut[me]), (cut[me + 1], cut[-1])):
                if low < high:
                    copy(shown[low:high], bits[start + low : start + high])

        def reduce(chunk: int) -> None:
            start, cut = chunk * width, bounds(chunk)
            shown = inputs(flat.dtype)[first + chunk & 1]
            result = self._staging.results(flat.dtype)[first + chunk & 1][me]
            low, high = cut[me], cut[me + 1]
            mine, target = flat[start + low : start + high], result[: high - low]
            sources = [mine if rank == me else shown[rank][low:high] for rank in ranks]
            if is_in_place:
                reduction.reduce(sources, mine, target)
            else:
                reduction.reduce(sources, target)

        def take(chunk: int) -> None:
            start, cut, reduced = chunk * width, bounds(chunk), results[first + chunk & 1]
            for rank in ranks:
                low, high = cut[rank], cut[rank + 1]
                if low < high and takes and (rank != me or not is_in_place):
                    copy(bits[start + low : start + high], reduced[rank][: high - low])

        yield from self._pipeline(fingerprint, count, show, reduce, take)

    # Showing arrays to the others.

    def show(
        self,
        source: Array | None,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        receive: Receiver,
        fingerprint: int,
    ) -> Steps:
        """Let every rank see all ranks' arrays, chunk by chunk.

        Args:
            source: this rank's, (rows, n) with n up to ``columns``; None where it has nothing to show.
            shape: (rows, columns), on which all ranks agree: columns is the longest n.
            dtype: that of the arrays.
            receive: gets a list with every rank's (rows, high - low) window, and low and high.
            fingerprint: of the call, as in all of these methods.
        """
        rows, columns = shape
        width = max(1, CHUNK_BYTES // dtype.itemsize // rows)
        count = max(1, -(-columns // width))
        first = self._chunks
        self._chunks += count
        staging = self._staging.inputs(dtype)

        def window(area: Array, low: int, high: int) -> Array:
            return area[: rows * (high - low)].reshape(rows, high - low)

        def show(chunk: int) -> None:
            if source is None:
                return
            low, high = chunk * width, min((chunk + 1) * width, columns)
            mine = source[:, low:high]
            copy(window(staging[first + chunk & 1][self.rank], low, high)[:, : mine.shape[1]], mine)

        def pass_on(chunk: int) -> None:
            low, high = chunk * width, min((chunk + 1) * width, columns)
            receive([window(area, low, high) for area in staging[first + chunk & 1]], low, high)

        yield from self._pipeline(fingerprint, count, show, pass_on)

    def exchange(self, outputs: Sequence[Array], inputs: Sequence[Array], fingerprint: int) -> Steps:
        """All-to-all of bytes, of any lengths: each rank's chunk has a lane for every other rank."""
        sent = np.array([each.nbytes for each in inputs], np.int64)
        expected = np.array([each.nbytes for each in outputs], np.int64)
        slots = self._next_slots(np.empty(2 * self.size, np.int64))
        slots[self.rank][...] = np.concatenate([sent, expected])
        yield self._meet(fingerprint)
        table = np.stack(slots)
        fault = require_fitting_lengths(table[:, : self.size], table[:, self.size :])
        if fault is not None:
            return ShapeError(fault)
        np.fill_diagonal(table[:, : self.size], 0)
        outgoing, incoming = ([each.view(np.uint8) for each in arrays] for arrays in (inputs, outputs))
        copy(incoming[self.rank], outgoing[self.rank])
        lane = CHUNK_BYTES // self.size // CACHE_LINE_BYTES * CACHE_LINE_BYTES
        count = max(1, -(-int(table[:, : self.size].max()) // lane))
        first, me = self._chunks, self.rank
        self._chunks += count
        areas = self._staging.inputs(np.dtype(np.uint8))

        def show(chunk: int) -> None:
            area = areas[first + chunk & 1][me]
            for other in range(self.size):
                part = outgoing[other][chunk * lane : (chunk + 1) * lane]
                if other != me and part.size:
                    copy(area[other * lane : other * lane + part.size], part)

        def take(chunk: int) -> None:
            for other, area in enumerate(areas[first + chunk & 1]):
                part = incoming[other][chunk * lane : (chunk + 1) * lane]
                if other != me and part.size:
                    copy(part, area[me * lane : me * lane + part.size])

        yield from self._pipeline(fingerprint, count, show, take)
        return None

    # How arrays travel.

    def _meet(self, fingerprint: int) -> Meeting:
        self.tick += 1
        word = meeting_word(self.tick, fingerprint)
        self.room.post(self.words, word)
        return Meeting(self.room, self.words, word)

    def _pipeline(self, fingerprint: int, count: int, *stages: Stage) -> Steps:
        """Run ``count`` chunks through the stages: chunk c is in stage k in round c + k; ranks meet between rounds.

        What stage 0 writes in round c is read in round c + 1 and overwritten in round c + 2, when all ranks have
        finished round c + 1: so two halves of each staging area are enough, and a round costs one meeting however
        many stages there are.
        """
        rounds = count + len(stages) - 1
        meeting: Meeting | None = None
        for this_round in range(rounds):
            if meeting is not None:
                yield meeting
            for lag in range(len(stages) - 1, -1, -1):
                if 0 <= this_round - lag < count:
                    stages[lag](this_round - lag)
            if this_round < rounds - 1:
                meeting = self._meet(fingerprint)


class PreparedReduction:
    """`Staged.reduce_small` without a generator: at 1 KB Python's own time is most of the whole.

    After some thousand calls it is compiled (`quick`).
    """

    __slots__ = ("_calls_in_python", "_fingerprint", "_quick", "_reduction", "_slots", "_staged")

    def __init__(
        self, staged: Staged, slots: list[list[Array]], reduction: Reduction, fingerprint: int
    ) -> None:
        self._staged, self._slots = staged, slots
        self._reduction, self._fingerprint = reduction, fingerprint
        self._calls_in_python = 0
        self._quick: QuickReduction | None = None

    def run(self, flat: Array, engine: Engine, label: Label) -> None:
        """All-reduce ``flat`` now; nothing else may be outstanding on the staging areas."""
        staged, quick = self._staged, self._quick
        staged.half = half = staged.half ^ 1
        staged.tick = tick = staged.tick + 1
        word = tick << FINGERPRINT_BITS | self._fingerprint
        if quick is None:
            self._run_in_python(flat, half, word, engine, label)
            return
        looks = 1 + _LOOKS_IN_ONE * engine.glances
        left = quick.run(flat, half, word, looks, staged.room.next_bell())
        if left:
            if left & WAKING:
                staged.room.wake()
            engine.block(Meeting(staged.room, staged.words, word), label)
            self._reduction.reduce(self._slots[half], flat)

    def _run_in_python(self, flat: Array, half: int, word: int, engine: Engine, label: Label) -> None:
        staged, slots = self._staged, self._slots[half]
        rank, words, room = staged.rank, staged.words, staged.room
        slots[rank][...] = flat
        words[rank] = word
        room.ring()
        after, glances = (staged.tick + 1) << FINGERPRINT_BITS, 1 + _GLANCES_IN_ONE * engine.glances
        for peer in staged.others:
            while (theirs := words[peer]) != word and theirs < after:
                if not (glances := glances - 1):
                    engine.block(Meeting(room, words, word), label)
                    break
        self._reduction.reduce(slots, flat)
        self._calls_in_python += 1
        if self._calls_in_python == _COMPILE_AFTER_CALLS:
            code = QuickReduction.code_for(self._reduction, staged.size)
            if code is not None:
                control = room.control
                self._quick = QuickReduction(code, control, rank, staged.size, self._slots, self._reduction)
