"""``ShardedOptimizer``: averages gradients and updates parameters slice by slice, each rank its own.

Beyond PyTorch; docs/sharding.md has the design, and what is to come.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.comm.process_group import ProcessGroup
from distrt.comm.world import default_group
from distrt.core.errors import DistributedError, UnsupportedError
from distrt.core.modes import enable_grad
from distrt.core.tensor import Tensor
from distrt.optim.elementwise import ElementwiseOptimizer
from distrt.optim.optimizer import Optimizer
from distrt.parallel.sharding.consolidation import gathered_states
from distrt.parallel.sharding.flat import FlatParameters

__all__ = ["ShardedOptimizer"]

StateDict = dict[str, Any]


class ShardedOptimizer(Optimizer):
    """Data parallelism and its optimizer in one: after ``backward``, ``step`` averages, updates and shares.

    The model is not wrapped. A step reduces each rank's slice of the gradients, and updates the same slice of the
    parameters. On one machine, these are there once for all ranks, and nothing is sent after the update; the
    optimizer's state is there once in any event. The parameters are those of ``DistributedDataParallel`` and the
    optimizer itself, to the bit.

    A step is done on all ranks or on none: where a rank is lost, the others keep the parameters from before. It uses
    the gradients up: afterwards there are none.

    Args:
        params: tensors, or dicts with "params" and the group's own options. Those that need no gradient are left out.
        optimizer_class: updates element by element: SGD, Adam, RMSprop and their like.
        process_group: the ranks; all of the world where None.
        defaults: the optimizer's options.

    Attributes:
        optim: this rank's own optimizer, on its slices.
    """

    def __init__(
        self,
        params: Any,
        optimizer_class: type[ElementwiseOptimizer],
        process_group: ProcessGroup | None = None,
        **defaults: Any,
    ) -> None:
        if not (isinstance(optimizer_class, type) and issubclass(optimizer_class, ElementwiseOptimizer)):
            raise UnsupportedError(
                f"ShardedOptimizer: {optimizer_class} looks at more than one element of a parameter at a time, and "
                "cannot update slices: use ZeroRedundancyOptimizer, which keeps parameters whole"
            )
        super().__init__(params, defaults)
        self.process_group = process_group if process_group is not None else default_group()
        self.flats: list[list[FlatParameters]] = []  # per group, one for each dtype
        first = 0
        for group in self.param_groups:
            self.flats.append(_flattened(group["params"], first, self.process_group))
            first += len(group["params"])
        self.optim = optimizer_class(
            [
                {**group, "params": [flat.shard for flat in flats]}
                for group, flats in zip(self.param_groups, self.flats, strict=True)
            ],
            **defaults,
        )
        self._copy_options(self.optim, self)
        self._whole: list[StateDict] = []
        self._broken: str | None = None

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds parameters, while the optimizer is made.

        Raises:
            UnsupportedError: afterwards.
        """
        if "optim" in self.__dict__:
            raise UnsupportedError("ShardedOptimizer: groups cannot be added later")
        super().add_param_group(param_group)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Averages the gradients and updates the parameters; a collective.

        Raises:
            DistributedError: a rank was lost. The parameters are those from before the step.
        """
        self._require_whole()
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        flats = [flat for group in self.flats for flat in group]
        for flat in flats:
            flat.collect()
        self._broken = "its last step was broken off"
        for work in [flat.average() for flat in flats]:
            work.wait()
        for flat in flats:  # every rank has come, so none reads the half that is written now
            flat.begin()
        self._copy_options(self, self.optim)
        self.optim.step()
        self._copy_options(self.optim, self)
        for work in [work for flat in flats for work in flat.exchange()]:
            work.wait()
        self.process_group.barrier()
        for flat in flats:
            flat.finish()
        self._broken = None
        return loss

    def _require_whole(self) -> None:
        if self._broken:
            raise DistributedError(
                f"rank {self.process_group.rank()}: this optimizer is of no use any more: {self._broken}. The "
                "parameters are whole, from before that step, and the state is not: make another optimizer on a group "
                "of the ranks that are left, and load a state that was saved"
            )

    @staticmethod
    def _copy_options(source: Optimizer, target: Optimizer) -> None:
        for one, other in zip(source.param_groups, target.param_groups, strict=True):
            other.update((name, value) for name, value in one.items() if name != "params")

    # -- state

    def consolidate_state_dict(self, to: int = 0) -> None:
        """Gathers the state of all ranks on rank ``to``, which can then call `state_dict`. All ranks call."""
        self._require_whole()
        self._whole = gathered_states(self.optim.state_dict(), self.process_group, to)

    def state_dict(self) -> StateDict:
        """The whole state as it was when it was last consolidated on this rank: as an ordinary optimizer's.

        Raises:
            RuntimeError: it was not.
        """
        if not self._whole:
            raise RuntimeError(
                "Optimizer state has not been consolidated on this rank. "
                f"Please call `consolidate_state_dict(to={self.process_group.rank()})` on all ranks beforehand if you "
                "meant to save the global state."
            )
        state_dict, state, place = super().state_dict(), {}, 0
        for group, flats in zip(self.param_groups, self.flats, strict=True):
            names = self._cut_names(group)
            for flat in flats:
                saved = [each["state"].get(place, {}) for each in self._whole]
                whole = {name: flat.cut([each[name] for each in saved]) for name in names if name in saved[0]}
                for position, number in enumerate(flat.numbers):
                    state[number] = {
                        name: whole[name][position] if name in whole else _copied(value)
                        for name, value in saved[0].items()
                    }
                place += 1
        state_dict["state"] = {number: each for number, each in sorted(state.items()) if each}
        return state_dict

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Takes over options, and the state of this rank's slices, of a whole state; any number of ranks has saved it.

        Raises:
            ValueError: where groups or their sizes differ, or parameters of a group have taken different numbers of
                steps.
        """
        super().load_state_dict({**state_dict, "state": {}})
        state, groups, place = {}, [], 0
        for group, flats in zip(self.param_groups, self.flats, strict=True):
            names = self._cut_names(group)
            for number, flat in enumerate(flats, place):
                saved = [state_dict["state"].get(each, {}) for each in flat.numbers]
                if any(saved):
                    state[number] = _sliced(flat, saved, names)
            options = {name: value for name, value in group.items() if name != "params"}
            groups.append({**options, "params": list(range(place, place + len(flats)))})
            place += len(flats)
        self.optim.load_state_dict({"state": state, "param_groups": groups})

    def _cut_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The state that has an element for each of the parameter's."""
        return self.optim.rule.state_names(group)


def _flattened(params: list[Tensor], first: int, group: ProcessGroup) -> list[FlatParameters]:
    """The trained parameters of a group, those of a dtype together; ``first`` is the number of the first."""
    numbered = [(number, param) for number, param in enumerate(params, first) if param.requires_grad]
    dtypes = dict.fromkeys(param._array.dtype for _, param in numbered)
    return [
        FlatParameters([each for each in numbered if each[1]._array.dtype == dtype], group)
        for dtype in dtypes
    ]


def _sliced(flat: FlatParameters, saved: list[StateDict], names: tuple[str, ...]) -> StateDict:
    """The parameters' saved states as one, of this rank's slice."""
    found: StateDict = {}
    for name, value in saved[0].items():
        values: list[Any] = [each.get(name) for each in saved]
        if name in names and isinstance(value, Tensor):
            found[name] = flat.slice_of(values)
            continue
        if any(not np.array_equal(_number(each), _number(value)) for each in values):
            raise ValueError(
                f"loaded state dict has parameters of one group whose {name!r} differs; slices have one for all"
            )
        found[name] = _copied(value)
    return found


def _number(value: Any) -> Any:
    return value._array if isinstance(value, Tensor) else value


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value
