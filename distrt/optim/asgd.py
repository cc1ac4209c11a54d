"""Averaged stochastic gradient descent."""

from __future__ import annotations

from typing import Any, ClassVar

from distrt.core.tensor import Tensor
from distrt.core.tensors.history import write
from distrt.optim.elementwise import ElementwiseOptimizer, a_number, require, require_one_element, zeros_like
from distrt.optim.lent import step_on
from distrt.optim.operands import Operand
from distrt.optim.optimizer import ParamsT
from distrt.optim.rules import Rule, advance, decayed, number

__all__ = ["ASGD", "asgd"]


class ASGD(ElementwiseOptimizer):
    r"""Gradient descent that also keeps the mean of the values passed since step ``t0``, in the state's "ax".

    p ← (1 - lambd · η) p - η g;  ax ← ax + μ (p - ax);  η = lr / (1 + lambd · lr · t)^alpha;  μ = 1 / max(1, t - t0).

    Source: Polyak and Juditsky 1992, https://pytorch.org/docs/stable/generated/torch.optim.ASGD.html
    """

    number_names: ClassVar[tuple[str, ...]] = ("step", "eta", "mu")
    captured: ClassVar[str] = "params, mus, etas, and state_steps"

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        require_one_element(lr)
        require(lr >= 0.0, f"Invalid learning rate: {lr}")
        require(weight_decay >= 0.0, f"Invalid weight_decay value: {weight_decay}")
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def start(self, param: Tensor, group: dict[str, Any], state: dict[str, Any]) -> None:
        """Counts from 0, with a first step of lr and no mean yet."""
        state["step"] = a_number(0.0)
        state["eta"] = a_number(float(number(group["lr"])))
        state["mu"] = a_number(1.0)
        state["ax"] = zeros_like(param)


def _state_names(group: dict[str, Any]) -> tuple[str, ...]:
    return ("ax",)


def _numbers(param: Tensor, state: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
    """The step and the weight of this update, before the state gets those of the next."""
    step = advance(state)
    lr, lambd = number(group["lr"]), group["lambd"]
    numbers = {
        "eta": float(state["eta"]._array),
        "mu": float(state["mu"]._array),
        "lambd": lambd,
        "decay": group["weight_decay"],
        "maximize": group["maximize"],
    }
    eta, mu = lr / (1 + lambd * lr * step) ** group["alpha"], 1 / max(1, step - group["t0"])
    for name, value in (("eta", eta), ("mu", mu)):
        write(state[name], a_number(float(value))._array)  # of the default dtype, whatever was loaded
    return numbers


def _update(
    p: Operand,
    g: Operand,
    mean: Operand,
    *,
    eta: float,
    mu: float,
    lambd: float,
    decay: float,
    maximize: bool,
) -> None:
    g = decayed(p, g, maximize, decay)
    p.mul_(1 - lambd * eta).add_(g, -eta)
    if mu == 1:
        mean.copy_(p)
    else:
        mean.add_(p.add(mean, -1).mul_(mu))


ASGD.rule = Rule("ASGD", _state_names, _numbers, _update)


def asgd(
    params: list[Tensor],
    grads: list[Tensor],
    axs: list[Tensor],
    mus: list[Tensor],
    etas: list[Tensor],
    state_steps: list[Tensor],
    foreach: bool | None = None,
    maximize: bool = False,
    differentiable: bool = False,
    capturable: bool = False,
    has_complex: bool = False,
    *,
    lambd: float,
    lr: float,
    t0: float,
    alpha: float,
    weight_decay: float,
) -> None:
    """One step of `ASGD` on tensors that the caller keeps (`distrt.optim.lent.step_on`)."""
    states = {"step": state_steps, "ax": axs, "mu": mus, "eta": etas}
    group = {
        "foreach": foreach,
        "maximize": maximize,
        "differentiable": differentiable,
        "capturable": capturable,
        "lambd": lambd,
        "lr": lr,
        "t0": t0,
        "alpha": alpha,
        "weight_decay": weight_decay,
    }
    step_on(ASGD, params, grads, states, group)
