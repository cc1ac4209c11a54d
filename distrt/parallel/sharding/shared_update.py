"""``SharedUpdate``: ranks update one copy of the parameters together, each a slice.

A step happens on all ranks or on none. This is what ``DistributedDataParallel(shard_optimizer=True)`` puts on its
parameters; docs/sharding.md has the design.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from distrt.comm.process_group import ProcessGroup, ReduceOp
from distrt.core.errors import DistributedError, ShapeError, UnsupportedError
from distrt.parallel.sharding.between_machines import Exchange
from distrt.parallel.sharding.ledger import Ledger
from distrt.parallel.sharding.plan import Plan
from distrt.parallel.sharding.shared_bucket import share_of
from distrt.parallel.sharding.shared_parameters import Part, SharedParameters
from distrt.parallel.sharding.shared_state import SharedState

if TYPE_CHECKING:
    from distrt.parallel.ddp import DistributedDataParallel

__all__ = ["STEP_FOLLOWS", "SharedUpdate"]

#: What ranks with input say in the place of how many they are: a step comes, and needs the ranks without, too.
STEP_FOLLOWS = -1.0


class SharedUpdate:
    """The `Updater` of a wrapped model's parameters.

    Args:
        model: the wrapper, which is asked for its buckets.
        named: all parameters that the ranks share.

    Attributes:
        shared: the parameters.
    """

    def __init__(self, model: DistributedDataParallel, named: Sequence[tuple[str, Any]]) -> None:
        self._model = weakref.ref(model)
        self._group: ProcessGroup = model.process_group
        self._names = {id(parameter): name for name, parameter in named}
        self.shared = SharedParameters(named, self._group)
        self._parts = {id(part.parameter): part for part in self.shared.parts}
        self._states: weakref.WeakKeyDictionary[Any, SharedState] = weakref.WeakKeyDictionary()
        self._plans: weakref.WeakKeyDictionary[Any, list[Plan]] = weakref.WeakKeyDictionary()
        self._ledger = Ledger(self._group)
        self._exchange = Exchange(self._group)
        self._buckets: Any = None  # those that the present slices were cut for
        self._sharers: tuple[int, int] = (0, 0)  # this rank's place among those that update, and how many do
        self._broken: str | None = None
        for part in self.shared.parts:
            part.parameter._updater = self

    def refuse(self, optimizer: Any) -> NoReturn:
        """Say which optimizers can update slices."""
        raise UnsupportedError(
            f"{type(optimizer).__name__} does not update element by element, and cannot update the slices of "
            "DistributedDataParallel(shard_optimizer=True): use an optimizer that can (SGD, AdamW and their like), or "
            "leave shard_optimizer out"
        )

    # -- a step

    def update(self, optimizer: Any) -> None:
        """Take a step; a collective. It is done on all ranks or on none.

        Raises:
            DistributedError: a rank was lost. The parameters are those from before the step, or those after it.
        """
        self._require_whole()
        chosen = [(group, self._with_gradient(group)) for group in optimizer.param_groups]
        if optimizer.defaults.get("differentiable"):
            raise UnsupportedError(
                "shard_optimizer: a step with differentiable=True cannot be cut into slices"
            )
        chosen = [
            (group, parts)
            for group, parts in chosen
            if parts and optimizer._may_run([part.parameter for part in parts], group)
        ]
        if not chosen:
            return
        self._cut(self._present())
        state = self._states.get(optimizer)
        if state is None:
            state = self._states[optimizer] = SharedState(self._group)
            self._guard(optimizer)
        plans = self._planned(optimizer, state, chosen)
        self._broken = "its last step was broken off"
        try:
            for (group, parts), plan in zip(chosen, plans, strict=True):
                if plan.run(optimizer, group):
                    state.settle(optimizer.state, parts, optimizer.rule.state_names(group))
            self._publish([part for _, parts in chosen for part in parts])
        except BaseException:
            optimizer.state.clear()  # some slices are from before the step, others from after it
            raise
        self._broken = None

    def _with_gradient(self, group: dict[str, Any]) -> list[Part]:
        found = []
        for parameter in group["params"]:
            if parameter._updater is self and parameter._grad is not None:
                part = self._parts[id(parameter)]
                if parameter._grad._array.shape != part.shown.shape:
                    raise ShapeError(
                        f"{self._names[id(parameter)]}: the gradient has size {list(parameter._grad.shape)}, its "
                        f"parameter {list(part.shown.shape)}"
                    )
                found.append(part)
        return found

    def _planned(
        self, optimizer: Any, state: SharedState, chosen: Sequence[tuple[dict[str, Any], list[Part]]]
    ) -> list[Plan]:
        """What there is to do with the parameters of each group."""
        plans = self._plans.setdefault(optimizer, [])
        del plans[len(chosen) :]
        for number, (group, parts) in enumerate(chosen):
            names = optimizer.rule.state_names(group)
            plan = plans[number] if number < len(plans) else None
            if plan is None or not (plan.fits(parts, names) and state.is_settled(optimizer.state, parts)):
                plan = Plan(parts, names, state.of_pieces(optimizer.state, parts, names))
                plans[number : number + 1] = [plan]
            plan.prepare()
        return plans

    def _publish(self, parts: list[Part]) -> None:
        """What the ranks have written becomes the present values of all, when all have."""
        if self._exchange.is_needed:
            self._exchange.run([(part, part.following) for part in parts])
        halves = [1 - part.half for part in parts]
        ledger = self._ledger
        ledger.begin(stays=any(part.is_looked_at for part in parts))
        try:
            self._group.barrier()
        except BaseException:
            if ledger.withdraw():  # somebody has seen that all have come
                _take_following(parts)
            raise
        if not ledger.commit():
            _take_following(parts)
            raise DistributedError(
                f"rank {self._group.rank()}: another rank has given up waiting for this one in a step"
            )
        if ledger.stays:
            self._copy_back(parts)
            return
        try:
            _turn(parts, halves)
        except BaseException:  # an interrupt, between two of them
            _turn(parts, halves)
            raise

    def _copy_back(self, parts: list[Part]) -> None:
        """On some rank, somebody looks at the memory of the present values: the new ones go there."""
        for part in parts:
            part.live[part.low : part.high] = part.target
        for part, low, high in self._exchange.brought:
            part.live[low:high] = part.following[low:high]
        try:
            self._group.barrier()
        except BaseException:
            for part in parts:  # all were done with the step: whoever is left finishes it
                part.live[...] = part.following
                part.show()
            raise
        for part in parts:
            part.show()

    # -- who updates what

    def _present(self) -> tuple[int, int]:
        """This rank's place among those that update, and how many they are.

        Ranks that have run out of input only meet the others: they do not know the optimizer's options.
        """
        rank, size = self._group.rank(), self._group.size()
        model = self._model()
        if model is None or not model._join_config.enable:
            return rank, size
        announced = np.array([STEP_FOLLOWS], np.float32)
        self._group.all_reduce(announced, ReduceOp.SUM)
        present = np.zeros(size, np.uint8)
        present[rank] = 1
        self._group.all_reduce(present, ReduceOp.MAX)
        return int(present[:rank].sum()), int(present.sum())

    def stand_by(self) -> None:
        """Meet the others in their step: what a rank does that has run out of input, when they have announced one."""
        self._group.all_reduce(np.zeros(self._group.size(), np.uint8), ReduceOp.MAX)
        self._ledger.begin(stays=True)  # which of them have a step, this one does not know
        self._group.barrier()
        self._ledger.commit()
        self._group.barrier()
        for part in self.shared.parts:
            part.show()

    def _cut(self, sharers: tuple[int, int]) -> None:
        """Cut the parameters as the buckets are cut now."""
        model = self._model()
        buckets = self._buckets if model is None else model.reducer.buckets
        if buckets is self._buckets and sharers == self._sharers:
            return
        self._buckets, self._sharers = buckets, sharers
        rank, ranks = sharers
        for bucket in buckets:
            place = 0
            share = share_of(bucket.buffer.size, ranks, bucket.buffer.itemsize)
            for position, parameter in enumerate(bucket.parameters):
                part = self._parts[id(parameter)]
                part.place, part.share = place, share
                part.cut(*part.bounds(rank, share), bucket, position)
                place += part.live.size
        for state in self._states.values():
            state.recut(self.shared.parts)
        self._plans.clear()

    # -- when it is over

    def _require_whole(self) -> None:
        if self._broken:
            raise DistributedError(
                f"rank {self._group.rank()}: the sharded optimizer is of no use any more: {self._broken}. The "
                "parameters are whole, and its state is not: wrap the model anew on a group of the ranks that are "
                "left, and load a state that was saved"
            )

    def _guard(self, optimizer: Any) -> None:
        """No state is saved that is half from before a step; between machines, it is brought together first."""
        itself = weakref.ref(self)

        def before_saving(optimizer: Any) -> None:
            update = itself()
            if update is not None:
                update._require_whole()
                state = update._states.get(optimizer)
                if state is not None:
                    update._exchange.run(state.rows(update.shared.parts), all_ranks_write=True)

        optimizer.register_state_dict_pre_hook(before_saving)

    def forget(self) -> None:
        """The wrapper is gone: from now on, each rank updates its parameters alone."""
        for part in self.shared.parts:
            if part.parameter._updater is self:
                part.parameter._updater = None


def _take_following(parts: Sequence[Part]) -> None:
    for part in parts:
        part.take_following()


def _turn(parts: Sequence[Part], halves: Sequence[int]) -> None:
    for part, half in zip(parts, halves, strict=True):
        part.turn_to(half)
