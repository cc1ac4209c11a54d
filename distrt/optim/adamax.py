"""Adamax."""

from __future__ import annotations

from typing import Any

from distrt.core.tensor import Tensor
from distrt.optim.adam import require_moments
from distrt.optim.elementwise import ElementwiseOptimizer, a_number, require, require_one_element, zeros_like
from distrt.optim.lent import step_on
from distrt.optim.operands import Operand
from distrt.optim.optimizer import ParamsT
from distrt.optim.rules import Rule, advance, decayed, number

__all__ = ["Adamax", "adamax"]


class Adamax(ElementwiseOptimizer):
    r"""Adam with the largest gradient, fading out, in the place of the root mean square.

    m ← β₁ m + (1 - β₁) g;  u ← max(β₂ u, \|g\| + eps);  p ← p - lr / (1 - β₁ᵗ) · m / u.

    Source: Kingma and Ba 2014, https://pytorch.org/docs/stable/generated/torch.optim.Adamax.html
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        require_one_element(lr)
        require_moments(lr, betas, eps)
        require(weight_decay >= 0.0, f"Invalid weight_decay value: {weight_decay}")
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def start(self, param: Tensor, group: dict[str, Any], state: dict[str, Any]) -> None:
        """Counts from 0, with moments of 0."""
        state["step"] = a_number(0.0)
        for name in _state_names(group):
            state[name] = zeros_like(param)


def _state_names(group: dict[str, Any]) -> tuple[str, ...]:
    return ("exp_avg", "exp_inf")


def _numbers(param: Tensor, state: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
    step = advance(state)
    beta1, beta2 = group["betas"]
    return {
        "step_size": number(group["lr"]) / (1 - beta1**step),
        "beta1": beta1,
        "beta2": beta2,
        "eps": group["eps"],
        "decay": group["weight_decay"],
        "maximize": group["maximize"],
    }


def _update(
    p: Operand,
    g: Operand,
    m: Operand,
    u: Operand,
    *,
    step_size: Any,
    beta1: float,
    beta2: float,
    eps: float,
    decay: float,
    maximize: bool,
) -> None:
    g = decayed(p, g, maximize, decay)
    m.lerp_(g, 1 - beta1)
    u.mul_(beta2).maximum_(g.abs().add_(eps))
    p.addcdiv_(m, u, -step_size)


Adamax.rule = Rule("Adamax", _state_names, _numbers, _update)


def adamax(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_infs: list[Tensor],
    state_steps: list[Tensor],
    foreach: bool | None = None,
    maximize: bool = False,
    differentiable: bool = False,
    capturable: bool = False,
    has_complex: bool = False,
    *,
    eps: float,
    beta1: float,
    beta2: float,
    lr: float,
    weight_decay: float,
) -> None:
    """One step of `Adamax` on tensors that the caller keeps (`distrt.optim.lent.step_on`)."""
    states = {"step": state_steps, "exp_avg": exp_avgs, "exp_inf": exp_infs}
    group = {
        "betas": (beta1, beta2),
        "foreach": foreach,
        "maximize": maximize,
        "differentiable": differentiable,
        "capturable": capturable,
        "eps": eps,
        "lr": lr,
        "weight_decay": weight_decay,
    }
    step_on(Adamax, params, grads, states, group)
