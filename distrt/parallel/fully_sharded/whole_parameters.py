"""``WholeParameters``: parameters of some modules, which are gathered together and given back.

Ranks of one machine have the whole parameters in one memory, and each of them its part there: to gather them is to hear
that all ranks have come. Else a rank has a row of bytes between uses, with its part of each parameter, and the whole
ones lie in an arena, which is empty between uses. So it is on GPUs, where rows and arenas are the GPU's
(`WholeParameters.memory`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from distrt.comm.process_group import COMPLETED, ProcessGroup, Work
from distrt.core.arrays import Array, is_on_gpu, line_bounds
from distrt.core.storage.sealed import ReleaseToCopy, seal
from distrt.parallel.fully_sharded.memory import HostMemory, one_copy
from distrt.parallel.fully_sharded.policies import MixedPrecisionPolicy
from distrt.parallel.fully_sharded.sharded_parameter import ShardedParameter

if TYPE_CHECKING:
    from distrt.parallel.fully_sharded.device_memory import DeviceMemory

__all__ = ["Memory", "WholeParameters"]

Memory: TypeAlias = "HostMemory | DeviceMemory"

#: By how many bytes rows of equal units are made different, at most. Groups compare the lengths that the ranks come
#: with, so a rank that gathers another unit is told so, instead of taking one's parameters for the other's.
_SLACK_BYTES = 1024
_STEP_BYTES = 16  # the largest element, to whose multiples GPUs want addresses


class WholeParameters:
    """Parameters that are gathered together.

    Attributes:
        number: among the units of a model, counted from its root.
        is_unborn: whether it has no memory yet, since parameters were on the meta device.
        is_together: whether the ranks have the whole parameters in one memory, and gather them without a copy.
        is_whole: whether the modules hold whole parameters.
        part_bytes: the size of this rank's parts, in the dtype to compute in.
        slot_bytes: how much room its gradients need in memory that ranks have together; 0 where they lie elsewhere.
    """

    def __init__(
        self,
        parameters: Sequence[ShardedParameter],
        group: ProcessGroup,
        policy: MixedPrecisionPolicy,
        memory: Memory | None = None,
    ) -> None:
        self.memory: Memory = HostMemory() if memory is None else memory
        self.parameters, self.group, self.policy = list(parameters), group, policy
        self.number = 0
        self._gathering: tuple[Work, Array | None] | None = None
        self.is_whole = self.is_together = False
        self.is_unborn = any(each.whole.is_meta for each in self.parameters)
        if not self.is_unborn:
            self._take_memory()
        for position, each in enumerate(self.parameters):
            each.cut(group.rank(), None if self.is_unborn else self._home(position))
        if self.is_unborn:
            for each in self.parameters:
                each.give_back(is_gone=False)
        else:
            self._place_whole()

    def _take_memory(self) -> None:
        may_be_together = self.memory.device is None and all(
            each.used == each.own and not each.layout.dim for each in self.parameters
        )
        self._lay_out(one_copy(self.group, self._whole_bytes()) if may_be_together else None)

    def be_born(self) -> None:
        """Take memory, where the module was on the meta device when it was sharded; all ranks call.

        Raises:
            RuntimeError: parameters are on the meta device still.
        """
        if not self.is_unborn:
            return
        parts = [each.current() for each in self.parameters]
        left = [each.name for each, part in zip(self.parameters, parts, strict=True) if part.is_meta]
        if left:
            raise RuntimeError(
                "FSDP parameters should be materialized from meta device before training, but the following were "
                f"still on meta device: {left}. For example, call module.to_empty(device) to materialize to device "
                "and call module.reset_parameters() on each module to initialize values."
            )
        self.is_unborn = False
        for part, each in zip(parts, self.parameters, strict=True):
            each.become(part._array.dtype, self.policy.param_dtype)
        self._take_memory()
        for position, each in enumerate(self.parameters):
            each.bring_home(self._home(position))
        self._place_whole()

    def _whole_bytes(self) -> int:
        return max(1, line_bounds([_elements(each) * each.used.itemsize for each in self.parameters])[-1])

    def _lay_out(self, together: Array | None = None) -> None:
        """Take memory for parameters of the present dtypes."""
        self._own = line_bounds([each.largest * each.own.itemsize for each in self.parameters])
        self._used = line_bounds([each.largest * each.used.itemsize for each in self.parameters])
        self._whole = line_bounds([_elements(each) * each.used.itemsize for each in self.parameters])
        rank = self.group.rank()
        self.part_bytes = sum(each.sizes[rank] * each.used.itemsize for each in self.parameters)
        self._together, self.is_together = together, together is not None
        is_in_slot = together is not None and self.policy.reduce_dtype is None
        self.slot_bytes = self._whole[-1] + line_bounds([len(self.parameters)])[1] if is_in_slot else 0
        self._row = self.memory.row(0 if self.is_together else self._own[-1] + _SLACK_BYTES, np.uint8)
        self._arena = self.memory.arena(self._whole[-1])
        # Sealed: a module that changes its whole parameter gets a copy, and the other ranks see nothing of it. It is
        # lost when the parameter is given back, as in PyTorch.
        self._views = (
            [
                seal(view, ReleaseToCopy(each.whole)) if view.size else view
                for each, view in zip(self.parameters, self._whole_views(together), strict=True)
            ]
            if together is not None
            else []
        )

    def _place_whole(self) -> None:
        self._outlines = self._views or [
            self._arena.outline(self._whole_place(position), each.used, each.layout.shape)
            for position, each in enumerate(self.parameters)
        ]
        for each, outline in zip(self.parameters, self._outlines, strict=True):
            each.whole._array = outline
            each.give_back(is_gone=True)

    def _home(self, position: int) -> Array:
        """Where this rank's part belongs."""
        each, rank = self.parameters[position], self.group.rank()
        if self._together is not None:
            place = self._whole_place(position)
            whole = self._together[place].view(each.own).reshape(each.layout.shape)
            return whole[each.slices[rank]].reshape(-1)
        start = self._own[position]
        return self._row[start : start + each.sizes[rank] * each.own.itemsize].view(each.own)

    def _whole_place(self, position: int) -> slice:
        each, start = self.parameters[position], self._whole[position]
        return slice(start, start + _elements(each) * each.used.itemsize)

    def _whole_views(self, memory: Array) -> list[Array]:
        places = map(self._whole_place, range(len(self.parameters)))
        return [
            memory[place].view(each.used).reshape(each.layout.shape)
            for each, place in zip(self.parameters, places, strict=True)
        ]

    @property
    def is_gathering(self) -> bool:
        """Whether the whole parameters are on their way."""
        return self._gathering is not None

    @property
    def is_stale(self) -> bool:
        """Whether the whole parameters are there, and no longer those of the parts."""
        return self.is_whole and any(each.is_stale for each in self.parameters)

    def launch(
        self,
        lane: ProcessGroup,
        is_backward: bool = False,
        company: Sequence[WholeParameters] = (),
        is_awaited: bool = False,
    ) -> None:
        """Start to gather the whole parameters, for a backward pass or another one; all ranks do so.

        Args:
            lane: the ranks.
            is_backward: for a backward pass.
            company: units that are gathered with it, all of them such that ranks have them together.
            is_awaited: it is needed at once, so that the ranks may as well meet here.
        """
        for unit in (self, *company):
            if unit.is_whole:
                unit.give_back()
            unit._bring_home()
        if self.is_together and is_backward:
            # All have come to the forward pass, and none may change its part before backward is over.
            self._gathering = COMPLETED, None
            return
        with_it = [unit for unit in company if unit.is_together and self.is_together]
        if self.is_together:
            what = f"units {[unit.number for unit in (self, *with_it)]}"
            brought = sum(unit.part_bytes for unit in (self, *with_it))
            work, rows = lane.barrier(async_op=not is_awaited, what=what, nbytes=brought), None
        else:
            sent = self._sent()
            rows = self.memory.empty((self.group.size(), sent.size), np.uint8)
            work = lane.all_gather(rows, sent, async_op=True)
        self._gathering = work, rows
        for unit in company:
            if unit in with_it:
                unit._gathering = work, None
            else:  # its dtype has changed since
                unit.launch(lane)

    def _sent(self) -> Array:
        """This rank's parts in the dtype to compute in, and a surplus that tells units apart."""
        if self._together is not None or any(each.used != each.own for each in self.parameters):
            return self._copied_row()[: self._used[-1] + self._spread()]
        return self.memory.fetched(self._row[: self._own[-1] + self._spread()])

    def part_ways(self) -> None:
        """Gather copies from now on: what one rank has gathered stays when another changes its part."""
        self.is_together = False

    def _bring_home(self) -> None:
        """Have the parts lie in the row, whatever scripts have done with them."""
        self.be_born()
        if all(each.is_settled for each in self.parameters):
            return
        found = [each.current() for each in self.parameters]
        is_moved = is_on_gpu(found[0]._array) is (self.memory.device is None) and not self.memory.is_apart
        if is_moved:
            self.memory = _memory_of(found[0]._array)
        if is_moved or any(
            part._array.dtype != each.own for part, each in zip(found, self.parameters, strict=True)
        ):
            for part, each in zip(found, self.parameters, strict=True):
                each.become(part._array.dtype, self.policy.param_dtype)
            self._lay_out()
            self._place_whole()
        for position, each in enumerate(self.parameters):
            if not each.is_home:
                each.bring_home(self._home(position))

    def _spread(self) -> int:
        return self.number * _STEP_BYTES % _SLACK_BYTES

    def _surplus(self) -> int:
        """By how many elements messages of this unit are longer than they need be."""
        return self._spread() // _STEP_BYTES

    def _copied_row(self) -> Array:
        row = self.memory.zeros(self._used[-1] + _SLACK_BYTES, np.uint8)
        rank = self.group.rank()
        for position, each in enumerate(self.parameters):
            start, size = self._used[position], each.sizes[rank]
            home = self.memory.fetched(self._home(position))
            row[start : start + size * each.used.itemsize].view(each.used)[...] = home
        return row

    def finish(self, wait: Callable[[Work], object] = lambda work: work.wait()) -> None:
        """Wait for the whole parameters, and have the modules hold them."""
        if self._gathering is None:
            return
        work, rows = self._gathering
        wait(work)
        self._gathering = None
        self.is_whole = True
        if rows is None:
            for each, view in zip(self.parameters, self._views, strict=True):
                each.take(view)
            return
        memory = self._arena.acquire()
        for position, each in enumerate(self.parameters):
            start, end = self._used[position], self._used[position] + each.largest * each.used.itemsize
            home = memory[self._whole_place(position)]
            each.take(each.put_together(home, [row[start:end] for row in rows]))

    def drop(self) -> None:
        """Wait for what is on its way, without taking it."""
        if self._gathering is not None:
            (work, _), self._gathering = self._gathering, None
            work.wait()

    def give_back(self) -> None:
        """Have the modules hold their parts, and give back the memory of the whole parameters."""
        if self.is_whole:
            self.is_whole = False
            for each in self.parameters:
                each.give_back(is_gone=not self.is_together)
            if not self.is_together:
                for each, outline in zip(self.parameters, self._outlines, strict=True):
                    each.whole._array = outline
                self._arena.release()


def _memory_of(array: Array) -> Memory:
    """What a unit is made of whose parts a script has brought where this array is."""
    if not is_on_gpu(array):
        return HostMemory()
    from distrt.core.gpu.places import device_of
    from distrt.parallel.fully_sharded.device_memory import DeviceMemory

    return DeviceMemory(device_of(array))


def _elements(each: ShardedParameter) -> int:
    return sum(each.sizes)
