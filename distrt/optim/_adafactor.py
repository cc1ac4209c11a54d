"""Adafactor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distrt.core.dtypes.limits import finfo
from distrt.core.errors import DtypeError
from distrt.core.modes import enable_grad, no_grad
from distrt.core.tensor import Tensor
from distrt.optim.elementwise import a_number, like_gradient, require, require_one_element
from distrt.optim.optimizer import Optimizer, ParamsT
from distrt.optim.rules import advance, number, require_step
from distrt.optim.sparse_updates import refuse_sparse

__all__ = ["Adafactor"]


class Adafactor(Optimizer):
    r"""Adam's second moment, kept as the outer product of a row and a column where a parameter has two dims or more.

    Steps are relative to the size of the parameter, and no longer than ``d`` in root mean square.

    Source: Shazeer and Stern 2018, https://pytorch.org/docs/stable/generated/torch.optim.Adafactor.html
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        require_one_element(lr)
        require(lr >= 0.0, f"Learning rate should be >= 0 but is: {lr}")
        require(beta2_decay <= 0.0, f"beta2_decay should be <= 0 but is: {beta2_decay}")
        require(eps[0] is None or eps[0] >= 0.0, f"epsilon1 should be >= 0 but is: {eps[0]}")
        require(eps[1] >= 0.0, f"epsilon2 should be >= 0 but is: {eps[1]}")
        require(d >= 1.0, f"Clipping threshold d should be >= 1 but is: {d}")
        require(weight_decay >= 0.0, f"weight_decay should be >= 0 but is: {weight_decay}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

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
                refuse_sparse("Adafactor", param.grad)
            states = [self._prepare(param) for param in params]
            for param, state in zip(params, states, strict=True):
                _update(param, state, group)
        return loss

    def _prepare(self, param: Tensor) -> dict[str, Any]:
        if param.is_complex():
            raise DtypeError("Adafactor does not support complex parameters")
        state: dict[str, Any] = self.state[param]
        grad: Any = param.grad
        if not state:
            state["step"] = a_number(0.0)
            if grad.dim() > 1:
                state["row_var"] = grad.new_zeros((*grad.shape[:-1], 1))
                state["col_var"] = grad.new_zeros((*grad.shape[:-2], 1, grad.shape[-1]))
            else:
                state["variance"] = like_gradient(param, 0)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("foreach", None)
            for param in group["params"]:
                own = self.state.get(param, {})
                if own and not isinstance(own["step"], Tensor):
                    own["step"] = a_number(float(own["step"]))


def _update(param: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
    grad = -param.grad if group["maximize"] else param.grad
    require_step(state)
    step = advance(state)
    lr, (tiny, least) = number(group["lr"]), group["eps"]
    tiny = finfo(param.dtype).eps if tiny is None else tiny
    size = max(least, param.norm(2).item() / param.numel() ** 0.5) * min(lr, 1 / step**0.5)
    if group["weight_decay"] != 0:
        param.mul_(float(1 - lr * group["weight_decay"]))
    variance = _variance(grad, state, step ** group["beta2_decay"], tiny)
    update = variance.clamp_(min=tiny * tiny).rsqrt_().mul_(grad)
    length = update.norm(2).item() / (update.numel() ** 0.5 * group["d"])
    param.add_(update, alpha=float(-size / max(1.0, length)))


def _variance(grad: Any, state: dict[str, Any], weight: float, tiny: float) -> Any:
    """The running mean square of the gradient; a new tensor."""
    if grad.dim() <= 1:
        return state["variance"].lerp_(grad * grad, weight).clone()
    row, column = state["row_var"], state["col_var"]
    row.lerp_(grad.norm(dim=-1, keepdim=True).square_().div_(grad.size(-1)), weight)
    column.lerp_(grad.norm(dim=-2, keepdim=True).square_().div_(grad.size(-2)), weight)
    return (row @ column).div_(row.mean(dim=-2, keepdim=True).clamp_(min=tiny))
