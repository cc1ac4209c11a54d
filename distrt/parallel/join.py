"""Training with uneven inputs: a rank that has run out takes part in the others' collectives until all have.

    with Join([model, optimizer]):
        for batch in loader:
            ...

``Join`` is PyTorch's protocol between whatever communicates in an iteration (``Joinable``) and what a rank without
input does in its place (``JoinHook``). ``DistributedDataParallel.join`` is the short form for one model.
Source: https://docs.pytorch.org/docs/stable/distributed.algorithms.join.html.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from distrt.comm.process_group import ProcessGroup, ReduceOp, Work
from distrt.core.device import device
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor, wrap

__all__ = ["Join", "JoinHook", "Joinable"]

_MANY_ITERATIONS = 1000


class JoinHook:
    """What a rank that has run out of input does for one `Joinable`."""

    def main_hook(self) -> None:
        """Take part in one iteration of the others."""

    def _take_step(self) -> None:
        """Take part in a step that the others have announced."""

    def post_hook(self, is_last_joiner: bool) -> None:
        """When all have run out; ``is_last_joiner``: this rank did so last."""


class _JoinConfig(NamedTuple):
    enable: bool
    throw_on_early_termination: bool
    is_first_joinable: bool

    @staticmethod
    def construct_disabled_join_config() -> _JoinConfig:
        return _JoinConfig(False, False, False)


class Joinable(ABC):
    """Something that communicates in every iteration: it calls ``Join.notify_join_context(self)`` before it does."""

    @abstractmethod
    def __init__(self) -> None:
        super().__init__()
        self._join_config = _JoinConfig.construct_disabled_join_config()

    @abstractmethod
    def join_hook(self, **kwargs: Any) -> JoinHook:
        """What a rank without input does; ``kwargs`` are those of `Join`."""

    @property
    @abstractmethod
    def join_device(self) -> device:
        """Where its collectives happen."""

    @property
    @abstractmethod
    def join_process_group(self) -> ProcessGroup:
        """The ranks that communicate."""


class Join:
    """Lets ranks iterate over inputs of different lengths.

    Args:
        joinables: what communicates, in the order in which it does in each iteration.
        enable: False where inputs are known to be even.
        throw_on_early_termination: raise on all ranks as soon as one has run out.
        kwargs: for the hooks.
    """

    def __init__(
        self,
        joinables: Sequence[Joinable],
        enable: bool = True,
        throw_on_early_termination: bool = False,
        **kwargs: Any,
    ) -> None:
        if not joinables:
            raise ValueError("The join context manager requires at least one joinable")
        self._joinables = list(joinables)
        self._hooks = [each.join_hook(**kwargs) for each in self._joinables]
        self._is_enabled = enable
        self._throws = throw_on_early_termination
        for place, each in enumerate(self._joinables):
            each._join_config = _JoinConfig(enable, throw_on_early_termination, place == 0)
        groups = {id(each.join_process_group): each.join_process_group for each in self._joinables}
        if len(groups) > 1:
            raise ValueError("Using join context manager with multiple process groups")
        (self._group,) = groups.values()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._is_enabled or kind is not None:
            return
        is_last, iterations = True, 0
        while self._present() > 0:
            if self._throws:
                _all_reduced(self._group, 1.0)
                raise RuntimeError(f"Rank {self._group.rank()} exhausted all inputs.")
            is_last = False
            for hook in self._hooks:
                hook.main_hook()
            iterations += 1
            if iterations == _MANY_ITERATIONS:
                warn(
                    "Detected uneven input skew of greater than "
                    f"{_MANY_ITERATIONS}. This means that rank "
                    f"{self._group.rank()} has at least {_MANY_ITERATIONS} "
                    "fewer inputs than other currently-active ranks. This level of skew could "
                    "lead to performance degradation during training."
                )
        for hook in self._hooks:
            hook.post_hook(is_last)

    def _present(self) -> int:
        """How many ranks have input left."""
        # A negative number: a step of a sharded optimizer comes before.
        while (found := int(_all_reduced(self._group, 0.0))) < 0:
            for hook in self._hooks:
                hook._take_step()
        return found

    @staticmethod
    def notify_join_context(joinable: Joinable) -> Work | None:
        """Tell ranks without input that this one begins an iteration; for the first joinable only.

        Returns:
            The work of the all-reduce that counts who does, whose result is in ``work.result()[0]``; None where there
            is nothing to tell.

        Raises:
            RuntimeError: a rank has run out, and all are to stop.
        """
        if not hasattr(joinable, "_join_config"):
            raise AssertionError(
                f"Check that the {type(joinable)} constructor calls the ``Joinable`` constructor"
            )
        config = joinable._join_config
        if not config.enable or not config.is_first_joinable:
            return None
        group, count = joinable.join_process_group, np.ones(1, np.float32)
        work = group.all_reduce(count, ReduceOp.SUM, async_op=True)
        work._result = [wrap(count)]
        if config.throw_on_early_termination and _all_reduced(group, 0.0):
            raise RuntimeError("Detected at least one rank that exhausted inputs. Throwing across all ranks.")
        return work


def counted(work: Work) -> Tensor:
    """The tensor that will say how many ranks have input, of the work of ``notify_join_context``."""
    tensor: Tensor = work._result[0]
    return tensor


def _all_reduced(group: ProcessGroup, value: float) -> float:
    array = np.array([value], np.float32)
    group.all_reduce(array, ReduceOp.SUM)
    return float(array[0])
