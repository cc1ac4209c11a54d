"""Watches optimizers' steps: which parameter, or what is kept for it, has become infinite or NaN in one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from distrt.core.tensor import Tensor
from distrt.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

__all__ = ["StepWatch"]


class StepWatch:
    """Looks at this thread's optimizers before and after each step, from ``open`` to ``close``.

    Args:
        is_finite: of a tensor.
        report: called with the optimizer, a parameter, what of it ("" for itself) and that tensor.
    """

    def __init__(
        self, is_finite: Callable[[Tensor], bool], report: Callable[[Any, Tensor, str, Tensor], None]
    ) -> None:
        self._is_finite, self._report = is_finite, report
        self._sound: set[int] = set()
        self._thread = threading.get_ident()

    def open(self) -> None:
        """Begins."""
        self._handles = (
            register_optimizer_step_pre_hook(self._before),
            register_optimizer_step_post_hook(self._after),
        )

    def close(self) -> None:
        """Ends."""
        for handle in self._handles:
            handle.remove()

    def _before(self, optimizer: Any, *arguments: Any) -> None:
        if threading.get_ident() == self._thread:
            self._sound = {
                id(parameter)
                for parameter in _parameters(optimizer)
                if parameter.grad is not None
                and all(map(self._is_finite, (parameter.grad, *dict(_kept(optimizer, parameter)).values())))
            }

    def _after(self, optimizer: Any, *arguments: Any) -> None:
        if threading.get_ident() != self._thread:
            return
        for parameter in _parameters(optimizer):
            if id(parameter) in self._sound:
                for name, tensor in _kept(optimizer, parameter):
                    if not self._is_finite(tensor):
                        self._report(optimizer, parameter, name, tensor)


def _parameters(optimizer: Any) -> Iterator[Tensor]:
    for group in optimizer.param_groups:
        yield from group["params"]


def _kept(optimizer: Any, parameter: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The parameter, and what the optimizer keeps for it."""
    yield "", parameter
    for name, value in optimizer.state.get(parameter, {}).items():
        if isinstance(value, Tensor):
            yield name, value
