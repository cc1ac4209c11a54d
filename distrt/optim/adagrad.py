"""Adagrad."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from distrt.core.gpu.places import at
from distrt.core.tensor import Tensor
from distrt.optim.elementwise import (
    ElementwiseOptimizer,
    a_number,
    require,
    require_fused_alone,
    require_fusible,
    require_one_element,
)
from distrt.optim.lent import step_on
from distrt.optim.operands import Operand
from distrt.optim.optimizer import ParamsT
from distrt.optim.rules import Rule, advance, decayed, number

__all__ = ["Adagrad", "adagrad"]


class Adagrad(ElementwiseOptimizer):
    r"""Steps in units of the root of all squared gradients so far.

    s ← s + g²;  p ← p - lr / (1 + (t - 1) · lr_decay) · g / (√s + eps). The state exists from the start.

    Source: Duchi, Hazan and Singer 2011, https://pytorch.org/docs/stable/generated/torch.optim.Adagrad.html
    """

    later_options: ClassVar[dict[str, Any]] = {
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "fused": None,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        require_one_element(lr)
        require(lr >= 0.0, f"Invalid learning rate: {lr}")
        require(lr_decay >= 0.0, f"Invalid lr_decay value: {lr_decay}")
        require(weight_decay >= 0.0, f"Invalid weight_decay value: {weight_decay}")
        require(
            initial_accumulator_value >= 0.0,
            f"Invalid initial_accumulator_value value: {initial_accumulator_value}",
        )
        require(eps >= 0.0, f"Invalid epsilon value: {eps}")
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        require_fused_alone(fused, foreach, differentiable)
        if fused:
            self._step_supports_amp_scaling = True
        for group in self.param_groups:
            for param in group["params"]:
                with at(param._array):
                    self.start(param, group, self.state[param])

    def start(self, param: Tensor, group: dict[str, Any], state: dict[str, Any]) -> None:
        """Counts from 0, with a sum of ``initial_accumulator_value``, in both parts of complex numbers."""
        initial = self.defaults["initial_accumulator_value"]
        state["step"] = a_number(0.0, group)
        state["sum"] = param._alike(
            np.full_like(param._array, complex(initial, initial) if param.is_complex() else initial)
        )

    def _prepare(self, param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        require_fusible(param, group)
        return super()._prepare(param, group)

    def share_memory(self) -> None:
        """Moves the sums to memory that other processes see."""
        for group in self.param_groups:
            for param in group["params"]:
                self.state[param]["sum"].share_memory_()


def _state_names(group: dict[str, Any]) -> tuple[str, ...]:
    return ("sum",)


def _numbers(param: Tensor, state: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
    step = advance(state)
    return {
        "lr": number(group["lr"]) / (1 + (step - 1) * group["lr_decay"]),
        "eps": group["eps"],
        "decay": group["weight_decay"],
        "maximize": group["maximize"],
    }


def _update(p: Operand, g: Operand, s: Operand, *, lr: Any, eps: float, decay: float, maximize: bool) -> None:
    g = decayed(p, g, maximize, decay)
    s.addcmul_(g, g, 1)
    p.addcdiv_(g, s.sqrt().add_(eps), -lr)


Adagrad.rule = Rule("Adagrad", _state_names, _numbers, _update)


def adagrad(
    params: list[Tensor],
    grads: list[Tensor],
    state_sums: list[Tensor],
    state_steps: list[Tensor],
    fused: bool | None = None,
    grad_scale: Tensor | None = None,
    found_inf: Tensor | None = None,
    has_sparse_grad: bool = False,
    foreach: bool | None = None,
    differentiable: bool = False,
    has_complex: bool = False,
    *,
    lr: float,
    weight_decay: float,
    lr_decay: float,
    eps: float,
    maximize: bool,
) -> None:
    """One step of `Adagrad` on tensors that the caller keeps (`distrt.optim.lent.step_on`)."""
    states = {"step": state_steps, "sum": state_sums}
    group = {
        "fused": fused,
        "foreach": foreach,
        "differentiable": differentiable,
        "lr": lr,
        "weight_decay": weight_decay,
        "lr_decay": lr_decay,
        "eps": eps,
        "maximize": maximize,
    }
    step_on(Adagrad, params, grads, states, group, grad_scale, found_inf)
