"""Facade: hooks that step an optimizer, at the path that PyTorch users type. The room is ``distrt.parallel``."""

from collections.abc import Callable
from typing import Any

from distrt.parallel.optimizer_overlap import OptimizerHookState as _OptimizerHookState  # noqa: F401
from distrt.parallel.optimizer_overlap import hook_then_optimizer as _hook_then_optimizer  # noqa: F401
from distrt.parallel.optimizer_overlap import step_in_backward_hook

__all__: list[str] = []


def _apply_optim_in_backward_hook(gradient_is_bucket_view: bool) -> Callable[..., Any]:
    """The hook of ``_apply_optimizer_in_backward``; gradients are always views here."""
    return step_in_backward_hook
