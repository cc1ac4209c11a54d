"""SparseAdam: Adam for gradients that are sparse tensors, such as those of ``Embedding(sparse=True)``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core.errors import DtypeError
from distrt.core.modes import enable_grad, no_grad
from distrt.core.sparse.array import is_sparse
from distrt.core.tensor import Tensor
from distrt.core.tensors.history import require_writeable
from distrt.optim.elementwise import require, require_one_element, zeros_like
from distrt.optim.optimizer import Optimizer, ParamsT
from distrt.optim.rules import number
from distrt.optim.sparse_updates import change_rows

__all__ = ["SparseAdam"]


class SparseAdam(Optimizer):
    """Adam on the elements that sparse gradients give; the averages of the others wait for their next gradient.

    Source: https://pytorch.org/docs/stable/generated/torch.optim.SparseAdam.html
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        require_one_element(lr)
        require(lr > 0.0, f"Invalid learning rate: {lr}")
        require(eps > 0.0, f"Invalid epsilon value: {eps}")
        require(0.0 <= betas[0] < 1.0, f"Invalid beta parameter at index 0: {betas[0]}")
        require(0.0 <= betas[1] < 1.0, f"Invalid beta parameter at index 1: {betas[1]}")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
        found = self._places_of(lambda param: param.is_sparse)
        require(not found, f"Sparse params at indices {found}: SparseAdam requires dense parameter tensors")
        found = self._places_of(lambda param: param.is_complex())
        require(
            not found, f"Complex params at indices {found}: SparseAdam does not support complex parameters"
        )

    def _places_of(self, is_such: Callable[[Tensor], bool]) -> list[list[int]]:
        """The group and the place in it of each parameter of a kind."""
        return [
            [number, place]
            for number, group in enumerate(self.param_groups)
            for place, param in enumerate(group["params"])
            if is_such(param)
        ]

    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient, where that is given.

        Raises:
            DtypeError: for a dense gradient.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [param for param in group["params"] if param.grad is not None]
            for param in params:
                if not is_sparse(param.grad._array):
                    raise DtypeError(
                        "SparseAdam does not support dense gradients, please consider Adam instead"
                    )
            for param in params:
                state = self.state[param]
                if not state:
                    state["step"] = 0
                    state["exp_avg"] = zeros_like(param)
                    state["exp_avg_sq"] = zeros_like(param)
                state["step"] += 1
                _update(param, state, group)
        return loss


def _update(param: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    """Adam's update of the elements that the gradient gives; the averages of the others stay."""
    gradient: Any = param.grad
    array = gradient._array.coalesced()
    if not array.values.size:
        return
    require_writeable(param)
    kind, (beta1, beta2), step = array.values.dtype.type, group["betas"], state["step"]
    values = -array.values if group["maximize"] else array.values
    old, old_squares = array.read(state["exp_avg"]._array), array.read(state["exp_avg_sq"]._array)
    change = (values - old) * kind(1 - beta1)
    change_of_squares = (values * values - old_squares) * kind(1 - beta2)
    change_rows(state["exp_avg"], array, change)
    change_rows(state["exp_avg_sq"], array, change_of_squares)
    root = np.sqrt(change_of_squares + old_squares) + kind(group["eps"])
    step_size = number(group["lr"]) * math.sqrt(1 - beta2**step) / (1 - beta1**step)
    change_rows(param, array, (change + old) / root * kind(-step_size))
