"""Adadelta."""

from __future__ import annotations

from typing import Any, ClassVar

from distrt.core.tensor import Tensor
from distrt.optim.elementwise import (
    CAPTURABLE_DEVICES,
    ElementwiseOptimizer,
    a_number,
    require,
    require_one_element,
    zeros_like,
)
from distrt.optim.lent import step_on
from distrt.optim.operands import Operand
from distrt.optim.optimizer import ParamsT
from distrt.optim.rules import Rule, advance, decayed, number

__all__ = ["Adadelta", "adadelta"]


class Adadelta(ElementwiseOptimizer):
    r"""Steps whose size follows that of the steps before.

    s ← rho · s + (1 - rho) g²;  d ← √(a + eps) / √(s + eps) · g;  a ← rho · a + (1 - rho) d²;  p ← p - lr · d.

    Source: Zeiler 2012, https://pytorch.org/docs/stable/generated/torch.optim.Adadelta.html
    """

    capturable_devices: ClassVar[list[str]] = CAPTURABLE_DEVICES[:-1]

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        require_one_element(lr)
        require(lr >= 0.0, f"Invalid learning rate: {lr}")
        require(0.0 <= rho <= 1.0, f"Invalid rho value: {rho}")
        require(eps >= 0.0, f"Invalid epsilon value: {eps}")
        require(weight_decay >= 0.0, f"Invalid weight_decay value: {weight_decay}")
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def start(self, param: Tensor, group: dict[str, Any], state: dict[str, Any]) -> None:
        """Counts from 0, with averages of 0."""
        state["step"] = a_number(0.0)
        for name in _state_names(group):
            state[name] = zeros_like(param)


def _state_names(group: dict[str, Any]) -> tuple[str, ...]:
    return ("square_avg", "acc_delta")


def _numbers(param: Tensor, state: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
    advance(state)
    return {
        "lr": number(group["lr"]),
        "rho": group["rho"],
        "eps": group["eps"],
        "decay": group["weight_decay"],
        "maximize": group["maximize"],
    }


def _update(
    p: Operand,
    g: Operand,
    s: Operand,
    a: Operand,
    *,
    lr: Any,
    rho: float,
    eps: float,
    decay: float,
    maximize: bool,
) -> None:
    g = decayed(p, g, maximize, decay)
    s.mul_(rho).addcmul_(g, g, 1 - rho)
    d = a.add(eps).sqrt_().div_(s.add(eps).sqrt_()).mul_(g)
    a.mul_(rho).addcmul_(d, d, 1 - rho)
    p.add_(d, -lr)


Adadelta.rule = Rule("Adadelta", _state_names, _numbers, _update)


def adadelta(
    params: list[Tensor],
    grads: list[Tensor],
    square_avgs: list[Tensor],
    acc_deltas: list[Tensor],
    state_steps: list[Tensor],
    capturable: bool = False,
    foreach: bool | None = None,
    differentiable: bool = False,
    has_complex: bool = False,
    *,
    lr: float,
    rho: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """One step of `Adadelta` on tensors that the caller keeps (`distrt.optim.lent.step_on`)."""
    states = {"step": state_steps, "square_avg": square_avgs, "acc_delta": acc_deltas}
    group = {
        "capturable": capturable,
        "foreach": foreach,
        "differentiable": differentiable,
        "lr": lr,
        "rho": rho,
        "eps": eps,
        "weight_decay": weight_decay,
        "maximize": maximize,
    }
    step_on(Adadelta, params, grads, states, group)
