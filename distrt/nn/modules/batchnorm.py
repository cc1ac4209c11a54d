"""Batch normalisation layers, and what the instance normalisation layers share with them."""

from __future__ import annotations

import importlib
from typing import Any

from distrt.core.creation import empty, ones, tensor, zeros
from distrt.core.dtypes import dtype as dt
from distrt.core.tensor import Tensor
from distrt.nn import functional as F
from distrt.nn import init
from distrt.nn.modules.module import Module
from distrt.nn.parameter import Parameter

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"]


class _NormBase(Module):
    """Weights and running statistics of each channel."""

    _version = 2  # 2 counts the batches
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    running_mean: Any
    running_var: Any
    num_batches_tracked: Any

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
        self.register_buffer(
            "num_batches_tracked", tensor(0, dtype=dt.int64, device=device) if tracked else None
        )
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
        if self.affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def _check_input_dim(self, input: Tensor) -> None:
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Sizes and options, as PyTorch prints them."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """States that were saved before the batches were counted keep the count of this layer."""
        version = local_metadata.get("version")
        key = f"{prefix}num_batches_tracked"
        if (version is None or version < 2) and self.track_running_stats and key not in state_dict:
            counted = self.num_batches_tracked
            state_dict[key] = tensor(0, dtype=dt.int64) if counted is None else counted
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


def count_batch(layer: _NormBase) -> float:
    """Counts a batch; how far the running statistics go towards its own: without a momentum, to the plain average."""
    layer.num_batches_tracked.add_(1)
    return 1.0 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum


class _BatchNorm(_NormBase):
    """What the batch normalisation layers share.

    Under DistributedDataParallel each rank normalises with the statistics of its own part of the batch, so a model with
    these layers differs, by definition, from one process on the whole batch.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Shape: (N, num_features, …) -> the same."""
        self._check_input_dim(input)
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            momentum = count_batch(self)
        by_batch = self.training or (self.running_mean is None and self.running_var is None)
        is_used = not self.training or self.track_running_stats
        return F.batch_norm(
            input,
            self.running_mean if is_used else None,
            self.running_var if is_used else None,
            self.weight,
            self.bias,
            by_batch,
            momentum,
            self.eps,
        )


def _require_dims(input: Tensor, *dims: int) -> None:
    if input.ndim not in dims:
        expected = " or ".join(f"{each}D" for each in dims)
        raise ValueError(f"expected {expected} input (got {input.ndim}D input)")


class BatchNorm1d(_BatchNorm):
    """Over (N, C) or (N, C, L): the statistics of each channel C."""

    def _check_input_dim(self, input: Tensor) -> None:
        _require_dims(input, 2, 3)


class BatchNorm2d(_BatchNorm):
    """Over (N, C, H, W): the statistics of each channel C."""

    def _check_input_dim(self, input: Tensor) -> None:
        _require_dims(input, 4)


class BatchNorm3d(_BatchNorm):
    """Over (N, C, D, H, W): the statistics of each channel C."""

    def _check_input_dim(self, input: Tensor) -> None:
        _require_dims(input, 5)


def __getattr__(name: str) -> Any:
    if name == "SyncBatchNorm":  # of a room to the right, behind the facade, loaded when asked for
        return importlib.import_module("distrt.nn.parallel").SyncBatchNorm
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
