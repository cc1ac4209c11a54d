"""``check_gradients``: parameters whose gradients say that training goes nowhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module

__all__ = ["GradientCheck", "check_gradients"]


@dataclass(frozen=True)
class GradientCheck:
    """One parameter.

    Attributes:
        name: its dotted name.
        verdict: "ok", "missing", "zero", "exploding" or "not finite".
        norm: of its gradient; None where that is missing.
    """

    name: str
    verdict: str
    norm: float | None

    def __str__(self) -> str:
        return f"{self.name}: {self.verdict}" + ("" if self.norm is None else f", norm {self.norm:.3g}")


def check_gradients(
    model: Module | Iterable[tuple[str, Tensor]], largest_norm: float = 1000.0
) -> list[GradientCheck]:
    """Looks at the gradients that a backward pass has left; call it before the optimizer's step.

    Args:
        model: a module, or pairs of names and parameters.
        largest_norm: a gradient whose norm is larger counts as exploding.

    Returns:
        One for each parameter that needs a gradient, in the model's order.

    Raises:
        TypeError: it is neither a module nor pairs.
    """
    if not isinstance(model, Module | Iterable):
        raise TypeError(
            f"check_gradients: expected a module, or pairs of names and parameters, got {type(model).__name__}"
        )
    named: Iterable[tuple[str, Tensor]] = model.named_parameters() if isinstance(model, Module) else model
    return [_look(name, parameter, largest_norm) for name, parameter in named if parameter.requires_grad]


def _look(name: str, parameter: Tensor, largest_norm: float) -> GradientCheck:
    if parameter.grad is None:
        return GradientCheck(name, "missing", None)
    gradient = parameter.grad.detach()
    norm = float(gradient.norm())
    if not bool(gradient.isfinite().all()):
        return GradientCheck(name, "not finite", norm)
    if not bool(gradient.any()):
        return GradientCheck(name, "zero", norm)
    return GradientCheck(name, "exploding" if norm > largest_norm else "ok", norm)
