"""RMSprop."""

from __future__ import annotations

from typing import Any, ClassVar

from distrt.core.tensor import Tensor
from distrt.optim.elementwise import ElementwiseOptimizer, a_number, require, require_one_element, zeros_like
from distrt.optim.lent import step_on
from distrt.optim.operands import Operand
from distrt.optim.optimizer import ParamsT
from distrt.optim.rules import Rule, advance, decayed, number

__all__ = ["RMSprop", "rmsprop"]


class RMSprop(ElementwiseOptimizer):
    r"""Steps in units of the gradient's running root mean square.

    s ← alpha · s + (1 - alpha) g²;  with ``centered`` the squared running mean of g is taken off;
    b ← momentum · b + g / (√s + eps);  p ← p - lr · b.

    Source: Hinton's lecture 6e, in the form of https://pytorch.org/docs/stable/generated/torch.optim.RMSprop.html
    """

    later_options: ClassVar[dict[str, Any]] = {
        "momentum": 0,
        "centered": False,
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "capturable": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        require_one_element(lr)
        require(lr >= 0.0, f"Invalid learning rate: {lr}")
        require(eps >= 0.0, f"Invalid epsilon value: {eps}")
        require(momentum >= 0.0, f"Invalid momentum value: {momentum}")
        require(weight_decay >= 0.0, f"Invalid weight_decay value: {weight_decay}")
        require(alpha >= 0.0, f"Invalid alpha value: {alpha}")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def start(self, param: Tensor, group: dict[str, Any], state: dict[str, Any]) -> None:
        """Counts from 0, with averages of 0."""
        state["step"] = a_number(0.0)
        for name in _state_names(group):
            state[name] = zeros_like(param)


def _state_names(group: dict[str, Any]) -> tuple[str, ...]:
    momentum = ("momentum_buffer",) if group["momentum"] > 0 else ()
    return ("square_avg", *momentum, *(("grad_avg",) if group["centered"] else ()))


def _numbers(param: Tensor, state: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
    advance(state)
    return {
        "lr": number(group["lr"]),
        "alpha": group["alpha"],
        "eps": group["eps"],
        "momentum": group["momentum"],
        "decay": group["weight_decay"],
        "centered": group["centered"],
        "maximize": group["maximize"],
    }


def _update(
    p: Operand,
    g: Operand,
    s: Operand,
    *others: Operand,
    lr: Any,
    alpha: float,
    eps: float,
    momentum: float,
    decay: float,
    centered: bool,
    maximize: bool,
) -> None:
    g = decayed(p, g, maximize, decay)
    s.mul_(alpha).addcmul_(g, g, 1 - alpha)
    if centered:
        mean = others[-1].lerp_(g, 1 - alpha)
        root = s.addcmul(mean, mean, -1).sqrt_()
    else:
        root = s.sqrt()
    root.add_(eps)
    if momentum > 0:
        p.add_(others[0].mul_(momentum).addcdiv_(g, root, 1), -lr)
    else:
        p.addcdiv_(g, root, -lr)


RMSprop.rule = Rule("RMSprop", _state_names, _numbers, _update)


def rmsprop(
    params: list[Tensor],
    grads: list[Tensor],
    square_avgs: list[Tensor],
    grad_avgs: list[Tensor],
    momentum_buffer_list: list[Tensor],
    state_steps: list[Tensor],
    foreach: bool | None = None,
    maximize: bool = False,
    differentiable: bool = False,
    capturable: bool = False,
    has_complex: bool = False,
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    centered: bool,
) -> None:
    """One step of `RMSprop` on tensors that the caller keeps (`distrt.optim.lent.step_on`).

    Lists that the options do not ask for may be empty.
    """
    states: dict[str, list[Any]] = {"step": state_steps, "square_avg": square_avgs}
    if centered:
        states["grad_avg"] = grad_avgs
    if momentum > 0:
        states["momentum_buffer"] = momentum_buffer_list
    group = {
        "foreach": foreach,
        "maximize": maximize,
        "differentiable": differentiable,
        "capturable": capturable,
        "lr": lr,
        "alpha": alpha,
        "eps": eps,
        "weight_decay": weight_decay,
        "momentum": momentum,
        "centered": centered,
    }
    step_on(RMSprop, params, grads, states, group)
