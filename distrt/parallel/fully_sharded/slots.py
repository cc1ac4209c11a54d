"""Which units' gradients are reduced together, and where they lie meanwhile.

Small units share a message: what it costs does not depend on their size. Where ranks have memory together, gradients
lie in slots that all of them see; there are few, which are lent in turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from distrt.comm.process_group import ProcessGroup
from distrt.core.arrays import Array, line_bounds
from distrt.parallel.fully_sharded.memory import one_copy

if TYPE_CHECKING:
    from distrt.parallel.fully_sharded.unit import Unit

__all__ = ["Batch", "SlotPlace", "Slots"]

_TOGETHER_BYTES = 1024 * 1024  # of gradients: from here on a message waits for no further unit


class SlotPlace(NamedTuple):
    """Where a unit's gradients lie while they are reduced.

    Attributes:
        number: of the slot.
        rows: the slot, (ranks, bytes).
        start_bytes: where the unit's begin in each row.
    """

    number: int
    rows: Array
    start_bytes: int


class Batch:
    """Units whose gradients are reduced together.

    Attributes:
        units: in the order in which backward comes to them.
        places: of each unit in a slot; none where gradients travel.
        before: the number of the batch that was in this slot before, -1 where none of this pass was.
        missing: the units that backward has not completed.
        what: they are, for messages.
        nbytes: how much room their gradients take.
        is_first: whether its place is free when the pass begins.
    """

    def __init__(self, units: Sequence[Unit], places: dict[Unit, SlotPlace], before: int) -> None:
        self.units, self.places, self.before = list(units), places, before
        self.missing = set(units)
        self.is_first = bool(places) and before < 0
        self.what = f"gradients of units {[unit.number for unit in units]}"
        self.nbytes = sum(unit.slot_bytes for unit in units)


class Slots:
    """The slots of a model, and what is put into which.

    Args:
        units: the model's, in the order in which they are reduced.
        group: the ranks; a collective.
        most: how many slots there may be.
    """

    def __init__(self, units: Sequence[Unit], group: ProcessGroup, most: int) -> None:
        sizes = [unit.slot_bytes for unit in units if unit.slot_bytes]
        self._capacity = max([*sizes, min(sum(sizes), _TOGETHER_BYTES)], default=0)
        count = min(sum(unit.slot_bytes > 0 for unit in _firsts(self._together(units))), most)
        shape = count, group.size(), line_bounds([self._capacity])[1]
        self._memory = one_copy(group, *shape) if count else None
        self._planned: tuple[list[Unit], list[Batch]] = [], []  # the last
        self.count = 0 if self._memory is None else count

    def batches(self, units: Sequence[Unit]) -> list[Batch]:
        """The batches of a pass that reduces these units in this order."""
        if units == self._planned[0]:
            for batch in self._planned[1]:
                batch.missing = set(batch.units)
        else:
            self._planned = list(units), self._cut(units)
        return self._planned[1]

    def _cut(self, units: Sequence[Unit]) -> list[Batch]:
        made: list[Batch] = []
        in_slots: list[int] = []  # the numbers of batches
        for together in self._together(units):
            places: dict[Unit, SlotPlace] = {}
            before = -1
            if self._memory is not None and together[0].slot_bytes:
                slot, start = len(in_slots) % self.count, 0
                for unit in together:
                    places[unit] = SlotPlace(slot, self._memory[slot], start)
                    start += unit.slot_bytes
                before = in_slots[-self.count] if len(in_slots) >= self.count else -1
                in_slots.append(len(made))
            made.append(Batch(together, places, before))
        return made

    def _together(self, units: Sequence[Unit]) -> list[list[Unit]]:
        found: list[list[Unit]] = []
        room = 0  # in the last one
        for unit in units:
            size = unit.slot_bytes
            if found and size and 0 < size <= room:
                found[-1].append(unit)
                room -= size
            else:
                found.append([unit])
                room = self._capacity - size if 0 < size < _TOGETHER_BYTES else 0
            if self._capacity - room >= _TOGETHER_BYTES:
                room = 0
        return found


def _firsts(groups: Sequence[Sequence[Unit]]) -> list[Unit]:
    return [each[0] for each in groups]
