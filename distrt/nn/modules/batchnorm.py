"""Batch normalisation layers."""

from __future__ import annotations

from typing import Any

from distrt.core import dtype as dt
from distrt.core.creation import empty, ones, tensor, zeros
from distrt.core.tensor import Tensor
from distrt.nn import functional as F
from distrt.nn import init
from distrt.nn.modules.module import Module
from distrt.nn.parameter import Parameter

__all__ = ["BatchNorm1d", "BatchNorm2d"]


class BatchNorm(Module):
    """What the batch normalisation layers share; use ``BatchNorm1d`` or ``BatchNorm2d``.

    Under DistributedDataParallel each rank normalises with the statistics of its own part of the batch, so a model with
    these layers differs, by definition, from one process on the whole batch.
    """

    _dims: tuple[int, ...] = ()

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            made = Parameter(empty(num_features, dtype=dtype, device=device)) if wanted else None
            self.register_parameter(name, made)
        tracked = track_running_stats
        self.register_buffer(
            "running_mean", zeros(num_features, dtype=dtype, device=device) if tracked else None
        )
        self.register_buffer(
            "running_var", ones(num_features, dtype=dtype, device=device) if tracked else None
        )
        self.register_buffer("num_batches_tracked", tensor(0, dtype=dt.int64) if tracked else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forgets the running statistics."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Scale 1, shift 0, no statistics."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """Shape: (N, num_features, …) -> the same."""
        if input.ndim not in self._dims:
            expected = " or ".join(f"{dims}D" for dims in self._dims)
            raise ValueError(f"expected {expected} input (got {input.ndim}D input)")
        use_batch = self.training or self.running_mean is None
        momentum = self.momentum or 0.0
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:  # the plain average over all batches
                momentum = 1 / int(self.num_batches_tracked)
        moving = not self.training or self.track_running_stats
        return F.batch_norm(
            input,
            self.running_mean if moving else None,
            self.running_var if moving else None,
            self.weight,
            self.bias,
            use_batch,
            momentum,
            self.eps,
        )

    def extra_repr(self) -> str:
        """Sizes and options, as PyTorch prints them."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(BatchNorm):
    """Over (N, C) or (N, C, L): the statistics of each channel C."""

    _dims = (2, 3)


class BatchNorm2d(BatchNorm):
    """Over (N, C, H, W): the statistics of each channel C."""

    _dims = (4,)
