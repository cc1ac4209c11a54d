"""Schedules with a formula for each step."""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from distrt.optim.lr_scheduler.base import ClosedForm, LRScheduler
from distrt.optim.optimizer import Optimizer


class _OfFunctions(LRScheduler):
    """A schedule that one function, or one for each group, computes from the step's number."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1) -> None:
        self.optimizer = optimizer
        self.lr_lambdas: list[Callable[[int], Any]]
        count = len(optimizer.param_groups)
        if not isinstance(lr_lambda, list | tuple):
            self.lr_lambdas = [lr_lambda] * count
        else:
            if len(lr_lambda) != count:
                raise ValueError(f"Expected {count} lr_lambdas, but got {len(lr_lambda)}")
            self.lr_lambdas = list(lr_lambda)
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer; of the functions, the attributes of those that are objects."""
        state = super().state_dict()
        state["lr_lambdas"] = [
            None if _is_plain_function(each) else dict(each.__dict__) for each in state.pop("lr_lambdas")
        ]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over the state; plain functions stay those of this schedule."""
        super().load_state_dict({name: value for name, value in state_dict.items() if name != "lr_lambdas"})
        for function, attributes in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=False):
            if attributes is not None:
                function.__dict__.update(attributes)


def _is_plain_function(value: Any) -> bool:
    return isinstance(value, type(_is_plain_function))


class LambdaLR(_OfFunctions):
    """The initial rate times ``lr_lambda(step)``."""

    def get_lr(self) -> list[Any]:
        """The rates of the step ``last_epoch``, one a group."""
        self._warn_outside_step()
        return [
            base * function(self.last_epoch)
            for function, base in zip(self.lr_lambdas, self.base_lrs, strict=True)
        ]


class MultiplicativeLR(_OfFunctions):
    """The rate before times ``lr_lambda(step)``.

    Raises:
        TypeError: where ``lr_lambda`` cannot be called.
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1) -> None:
        for function in lr_lambda if isinstance(lr_lambda, list | tuple) else [lr_lambda]:
            if not callable(function):
                raise TypeError(f"lr_lambda should be a function, but got {type(function).__name__}")
        super().__init__(optimizer, lr_lambda, last_epoch)

    def get_lr(self) -> list[Any]:
        """The rates of the step ``last_epoch``, one a group."""
        self._warn_outside_step()
        rates = [group["lr"] for group in self.optimizer.param_groups]
        if self._is_initial:
            return rates
        return [rate * f(self.last_epoch) for f, rate in zip(self.lr_lambdas, rates, strict=True)]


class StepLR(ClosedForm):
    """Times ``gamma`` every ``step_size`` steps."""

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _next(self, rate: Any, base: Any) -> Any:
        return rate if self.last_epoch == 0 or self.last_epoch % self.step_size else rate * self.gamma

    def _closed(self, base: Any) -> Any:
        return base * self.gamma ** (self.last_epoch // self.step_size)


class MultiStepLR(ClosedForm):
    """Times ``gamma`` at each of the ``milestones``; one that is listed twice counts twice."""

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _next(self, rate: Any, base: Any) -> Any:
        count = self.milestones.get(self.last_epoch)
        return rate if count is None else rate * self.gamma**count

    def _closed(self, base: Any) -> Any:
        passed = bisect.bisect_right(sorted(self.milestones.elements()), self.last_epoch)
        return base * self.gamma**passed


class ConstantLR(ClosedForm):
    """Times ``factor`` for the first ``total_iters`` steps."""

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        if factor > 1.0 or factor < 0:
            raise ValueError("Constant multiplicative factor expected to be between 0 and 1.")
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _next(self, rate: Any, base: Any) -> Any:
        if self.last_epoch == 0:
            return rate * self.factor
        return rate if self.last_epoch != self.total_iters else rate * (1.0 / self.factor)

    def _closed(self, base: Any) -> Any:
        return base if self.last_epoch >= self.total_iters else base * self.factor


class LinearLR(ClosedForm):
    """Times a factor that goes from ``start_factor`` to ``end_factor`` in ``total_iters`` equal steps."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if start_factor > 1.0 or start_factor <= 0:
            raise ValueError(
                "Starting multiplicative factor expected to be greater than 0 and less or equal to 1."
            )
        if end_factor > 1.0 or end_factor < 0:
            raise ValueError("Ending multiplicative factor expected to be between 0 and 1.")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _next(self, rate: Any, base: Any) -> Any:
        if self.last_epoch == 0:
            return rate * self.start_factor
        if self._is_initial or self.last_epoch > self.total_iters:
            return rate
        rise = self.end_factor - self.start_factor
        return rate * (1.0 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise))

    def _closed(self, base: Any) -> Any:
        done = min(self.total_iters, self.last_epoch)
        return base * (self.start_factor + (self.end_factor - self.start_factor) * done / self.total_iters)


class ExponentialLR(ClosedForm):
    """Times ``gamma`` at every step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _next(self, rate: Any, base: Any) -> Any:
        return rate if self._is_initial else rate * self.gamma

    def _closed(self, base: Any) -> Any:
        return base * self.gamma**self.last_epoch


class PolynomialLR(ClosedForm):
    """The initial rate times (1 - step / ``total_iters``) to the power of ``power``; 0 from ``total_iters`` on."""

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def _next(self, rate: Any, base: Any) -> Any:
        if self._is_initial or self.last_epoch > self.total_iters:
            return rate
        left = (1.0 - self.last_epoch / self.total_iters) / (1.0 - (self.last_epoch - 1) / self.total_iters)
        return rate * left**self.power

    def _closed(self, base: Any) -> Any:
        done = min(self.total_iters, self.last_epoch)
        return base * (1.0 - done / self.total_iters) ** self.power


class CosineAnnealingLR(ClosedForm):
    """Half a cosine from the initial rate down to ``eta_min`` in ``T_max`` steps, and back up.

    Source: Loshchilov and Hutter 2016, without the restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def _next(self, rate: Any, base: Any) -> Any:
        if self._is_initial:
            return rate
        if self._step_count == 1 and self.last_epoch > 0:
            return self._closed(base)
        is_at_the_bottom = (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0
        if is_at_the_bottom:  # where the ratio is 0 / 0
            return rate + (base - self.eta_min) * (1 - math.cos(math.pi / self.T_max)) / 2
        ratio = (1 + self._cosine(self.last_epoch)) / (1 + self._cosine(self.last_epoch - 1))
        return ratio * (rate - self.eta_min) + self.eta_min

    def _closed(self, base: Any) -> Any:
        return self.eta_min + (base - self.eta_min) * (1 + self._cosine(self.last_epoch)) / 2

    def _cosine(self, step: Any) -> float:
        return math.cos(math.pi * step / self.T_max)
