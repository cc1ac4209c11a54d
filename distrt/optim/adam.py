"""Adam, and the checks that its kin share."""

from __future__ import annotations

from typing import Any, ClassVar

from distrt.core.tensor import Tensor
from distrt.optim.elementwise import (
    ElementwiseOptimizer,
    a_number,
    require,
    require_fused_alone,
    require_one_element,
    zeros_like,
)
from distrt.optim.lent import step_on
from distrt.optim.operands import Operand
from distrt.optim.optimizer import ParamsT
from distrt.optim.rules import Rule, advance, decayed, number

__all__ = ["Adam", "adam"]

Betas = tuple[float | Tensor, float | Tensor]


class Adam(ElementwiseOptimizer):
    r"""Adaptive moments.

    g ← ∇ + weight_decay · p;  m ← β₁ m + (1 - β₁) g;  v ← β₂ v + (1 - β₂) g²;
    p ← p - lr / (1 - β₁ᵗ) · m / (√v / √(1 - β₂ᵗ) + eps); with ``amsgrad`` the largest v so far takes v's place, and
    with ``decoupled_weight_decay`` p shrinks by lr · weight_decay instead of the gradient's share.

    Source: Kingma and Ba 2014, in the form of https://pytorch.org/docs/stable/generated/torch.optim.Adam.html
    """

    later_options: ClassVar[dict[str, Any]] = {
        "amsgrad": False,
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
        "fused": None,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        takes_tensors = capturable or not foreach
        if isinstance(lr, Tensor):
            require(takes_tensors, "lr as a Tensor is not supported for capturable=False and foreach=True")
        require_one_element(lr)
        require_moments(lr, betas, eps)
        require(weight_decay >= 0.0, f"Invalid weight_decay value: {weight_decay}")
        defaults = {
            "lr": lr,
            "betas": _plain_betas(betas, takes_tensors),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)
        require_fused_alone(fused, foreach, differentiable)
        if fused:
            self._step_supports_amp_scaling = True

    def start(self, param: Tensor, group: dict[str, Any], state: dict[str, Any]) -> None:
        """Counts from 0, with moments of 0."""
        state["step"] = a_number(0.0, group)
        for name in _state_names(group):
            state[name] = zeros_like(param)

    def _prepare(self, param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state = super()._prepare(param, group)
        if group["differentiable"] and state["step"].requires_grad:
            raise RuntimeError("`requires_grad` is not supported for `step` in differentiable mode")
        if group["foreach"] and isinstance(group["lr"], Tensor) and not group["capturable"]:
            raise RuntimeError("lr as a Tensor is not supported for capturable=False and foreach=True")
        return state


def require_moments(lr: Any, betas: Any, eps: float) -> None:
    """Checks what Adam and its kin have in common."""
    require(lr >= 0.0, f"Invalid learning rate: {lr}")
    require(eps >= 0.0, f"Invalid epsilon value: {eps}")
    for position in (0, 1):
        require(
            0.0 <= betas[position] < 1.0,
            f"Invalid beta parameter at index {position}: {betas[position]}",
        )


def _plain_betas(betas: Betas, takes_tensors: bool) -> tuple[Any, ...]:
    kinds = {
        Tensor if isinstance(beta, Tensor) else float
        for beta in betas[:2]
        if isinstance(beta, float | Tensor)
    }
    are_known = all(isinstance(beta, float | Tensor) for beta in betas[:2])
    require(are_known and len(kinds) == 1, "betas must be either both floats or both Tensors")
    for position, beta in enumerate(betas[:2]):
        if isinstance(beta, Tensor):
            require(
                takes_tensors,
                f"betas[{position}] as a Tensor is not supported for capturable=False and foreach=True",
            )
            require(beta.numel() == 1, f"Tensor betas[{position}] must be 1-element")
    return tuple(beta.squeeze() if isinstance(beta, Tensor) and beta.dim() else beta for beta in betas)


def _state_names(group: dict[str, Any]) -> tuple[str, ...]:
    return ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if group["amsgrad"] else ()))


def _numbers(param: Tensor, state: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
    step = advance(state)
    beta1, beta2 = (number(beta) for beta in group["betas"])
    lr, decay = number(group["lr"]), number(group["weight_decay"])
    is_decoupled = group["decoupled_weight_decay"]
    return {
        "shrink": 1 - lr * decay if is_decoupled and group["weight_decay"] != 0 else 1,
        "decay": 0 if is_decoupled else decay,
        "beta1": beta1,
        "beta2": beta2,
        "step_size": lr / (1 - beta1**step),
        "root_correction": (1 - beta2**step) ** 0.5,
        "eps": group["eps"],
        "maximize": group["maximize"],
    }


def _update(
    p: Operand,
    g: Operand,
    m: Operand,
    v: Operand,
    largest: Operand = None,
    *,
    shrink: Any,
    decay: Any,
    beta1: Any,
    beta2: Any,
    step_size: Any,
    root_correction: Any,
    eps: float,
    maximize: bool,
) -> None:
    if isinstance(shrink, Tensor) or shrink != 1:
        p.mul_(shrink)
    g = decayed(p, g, maximize, decay)
    m.lerp_(g, 1 - beta1)
    v.mul_(beta2).addcmul_(g, g, 1 - beta2)
    if largest is not None:
        v = largest.maximum_(v)
    p.addcdiv_(m, v.sqrt().div_(root_correction).add_(eps), -step_size)


Adam.rule = Rule("Adam", _state_names, _numbers, _update)


def adam(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_avg_sqs: list[Tensor],
    max_exp_avg_sqs: list[Tensor],
    state_steps: list[Tensor],
    foreach: bool | None = None,
    capturable: bool = False,
    differentiable: bool = False,
    fused: bool | None = None,
    grad_scale: Tensor | None = None,
    found_inf: Tensor | None = None,
    has_complex: bool = False,
    decoupled_weight_decay: bool = False,
    *,
    amsgrad: bool,
    beta1: float | Tensor,
    beta2: float | Tensor,
    lr: float | Tensor,
    weight_decay: float,
    eps: float,
    maximize: bool,
) -> None:
    """One step of `Adam` on tensors that the caller keeps (`distrt.optim.lent.step_on`).

    ``max_exp_avg_sqs`` may be empty without ``amsgrad``.
    """
    states: dict[str, list[Any]] = {"step": state_steps, "exp_avg": exp_avgs, "exp_avg_sq": exp_avg_sqs}
    if amsgrad:
        states["max_exp_avg_sq"] = max_exp_avg_sqs
    group = {
        "betas": (beta1, beta2),
        "foreach": foreach,
        "capturable": capturable,
        "differentiable": differentiable,
        "fused": fused,
        "decoupled_weight_decay": decoupled_weight_decay,
        "amsgrad": amsgrad,
        "lr": lr,
        "weight_decay": weight_decay,
        "eps": eps,
        "maximize": maximize,
    }
    step_on(Adam, params, grads, states, group, grad_scale, found_inf)
