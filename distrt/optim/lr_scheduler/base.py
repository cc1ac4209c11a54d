"""What every schedule shares: the first step at construction, ``step``, and its state.

A schedule is *chainable*: from one step to the next it changes the learning rate that the group has, so that several
can work on one optimizer. Where a formula from the initial rate exists as well, ``step(epoch)`` uses that.
Source: https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import weakref
from collections.abc import Iterator
from typing import Any

from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.optim.optimizer import Optimizer

EPOCH_DEPRECATION_WARNING = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible. Please use "
    "`scheduler.step()` to step the scheduler. During the deprecation, if epoch is different from None, the closed "
    "form is used instead of the new chainable form, where available."
)

_HOW_TO = "See more details at https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"


class _NoBase:
    """The initial rate of a group that was added after the schedule was made: most schedules go on without it."""

    def __sub__(self, other: Any) -> Any:
        raise ValueError(
            "this schedule needs the initial learning rate of every parameter group, and one was added after the "
            "schedule was made: make the schedule anew"
        )

    __mul__ = __rmul__ = __rsub__ = __sub__


_NO_BASE = _NoBase()


class LRScheduler:
    """The base of schedules; a subclass writes ``get_lr``, or for the schedules here ``_next`` and ``_closed``.

    Args:
        optimizer: whose groups' ``lr`` is set, for the first time now.
        last_epoch: the last step that was made, when a run is continued; -1 begins one, and makes each group's
            present ``lr`` its ``initial_lr``.

    Raises:
        TypeError: where ``optimizer`` is none.
        KeyError: where a continued run's groups have no ``initial_lr``.
    """

    _get_lr_called_within_step = False
    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = require_optimizer(optimizer)
        for number, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", _copied(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{number}] when resuming scheduler with "
                    "last_epoch >= 0: load the optimizer's state first, which has it, or leave last_epoch out for a "
                    "new run"
                )
        self.base_lrs: list[Any] = values_of(optimizer, "initial_lr")
        self.last_epoch: Any = last_epoch
        _watch_steps(optimizer)
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    # -- stepping

    def step(self, epoch: Any = None) -> None:
        """Goes one step on, after ``optimizer.step()``; ``epoch`` (deprecated) goes to that step."""
        if self._step_count == 1:
            self._warn_of_order()
        self._step_count += 1
        if epoch is not None:
            warn(EPOCH_DEPRECATION_WARNING)
        self._update_lr(epoch)

    def _update_lr(self, epoch: Any = None) -> None:
        with self._computing():
            if epoch is None:
                self.last_epoch += 1
                rates = self.get_lr()
            else:
                self.last_epoch = epoch
                closed = getattr(self, "_get_closed_form_lr", self.get_lr)
                rates = closed()
        self._set(rates)

    def _set(self, rates: list[Any]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            set_value(group, "lr", rate)
        self._last_lr = values_of(self.optimizer, "lr")

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        self._get_lr_called_within_step = True
        try:
            yield
        finally:
            self._get_lr_called_within_step = False

    def _warn_of_order(self) -> None:
        if not hasattr(self.optimizer.step, "_wrapped_by_lr_sched"):
            warn(
                "Seems like `optimizer.step()` has been overridden after learning rate scheduler initialization. "
                f"Please, make sure to call `optimizer.step()` before `lr_scheduler.step()`. {_HOW_TO}"
            )
        elif not getattr(self.optimizer, "_opt_called", False):
            warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. In PyTorch 1.1.0 and later, you "
                "should call them in the opposite order: `optimizer.step()` before `lr_scheduler.step()`.  Failure to "
                f"do this will result in PyTorch skipping the first value of the learning rate schedule. {_HOW_TO}"
            )

    # -- rates

    def get_last_lr(self) -> list[Any]:
        """The rates that the last step set, one a group."""
        return self._last_lr

    def get_lr(self) -> list[Any]:
        """The rates of the step ``last_epoch``, one a group; ``step`` calls it."""
        self._warn_outside_step()
        rates = values_of(self.optimizer, "lr")
        pairs = itertools.zip_longest(rates, self.base_lrs, fillvalue=_NO_BASE)
        return [self._next(rate, base) for rate, base in pairs]

    def _next(self, rate: Any, base: Any) -> Any:
        """A group's rate at ``last_epoch``, from the one before and the initial one."""
        raise NotImplementedError(f"{type(self).__name__} must define get_lr()")

    def _warn_outside_step(self) -> None:
        if not self._get_lr_called_within_step:
            warn("To get the last learning rate computed by the scheduler, please use `get_last_lr()`.")

    # -- state

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what another schedule's ``state_dict`` gave."""
        self.__dict__.update(state_dict)


class _LRScheduler(LRScheduler):
    """The name of the base before PyTorch 2.0, which user-written schedules inherit."""


class ClosedForm(LRScheduler):
    """A schedule with a formula from the initial rate to that of any step: ``_closed``."""

    def _get_closed_form_lr(self) -> list[Any]:
        return [self._closed(base) for base in self.base_lrs]

    def _closed(self, base: Any) -> Any:
        raise NotImplementedError


# -- groups


def require_optimizer(optimizer: Any) -> Optimizer:
    """The optimizer itself.

    Raises:
        TypeError: for anything else.
    """
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
    return optimizer


def values_of(optimizer: Optimizer, name: str) -> list[Any]:
    """One option of every group; tensors as copies, which later steps do not change."""
    return [_copied(group[name]) for group in optimizer.param_groups]


def set_value(group: dict[str, Any], name: str, value: Any) -> None:
    """Sets an option; a tensor is written into, so that whoever holds it sees the new value."""
    if isinstance(group[name], Tensor):
        group[name].fill_(float(value))
    else:
        group[name] = value


def for_each_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """One value for all groups, or a list with one for each.

    Raises:
        ValueError: for a list of another length.
    """
    count = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [_copied(value) for _ in range(count)]
    if len(value) != count:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. {name} has {len(value)} values, param_groups "
            f"has {count}."
        )
    return [_copied(each) for each in value]


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def _watch_steps(optimizer: Optimizer) -> None:
    """Lets the optimizer note that it has made a step, so that a schedule can warn of the wrong order."""
    if hasattr(optimizer.step, "_wrapped_by_lr_sched"):
        return
    original = optimizer.step
    function = getattr(original, "__func__", None)
    # A bound method would keep the optimizer alive until the cycle collector runs.
    owner = weakref.ref(optimizer)

    @functools.wraps(original if function is None else function)
    def step(*args: Any, **kwargs: Any) -> Any:
        watched: Any = owner()
        watched._opt_called = True
        return original(*args, **kwargs) if function is None else function(watched, *args, **kwargs)

    if function is not None:
        del original
    step._wrapped_by_lr_sched = True  # type: ignore[attr-defined]
    optimizer.step = step  # type: ignore[method-assign]
