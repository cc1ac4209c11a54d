"""NAdam."""

from __future__ import annotations

from typing import Any, ClassVar

from distrt.core.tensor import Tensor
from distrt.core.tensors.history import write
from distrt.optim.adam import require_moments
from distrt.optim.elementwise import ElementwiseOptimizer, a_number, require, require_one_element, zeros_like
from distrt.optim.lent import step_on
from distrt.optim.operands import Operand
from distrt.optim.optimizer import ParamsT
from distrt.optim.rules import Rule, advance, decayed, number

__all__ = ["NAdam", "nadam"]


class NAdam(ElementwiseOptimizer):
    r"""Adam with Nesterov's momentum.

    μₜ = β₁ (1 - ½ · 0.96^(t · momentum_decay));  p ← p - lr · ((1 - μₜ) / (1 - Π μ) · g + μₜ₊₁ / (1 - Π μ · μₜ₊₁) · m)
    / (√(v / (1 - β₂ᵗ)) + eps).

    Source: Dozat 2016, https://pytorch.org/docs/stable/generated/torch.optim.NAdam.html
    """

    later_options: ClassVar[dict[str, Any]] = {
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
    }
    number_names: ClassVar[tuple[str, ...]] = ("step", "mu_product")
    captured: ClassVar[str] = "params, mu_products and state_steps"

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
        require(momentum_decay >= 0.0, f"Invalid momentum_decay value: {momentum_decay}")
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def start(self, param: Tensor, group: dict[str, Any], state: dict[str, Any]) -> None:
        """Counts from 0, with an empty product and moments of 0."""
        state["step"] = a_number(0.0)
        state["mu_product"] = a_number(1.0)
        for name in _state_names(group):
            state[name] = zeros_like(param)


def _state_names(group: dict[str, Any]) -> tuple[str, ...]:
    return ("exp_avg", "exp_avg_sq")


def _numbers(param: Tensor, state: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
    step = advance(state)
    beta1, beta2 = group["betas"]
    lr, decay, slowing = number(group["lr"]), group["weight_decay"], group["momentum_decay"]
    now, after = (beta1 * (1.0 - 0.5 * 0.96 ** (t * slowing)) for t in (step, step + 1))
    write(state["mu_product"], state["mu_product"]._array * now)
    product = float(state["mu_product"]._array)
    is_decoupled = group["decoupled_weight_decay"]
    return {
        "shrink": 1 - lr * decay if is_decoupled and decay != 0 else 1,
        "decay": 0 if is_decoupled else decay,
        "beta1": beta1,
        "beta2": beta2,
        "correction": 1 - beta2**step,
        "gradient_size": -lr * (1.0 - now) / (1.0 - product),
        "moment_size": -lr * after / (1.0 - product * after),
        "eps": group["eps"],
        "maximize": group["maximize"],
    }


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
    gradient_size: Any,
    moment_size: Any,
    eps: float,
    maximize: bool,
) -> None:
    if isinstance(shrink, Tensor) or shrink != 1:
        p.mul_(shrink)
    g = decayed(p, g, maximize, decay)
    m.lerp_(g, 1 - beta1)
    v.mul_(beta2).addcmul_(g, g, 1 - beta2)
    denominator = v.div(correction).sqrt_().add_(eps)
    p.addcdiv_(g, denominator, gradient_size)
    p.addcdiv_(m, denominator, moment_size)


NAdam.rule = Rule("NAdam", _state_names, _numbers, _update)


def nadam(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_avg_sqs: list[Tensor],
    mu_products: list[Tensor],
    state_steps: list[Tensor],
    decoupled_weight_decay: bool = False,
    foreach: bool | None = None,
    capturable: bool = False,
    differentiable: bool = False,
    has_complex: bool = False,
    maximize: bool = False,
    *,
    beta1: float,
    beta2: float,
    lr: float,
    weight_decay: float,
    momentum_decay: float,
    eps: float,
) -> None:
    """One step of `NAdam` on tensors that the caller keeps (`distrt.optim.lent.step_on`)."""
    states = {"step": state_steps, "exp_avg": exp_avgs, "exp_avg_sq": exp_avg_sqs, "mu_product": mu_products}
    group = {
        "betas": (beta1, beta2),
        "decoupled_weight_decay": decoupled_weight_decay,
        "foreach": foreach,
        "capturable": capturable,
        "differentiable": differentiable,
        "maximize": maximize,
        "lr": lr,
        "weight_decay": weight_decay,
        "momentum_decay": momentum_decay,
        "eps": eps,
    }
    step_on(NAdam, params, grads, states, group)
