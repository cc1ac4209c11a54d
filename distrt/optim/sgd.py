"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from distrt.core.tensor import Tensor
from distrt.optim.elementwise import (
    ElementwiseOptimizer,
    require,
    require_fused_alone,
    require_fusible,
    require_one_element,
)
from distrt.optim.lent import step_on
from distrt.optim.operands import Operand
from distrt.optim.optimizer import ParamsT
from distrt.optim.rules import Rule, decayed, number

__all__ = ["SGD", "sgd"]


class SGD(ElementwiseOptimizer):
    r"""Gradient descent with momentum, PyTorch's form.

    g ← ∇ (negated by ``maximize``) + weight_decay · p;  b ← momentum · b + (1 - dampening) · g, and b ← g at first;
    p ← p - lr · (g + momentum · b with ``nesterov``, else b).

    Source: https://pytorch.org/docs/stable/generated/torch.optim.SGD.html
    """

    later_options: ClassVar[dict[str, Any]] = {
        "nesterov": False,
        "maximize": False,
        "foreach": None,
        "differentiable": False,
        "fused": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        require_one_element(lr)
        require(not lr < 0.0, f"Invalid learning rate: {lr}")
        require(not momentum < 0.0, f"Invalid momentum value: {momentum}")
        require(not weight_decay < 0.0, f"Invalid weight_decay value: {weight_decay}")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(params, defaults)
        require_fused_alone(fused, foreach, differentiable)
        if fused:
            self._step_supports_amp_scaling = True

    def _prepare(self, param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        """A momentum comes with the first step that has one; without momentum there is no state at all."""
        require_fusible(param, group)
        return self.state[param] if group["momentum"] != 0 else {}


def _numbers(param: Tensor, state: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
    momentum = group["momentum"]
    is_first = momentum != 0 and state.get("momentum_buffer") is None
    if is_first:
        state["momentum_buffer"] = param._alike(np.empty_like(param._array))
    return {
        "lr": number(group["lr"]),
        "momentum": momentum,
        "dampening": group["dampening"],
        "decay": number(group["weight_decay"]),
        "nesterov": group["nesterov"],
        "maximize": group["maximize"],
        "is_first": is_first,
    }


def _update(
    p: Operand,
    g: Operand,
    b: Operand = None,
    *,
    lr: Any,
    momentum: float,
    dampening: float,
    decay: Any,
    nesterov: bool,
    maximize: bool,
    is_first: bool,
) -> None:
    g = decayed(p, g, maximize, decay)
    if is_first:
        b.copy_(g.detach())
    elif b is not None:
        b.mul_(momentum).add_(g, 1 - dampening)
    if b is not None:
        g = g.add(b, momentum) if nesterov else b
    p.add_(g, -lr)


def _state_names(group: dict[str, Any]) -> tuple[str, ...]:
    return ("momentum_buffer",) if group["momentum"] != 0 else ()


SGD.rule = Rule("SGD", _state_names, _numbers, _update)


def sgd(
    params: list[Tensor],
    d_p_list: list[Tensor],
    momentum_buffer_list: list[Tensor | None],
    has_sparse_grad: bool = False,
    foreach: bool | None = None,
    fused: bool | None = None,
    grad_scale: Tensor | None = None,
    found_inf: Tensor | None = None,
    *,
    weight_decay: float,
    momentum: float,
    lr: float,
    dampening: float,
    nesterov: bool,
    maximize: bool,
) -> None:
    """One step of `SGD` on tensors that the caller keeps (`distrt.optim.lent.step_on`); ``d_p_list`` are gradients.

    Where a momentum is None, the step puts the first one there.
    """
    states: dict[str, list[Any]] = {"momentum_buffer": momentum_buffer_list} if momentum != 0 else {}
    group = {
        "foreach": foreach,
        "fused": fused,
        "weight_decay": weight_decay,
        "momentum": momentum,
        "lr": lr,
        "dampening": dampening,
        "nesterov": nesterov,
        "maximize": maximize,
    }
    step_on(SGD, params, d_p_list, states, group, grad_scale, found_inf)
