"""``SharedState``: an optimizer's state in memory that all ranks of a machine have in common.

The optimizer has whole tensors, in PyTorch's layout, which only show that memory; each rank updates its slices of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.comm.process_group import ProcessGroup
from distrt.core.arrays import Array, line_bounds
from distrt.core.errors import ShapeError
from distrt.core.storage.sealed import ReleaseToCopy, seal
from distrt.core.tensor import Tensor, wrap
from distrt.parallel.sharding.shared_parameters import Part

__all__ = ["SharedState"]

State = dict[str, Any]


class _Entry:
    """The state of one parameter.

    Attributes:
        pieces: this rank's, as the optimizer's rule gets it; what is no array is the whole state's.
        rows: by name, the one copy as a row that can be written to.
        whole: what the optimizer has.
        known: the names and values in that, and the arrays of those that are cut, as they were put there.
    """

    def __init__(self, pieces: State) -> None:
        self.pieces = pieces
        self.rows: dict[str, Array] = {}
        self.whole: State = {}
        self.known: tuple[list[str], list[Any], list[Array]] = [], [], []
        self._cut: list[Any] = []
        self._ids: list[int] = []  # compared instead of what is known, whose == would compare elements

    def is_whole(self, state: State | None) -> bool:
        """Whether this still is what the optimizer has."""
        if state is None or state is not self.whole:
            return not state and not self.pieces
        arrays = [each._array for each in self._cut]
        return [*map(id, state.values()), *map(id, arrays)] == self._ids and list(state) == self.known[0]

    def show(self, shape: tuple[int, ...]) -> State:
        """The whole state, as the optimizer has it: tensors of this shape of what is cut."""
        self.whole = {}
        for name, value in self.pieces.items():
            if name in self.rows:
                value = wrap(self.rows[name].reshape(shape))
                value._array = seal(value._array, ReleaseToCopy(value))
            self.whole[name] = value
        self._cut = [self.whole[name] for name in self.rows]
        self.known = list(self.whole), list(self.whole.values()), [each._array for each in self._cut]
        self._ids = [*map(id, self.known[1]), *map(id, self.known[2])]
        return self.whole


class SharedState:
    """The state of one optimizer; a collective wherever ``settle`` has something new.

    Args:
        group: the ranks.
    """

    def __init__(self, group: ProcessGroup) -> None:
        self._group = group
        self._entries: dict[int, _Entry] = {}  # by the parameter's id
        self.nbytes = 0

    def of_pieces(
        self, state: dict[Any, Any], parts: Sequence[Part], names: Sequence[str]
    ) -> dict[Any, State]:
        """What the rule gets: by piece, the state of this rank's slice.

        Args:
            state: the optimizer's.
            parts: the parameters.
            names: the states with an element for each of the parameter's.

        Raises:
            ShapeError: a state was saved for another model.
        """
        found: dict[Any, State] = defaultdict(dict)
        for part in parts:
            entry = self._entries.get(id(part.parameter))
            now = state.get(part.parameter)
            if entry is None or not entry.is_whole(now):  # the first step, or it was loaded or changed
                entry = self._entries[id(part.parameter)] = _Entry(_sliced(part, now or {}, names))
            found[part.piece] = entry.pieces
        return found

    def is_settled(self, state: dict[Any, Any], parts: Sequence[Part]) -> bool:
        """Whether the optimizer's state still is what `settle` has put there for these parameters."""
        entries = self._entries
        for part in parts:
            entry = entries.get(id(part.parameter))
            if entry is None or not entry.is_whole(state.get(part.parameter)):
                return False
        return True

    def recut(self, parts: Sequence[Part]) -> None:
        """The parameters have been cut elsewhere; on one machine all of the state is within reach."""
        for part in parts:
            entry = self._entries.get(id(part.parameter))
            for name, row in () if entry is None else entry.rows.items():
                entry.pieces[name] = wrap(row[part.low : part.high])  # type: ignore[union-attr]

    def settle(self, state: dict[Any, Any], parts: Sequence[Part], names: Sequence[str]) -> None:
        """Put what is new into memory that all share, and show it to the optimizer.

        No rank looks at the others' slices before the ranks have met.
        """
        changed = []
        for part in parts:
            entry = self._entries[id(part.parameter)]
            if len(entry.whole) != len(entry.pieces):
                changed.append((part, entry))
        if changed:
            self._move(changed, names)
            for part, entry in changed:
                state[part.parameter] = entry.show(part.shown.shape)

    def _move(self, changed: Sequence[tuple[Part, _Entry]], names: Sequence[str]) -> None:
        new = [(part, entry, name) for part, entry in changed for name in entry.pieces if name in names]
        kinds: dict[np.dtype[Any], list[tuple[Part, _Entry, str]]] = {}
        for part, entry, name in new:
            kinds.setdefault(entry.pieces[name]._array.dtype, []).append((part, entry, name))
        for dtype, same in kinds.items():
            bounds = line_bounds([part.live.size for part, _, _ in same], dtype.itemsize)
            memory = self._group.allocate((bounds[-1],), dtype, copies=1)
            self.nbytes += memory.nbytes
            for (part, entry, name), start in zip(same, bounds, strict=False):
                row = memory[start : start + part.live.size]
                piece = entry.pieces[name]
                row[part.low : part.high] = piece._array
                piece._array = row[part.low : part.high]
                entry.rows[name] = row

    def rows(self, parts: Sequence[Part]) -> list[tuple[Part, Array]]:
        """All that is sliced, in one order on all ranks."""
        return [
            (part, row)
            for part in parts
            if (entry := self._entries.get(id(part.parameter))) is not None
            for row in entry.rows.values()
        ]


def _sliced(part: Part, state: State, names: Sequence[str]) -> State:
    """A rank's own slice of a whole state; numbers stay the state's."""
    found: State = {}
    for name, value in state.items():
        if name in names and isinstance(value, Tensor):
            if value._array.shape != part.shown.shape:
                raise ShapeError(
                    f"the state {name!r} has size {list(value.shape)}, its parameter {list(part.shown.shape)}: it was "
                    "saved for another model"
                )
            row = np.ascontiguousarray(value._array).reshape(-1)
            found[name] = wrap(row[part.low : part.high].copy())
        else:
            found[name] = value
    return found
