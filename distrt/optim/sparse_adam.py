"""SparseAdam, which is for gradients that are sparse tensors; there are none here, and it says so as PyTorch does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distrt.core.errors import DtypeError
from distrt.core.modes import enable_grad, no_grad
from distrt.core.tensor import Tensor
from distrt.optim.elementwise import require, require_one_element
from distrt.optim.optimizer import Optimizer, ParamsT

__all__ = ["SparseAdam"]


class SparseAdam(Optimizer):
    """Adam on the elements of sparse gradients alone.

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
        found = [
            [group_number, number]
            for group_number, group in enumerate(self.param_groups)
            for number, param in enumerate(group["params"])
            if param.is_complex()
        ]
        require(
            not found, f"Complex params at indices {found}: SparseAdam does not support complex parameters"
        )

    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Runs ``closure``, and refuses gradients, which are all dense.

        Raises:
            DtypeError: for a parameter that has a gradient.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            if any(param.grad is not None for param in group["params"]):
                raise DtypeError("SparseAdam does not support dense gradients, please consider Adam instead")
        return loss
