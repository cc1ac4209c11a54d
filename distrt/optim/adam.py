"""Adam."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.tensor import Tensor, wrap
from distrt.optim.optimizer import Optimizer, blocks, refuse, require_not_negative


class Adam(Optimizer):
    r"""Adaptive moments.

    g ← ∇ + weight_decay · p;  m ← β₁ m + (1 - β₁) g;  v ← β₂ v + (1 - β₂) g²;
    p ← p - lr / (1 - β₁ᵗ) · m / (√v / √(1 - β₂ᵗ) + eps); with ``amsgrad`` the largest v so far takes v's place.

    Source: Kingma and Ba 2014, in the form of https://pytorch.org/docs/stable/generated/torch.optim.Adam.html
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
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
        refuse(differentiable=differentiable, capturable=capturable)
        require_not_negative(
            **{"learning rate": lr, "epsilon value": eps, "weight_decay value": weight_decay}
        )
        for number, beta in enumerate(betas):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"Invalid beta parameter at index {number}: {beta}")
        defaults = {
            "lr": lr,
            "betas": betas,
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

    def update(self, param: Tensor, grad: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One block of the parameter at a time, so that every operand stays in the cache."""
        values = param._array
        names = ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if group["amsgrad"] else ()))
        if not state:
            state["step"] = wrap(np.zeros((), np.float32))
            for name in names:
                state[name] = wrap(np.zeros_like(values))
        state["step"]._array += 1
        step = int(state["step"]._array)
        (beta1, beta2), lr = group["betas"], float(group["lr"])
        eps, decay = group["eps"], group["weight_decay"]
        step_size = lr / (1 - beta1**step)
        root_correction = math.sqrt(1 - beta2**step)
        for p, g, m, v, *largest in blocks(values, grad, *(state[name]._array for name in names)):
            if group["maximize"]:
                g = -g
            if decay and group["decoupled_weight_decay"]:
                p *= 1 - lr * decay
            elif decay:
                g = g + p * decay
            m += (g - m) * (1 - beta1)
            v *= beta2
            v += g * g * (1 - beta2)
            if largest:
                np.maximum(largest[0], v, out=largest[0])
            denominator = np.sqrt(largest[0] if largest else v)
            denominator /= root_correction
            denominator += eps
            np.divide(m, denominator, out=denominator)
            denominator *= step_size
            p -= denominator
