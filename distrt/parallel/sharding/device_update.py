"""``DeviceUpdate``: on GPUs, each rank updates its part of the parameters, and gives it to all.

What ``DistributedDataParallel(shard_optimizer=True)`` puts on parameters there. GPUs share no memory: so every rank has
all parameters and all averaged gradients, as ever, and of the optimizer's state its part alone (ZeRO, stage 1). There
is no second copy either: what others read of a rank is what they have gathered.
"""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from distrt.comm.process_group import ProcessGroup
from distrt.core.arrays import Array, line_bounds, row_major
from distrt.core.errors import ShapeError, UnsupportedError
from distrt.core.tensor import Tensor, wrap
from distrt.core.tensors.versions import note_change
from distrt.optim.passes import apply
from distrt.parallel.sharding.shared_bucket import share_of

__all__ = ["DeviceUpdate"]

State = dict[str, Any]


class _Row:
    """Parameters of one dtype, one behind the other, and this rank's part of that.

    Attributes:
        whole: (ranks, share) elements.
        mine: this rank's.
        parts: the parameters.
    """

    def __init__(self, parameters: Sequence[Tensor], group: ProcessGroup) -> None:
        first = parameters[0]._array
        bounds = line_bounds([each.numel() for each in parameters], first.itemsize)
        share = share_of(bounds[-1], group.size(), first.itemsize)
        self.whole = np.zeros((group.size(), share), first.dtype, like=first)
        self.mine = self.whole[group.rank()]
        begin = group.rank() * share
        self.parts = [
            _Part(each, self.whole.reshape(-1), start, begin, begin + share)
            for each, start in zip(parameters, bounds, strict=False)
        ]


class _Part:
    """One parameter, and the slice of it that this rank updates.

    Attributes:
        parameter: what the model has, a view of a row.
        low, high: the slice.
        offset: where that begins in this rank's part of the row.
        piece: it, as an optimizer gets it.
        state: what the optimizer has for the parameter: the state of the slice.
    """

    def __init__(self, parameter: Tensor, row: Array, start: int, begin: int, end: int) -> None:
        size = parameter.numel()
        self.parameter, self.start, self.size = parameter, start, size
        self.low, self.high = (min(max(edge - start, 0), size) for edge in (begin, end))
        self.offset = start + self.low - begin
        self.shown = row[start : start + size].reshape(parameter._array.shape)
        self.piece = wrap(row[start + self.low : start + self.high])
        self.state: State | None = None
        self.come_home()

    def come_home(self) -> None:
        """Have the parameter lie in its row, whatever a script has done with it."""
        if self.parameter._array is not self.shown:
            self.shown[...] = self.parameter._array
            self.parameter._array = self.shown

    def prepare(self) -> Tensor:
        """The slice with its gradient."""
        gradient = self.parameter._grad
        assert gradient is not None, "those without a gradient are left out"
        if gradient._array.shape != self.shown.shape:
            raise ShapeError(
                f"the gradient has size {list(gradient.shape)}, its parameter {list(self.shown.shape)}"
            )
        self.come_home()
        self.piece._grad = wrap(row_major(gradient._array).reshape(-1)[self.low : self.high])
        return self.piece

    def cut(self, given: State, names: Sequence[str]) -> State:
        """The slice of a whole state, which was loaded."""
        found: State = {}
        for name, value in given.items():
            if name in names and isinstance(value, Tensor):
                if value._array.shape != self.shown.shape:
                    raise ShapeError(
                        f"the state {name!r} has size {list(value.shape)}, its parameter {list(self.shown.shape)}: it "
                        "was saved for another model"
                    )
                value = wrap(row_major(value._array).reshape(-1)[self.low : self.high].copy())
            found[name] = value
        return found


