"""Rprop."""

from __future__ import annotations

from typing import Any

from distrt.core.tensor import Tensor
from distrt.optim.elementwise import (
    ElementwiseOptimizer,
    a_number,
    like_gradient,
    require,
    require_one_element,
    zeros_like,
)
from distrt.optim.lent import step_on
from distrt.optim.operands import Operand
from distrt.optim.optimizer import ParamsT
from distrt.optim.rules import Rule, advance, number

__all__ = ["Rprop", "rprop"]


class Rprop(ElementwiseOptimizer):
    r"""Steps by the gradient's sign, which grow while the sign stays and shrink when it turns.

    A step is multiplied by ``etas[1]`` where the sign is the one before, by ``etas[0]`` where it is the other, and kept
    between ``step_sizes``; where the sign has turned, nothing moves.

    Source: Riedmiller and Braun 1993, https://pytorch.org/docs/stable/generated/torch.optim.Rprop.html
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        require_one_element(lr)
        require(lr >= 0.0, f"Invalid learning rate: {lr}")
        require(0.0 < etas[0] < 1.0 < etas[1], f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def start(self, param: Tensor, group: dict[str, Any], state: dict[str, Any]) -> None:
        """Counts from 0, with steps of lr, in both parts of complex numbers."""
        lr = float(number(group["lr"]))
        state["step"] = a_number(0.0)
        state["prev"] = zeros_like(param)
        state["step_size"] = like_gradient(param, complex(lr, lr) if param.is_complex() else lr)


def _state_names(group: dict[str, Any]) -> tuple[str, ...]:
    return ("prev", "step_size")


def _numbers(param: Tensor, state: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
    advance(state)
    shrinking, growing = group["etas"]
    smallest, largest = group["step_sizes"]
    return {
        "shrinking": shrinking,
        "growing": growing,
        "smallest": smallest,
        "largest": largest,
        "maximize": group["maximize"],
    }


def _update(
    p: Operand,
    g: Operand,
    before: Operand,
    size: Operand,
    *,
    shrinking: float,
    growing: float,
    smallest: float,
    largest: float,
    maximize: bool,
) -> None:
    if maximize:
        g = g.neg()
    agreement = g.mul(before)
    size.mul_(agreement.by_sign(growing, shrinking, 1)).clamp_(smallest, largest)
    g = agreement.by_sign(g, 0, g)
    p.addcmul_(g.sign(), size, -1)
    before.copy_(g)


Rprop.rule = Rule("Rprop", _state_names, _numbers, _update)


def rprop(
    params: list[Tensor],
    grads: list[Tensor],
    prevs: list[Tensor],
    step_sizes: list[Tensor],
    state_steps: list[Tensor],
    foreach: bool | None = None,
    capturable: bool = False,
    maximize: bool = False,
    differentiable: bool = False,
    has_complex: bool = False,
    *,
    step_size_min: float,
    step_size_max: float,
    etaminus: float,
    etaplus: float,
) -> None:
    """One step of `Rprop` on tensors that the caller keeps (`distrt.optim.lent.step_on`)."""
    states = {"step": state_steps, "prev": prevs, "step_size": step_sizes}
    group = {
        "etas": (etaminus, etaplus),
        "step_sizes": (step_size_min, step_size_max),
        "foreach": foreach,
        "capturable": capturable,
        "maximize": maximize,
        "differentiable": differentiable,
    }
    step_on(Rprop, params, grads, states, group)
