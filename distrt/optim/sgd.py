"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.tensor import Tensor, wrap
from distrt.optim.optimizer import Optimizer, blocks, refuse, require_not_negative


class SGD(Optimizer):
    r"""Gradient descent with momentum, PyTorch's form.

    g ← ∇ (negated by ``maximize``) + weight_decay · p;  b ← momentum · b + (1 - dampening) · g, and b ← g at first;
    p ← p - lr · (g + momentum · b with ``nesterov``, else b).

    Source: https://pytorch.org/docs/stable/generated/torch.optim.SGD.html
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        refuse(differentiable=differentiable)
        require_not_negative(
            **{"learning rate": lr, "momentum value": momentum, "weight_decay value": weight_decay}
        )
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
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
        super().__init__(params, defaults)

    def update(self, param: Tensor, grad: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One block of the parameter at a time, so that every operand stays in the cache."""
        values = param._array
        momentum, lr = group["momentum"], float(group["lr"])
        first = momentum and state.get("momentum_buffer") is None
        if first:
            state["momentum_buffer"] = wrap(np.empty_like(values))
        operands = (values, grad, state["momentum_buffer"]._array) if momentum else (values, grad)
        for p, g, *buffer in blocks(*operands):
            if group["maximize"]:
                g = -g
            if group["weight_decay"]:
                g = g + p * group["weight_decay"]
            if buffer:
                (b,) = buffer
                if first:
                    b[...] = g
                else:
                    b *= momentum
                    b += g if group["dampening"] == 0 else g * (1 - group["dampening"])
                g = g + b * momentum if group["nesterov"] else b
            p -= g * lr