class DeviceUpdate:
    """The `Updater` of a wrapped model's parameters on a GPU.

    Args:
        group: the ranks.
        parameters: those that are trained.
    """

    def __init__(self, group: ProcessGroup, parameters: Sequence[Tensor]) -> None:
        self._group = group
        kinds: dict[Any, list[Tensor]] = {}
        for parameter in parameters:
            kinds.setdefault(parameter._array.dtype, []).append(parameter)
        self._rows = [_Row(each, group) for each in kinds.values()]
        self._parts = {id(part.parameter): part for row in self._rows for part in row.parts}
        self._guarded: weakref.WeakSet[Any] = weakref.WeakSet()
        for parameter in parameters:
            parameter._updater = self

    def refuse(self, optimizer: Any) -> NoReturn:
        """Say which optimizers can update slices."""
        raise UnsupportedError(
            f"{type(optimizer).__name__} does not update element by element, and cannot update the slices of "
            "DistributedDataParallel(shard_optimizer=True): use an optimizer that can (SGD, AdamW and their like), or "
            "leave shard_optimizer out"
        )

    def stand_by(self) -> None:
        """Nobody runs out of input: `join` is refused."""

    def update(self, optimizer: Any) -> None:
        """Take a step; a collective."""
        if optimizer.defaults.get("differentiable"):
            raise UnsupportedError(
                "shard_optimizer: a step with differentiable=True cannot be cut into slices"
            )
        if optimizer not in self._guarded:
            self._guarded.add(optimizer)
            optimizer.register_state_dict_post_hook(self._complete)
        changed: list[_Part] = []
        for group in optimizer.param_groups:
            parts = [
                self._parts[id(each)]
                for each in group["params"]
                if each._updater is self and each._grad is not None
            ]
            if parts and self._run(optimizer, group, parts):
                changed += parts
        for row in self._rows if changed else ():
            self._group.all_gather(row.whole, row.mine)
        for part in changed:
            note_change(part.parameter._counter)

    def _run(self, optimizer: Any, group: dict[str, Any], parts: Sequence[_Part]) -> bool:
        """The optimizer's own rule, on slices in the place of parameters; whether it has run."""
        rule, whole = optimizer.rule, optimizer.state
        names = rule.state_names(group)
        pieces = [part.prepare() for part in parts]
        own: dict[Any, State] = defaultdict(dict)
        for part, piece in zip(parts, pieces, strict=True):
            given: State | None = whole.get(part.parameter)
            is_cut = given is part.state
            if given:
                own[piece] = given if is_cut else part.cut(given, names)
        optimizer.state = own
        try:
            states = [optimizer._prepare(piece, group) for piece in pieces]
            if not optimizer._may_run(pieces, group):
                return False
            filled = [(piece, state) for piece, state in zip(pieces, states, strict=True) if piece.numel()]
            if filled:
                apply(rule, [piece for piece, _ in filled], [state for _, state in filled], group)
            for piece, state in zip(pieces, states, strict=True):
                if not piece.numel():
                    rule.numbers(piece, state, group)  # which counts the step
        finally:
            optimizer.state = whole
            for piece in pieces:
                piece._grad = None
        for part, state in zip(parts, states, strict=True):
            whole[part.parameter] = part.state = state
        return True

    # -- states

    def _complete(self, optimizer: Any, packed: dict[str, Any]) -> dict[str, Any]:
        """A state dict with whole tensors; a collective."""
        numbers = {}
        for group, saved in zip(optimizer.param_groups, packed["param_groups"], strict=True):
            numbers.update(
                {id(each): number for each, number in zip(group["params"], saved["params"], strict=True)}
            )
        state = dict(packed["state"])
        for row in self._rows:
            cut = [part for part in row.parts if self._is_cut(part, optimizer)]
            names = {
                name: value
                for part in cut
                for name, value in (part.state or {}).items()
                if _lies_in(part, value)
            }
            for name, like in names.items():
                for part, values in self._gathered(row, cut, name, like._array):
                    number = numbers[id(part.parameter)]
                    state[number] = {**state[number], name: values}
        return {**packed, "state": state}

    def _is_cut(self, part: _Part, optimizer: Any) -> bool:
        return part.state is not None and optimizer.state.get(part.parameter) is part.state

    def _gathered(
        self, row: _Row, parts: Sequence[_Part], name: str, like: Array
    ) -> list[tuple[_Part, Tensor]]:
        """All ranks' slices of one state of some parameters, put together."""
        having = [part for part in parts if name in (part.state or {})]
        mine = np.zeros(row.mine.size, like.dtype, like=like)
        for part in having:
            assert part.state is not None, "it is cut"
            mine[part.offset : part.offset + part.high - part.low] = part.state[name]._array
        everybodys = np.empty(row.whole.shape, like.dtype, like=like)
        self._group.all_gather(everybodys, mine)
        flat = everybodys.reshape(-1)
        return [
            (part, wrap(flat[part.start : part.start + part.size].reshape(part.shown.shape).copy()))
            for part in having
        ]

    def forget(self) -> None:
        """The wrapper is gone: from now on, each rank updates its parameters alone."""
        for part in self._parts.values():
            if part.parameter._updater is self:
                part.parameter._updater = None


def _lies_in(part: _Part, value: Any) -> bool:
    """Whether a state has an element for each of the slice's."""
    return isinstance(value, Tensor) and value._array.shape == part.piece._array.shape and value.ndim == 1
