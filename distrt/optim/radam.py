"""RAdam."""

from __future__ import annotations

from typing import Any, ClassVar

from distrt.core.tensor import Tensor
from distrt.optim.adam import require_moments
from distrt.optim.elementwise import ElementwiseOptimizer, a_number, require, require_one_element, zeros_like
from distrt.optim.lent import step_on
from distrt.optim.operands import Operand
from distrt.optim.optimizer import ParamsT
from distrt.optim.rules import Rule, advance, decayed, number

__all__ = ["RAdam", "radam"]


class RAdam(ElementwiseOptimizer):
    r"""Adam that adapts only where its second moment rests on enough steps.

    ρ∞ = 2 / (1 - β₂) - 1;  ρₜ = ρ∞ - 2 t β₂ᵗ / (1 - β₂ᵗ);  where ρₜ > 5, the step is that of Adam times
    r = √((ρₜ - 4)(ρₜ - 2) ρ∞ / ((ρ∞ - 4)(ρ∞ - 2) ρₜ)), and elsewhere plain momentum.

    Source: Liu et al. 2019, https://pytorch.org/docs/stable/generated/torch.optim.RAdam.html
    """

    later_options: ClassVar[dict[str, Any]] = {
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
        "capturable": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        require_one_element(lr)
        require_moments(lr, betas, eps)
        require(weight_decay >= 0.0, f"Invalid weight_decay value: {weight_decay}")
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def start(self, param: Tensor, group: dict[str, Any], state: dict[str, Any]) -> None:
        """Counts from 0, with moments of 0."""
        state["step"] = a_number(0.0)
        for name in _state_names(group):
            state[name] = zeros_like(param)


def _state_names(group: dict[str, Any]) -> tuple[str, ...]:
    return ("exp_avg", "exp_avg_sq")


def _numbers(param: Tensor, state: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
    step = advance(state)
    beta1, beta2 = group["betas"]
    lr, decay = number(group["lr"]), group["weight_decay"]
    correction = 1 - beta2**step
    limit = 2 / (1 - beta2) - 1
    length = limit - 2 * step * beta2**step / correction
    is_decoupled = group["decoupled_weight_decay"]
    return {
        "shrink": 1 - lr * decay if is_decoupled and decay != 0 else 1,
        "decay": 0 if is_decoupled else decay,
        "beta1": beta1,
        "beta2": beta2,
        "correction": 1 - beta1**step,
        "lr": lr,
        "adaptive": correction**0.5 * _rectification(length, limit) if length > 5.0 else None,
        "eps": group["eps"],
        "maximize": group["maximize"],
    }


def _rectification(length: float, limit: float) -> float:
    squared = (length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)
    return float(squared**0.5)


def _update(
    p: Operand,
    g: Operand,
    m: Operand,
    v: Operand,
    *,
    shrink: Any,
    decay: float,
    beta1: float,
    beta2: float,
    correction: float,
    lr: Any,
    adaptive: float | None,
    eps: float,
    maximize: bool,
) -> None:
    if isinstance(shrink, Tensor) or shrink != 1:
        p.mul_(shrink)
    g = decayed(p, g, maximize, decay)
    m.lerp_(g, 1 - beta1)
    v.mul_(beta2).addcmul_(g, g, 1 - beta2)
    change = m.div(correction).mul_(lr)
    if adaptive is not None:
        change.mul_(adaptive).div_(v.sqrt().add_(eps))
    p.add_(change, -1)


RAdam.rule = Rule("RAdam", _state_names, _numbers, _update)


def radam(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_avg_sqs: list[Tensor],
    state_steps: list[Tensor],
    decoupled_weight_decay: bool = False,
    foreach: bool | None = None,
    differentiable: bool = False,
    capturable: bool = False,
    has_complex: bool = False,
    maximize: bool = False,
    *,
    beta1: float,
    beta2: float,
    lr: float,
    weight_decay: float,
    eps: float,
) -> None:
    """One step of `RAdam` on tensors that the caller keeps (`distrt.optim.lent.step_on`)."""
    states = {"step": state_steps, "exp_avg": exp_avgs, "exp_avg_sq": exp_avg_sqs}
    group = {
        "betas": (beta1, beta2),
        "decoupled_weight_decay": decoupled_weight_decay,
        "foreach": foreach,
        "differentiable": differentiable,
        "capturable": capturable,
        "maximize": maximize,
        "lr": lr,
        "weight_decay": weight_decay,
        "eps": eps,
    }
    step_on(RAdam, params, grads, states, group)
