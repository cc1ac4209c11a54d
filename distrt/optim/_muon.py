"""Muon."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DtypeError
from distrt.core.modes import enable_grad, no_grad
from distrt.core.tensor import Tensor
from distrt.optim.elementwise import like_gradient, require, require_one_element
from distrt.optim.optimizer import Optimizer, ParamsT
from distrt.optim.rules import number
from distrt.optim.sparse_updates import refuse_sparse

__all__ = ["Muon"]


class Muon(Optimizer):
    r"""Momentum whose steps are made nearly orthogonal, for matrices only.

    b ← momentum · b + (1 - momentum) · ∇;  p ← (1 - lr · weight_decay) p - lr · f · O(b), where O takes every singular
    value near 1 and f depends on the matrix's sides.

    Args:
        params: matrices.
        lr: the learning rate.
        weight_decay: by how much of lr the matrix shrinks.
        momentum: how much of the running mean of the gradient stays.
        nesterov: look one momentum ahead.
        ns_coefficients: of the polynomial a x + b x³ + c x⁵ that each of the ``ns_steps`` applies to singular values.
        eps: the least norm to divide by.
        ns_steps: how often.
        adjust_lr_fn: None or "original" for f = √max(1, rows / columns), or "match_rms_adamw" for f = 0.2 √max(rows,
            columns).

    Source: Jordan et al. 2024, https://pytorch.org/docs/stable/generated/torch.optim.Muon.html
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        require_one_element(lr)
        require(lr >= 0.0, f"Learning rate should be >= 0 but is: {lr}")
        require(momentum >= 0.0, f"momentum should be >= 0 but is: {momentum}")
        require(weight_decay >= 0.0, f"weight decay should be >= 0 but is: {weight_decay}")
        require(
            adjust_lr_fn in (None, "original", "match_rms_adamw"),
            f"Adjust learning rate function {adjust_lr_fn} is not supported",
        )
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for param in group["params"]:
                require(
                    param.ndim == 2,
                    f"Muon only supports 2D parameters whereas we found a parameter with size: {param.size()}",
                )

    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient; ``closure`` computes the loss anew and is returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [param for param in group["params"] if param.grad is not None]
            for param in params:
                refuse_sparse("Muon", param.grad)
            for param in params:
                self._prepare(param)
            for param in params:
                _update(param, self.state[param]["momentum_buffer"], group)
        return loss

    def _prepare(self, param: Tensor) -> None:
        if param.is_complex():
            raise DtypeError("Muon does not support complex parameters")
        if "momentum_buffer" not in self.state[param]:
            self.state[param]["momentum_buffer"] = like_gradient(param, 0)


def _update(param: Any, buffer: Any, group: dict[str, Any]) -> None:
    lr, momentum = number(group["lr"]), group["momentum"]
    if param.grad.ndim != 2:
        raise ValueError("Param gradient must be a 2D matrix")
    buffer.lerp_(param.grad, 1 - momentum)
    update = param.grad.lerp(buffer, momentum) if group["nesterov"] else buffer
    update = _orthogonalised(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
    param.mul_(float(1 - lr * group["weight_decay"]))
    param.add_(update, alpha=float(-lr * _ratio(group["adjust_lr_fn"], *param.shape)))


def _orthogonalised(matrix: Any, coefficients: tuple[float, float, float], steps: int, eps: float) -> Any:
    """The matrix with all its singular values near 1, computed in bfloat16 by Newton-Schulz iterations."""
    require(steps < 100, "Number of steps must be less than 100 for computational efficiency")
    require(len(coefficients) == 3, "Coefficients must be a tuple of exactly 3 values")
    a, b, c = coefficients
    is_tall = matrix.size(0) > matrix.size(1)
    x = matrix.to(dt.bfloat16)
    x = x.T if is_tall else x
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = x.addmm(gram.addmm(gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if is_tall else x


def _ratio(adjustment: str | None, rows: int, columns: int) -> float:
    if adjustment == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / columns))
