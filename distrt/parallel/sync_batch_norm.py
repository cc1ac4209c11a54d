"""``SyncBatchNorm``: batch normalisation with the statistics of the global batch.

With it, data parallelism gives the parameters of one process on the whole batch. Users find it as
``distrt.nn.SyncBatchNorm``.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self

from distrt.comm.process_group import ProcessGroup
from distrt.comm.world import default_group, is_initialized
from distrt.core.errors import DataError, ShapeError
from distrt.core.ops.nn.batch_normalisation import move_both
from distrt.core.ops.nn.standardising import require_dtypes
from distrt.core.tensor import Tensor
from distrt.nn.modules.batchnorm import _BatchNorm, count_batch
from distrt.nn.modules.module import Module
from distrt.parallel import global_batch, lockstep

__all__ = ["SyncBatchNorm"]


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation over (N, C, ...) whose statistics, in training, are those of all ranks' batches together.

    Ranks may have batches of different sizes, or an empty one; every value counts once. Without a process group, with a
    group of one rank and in evaluation it is ordinary batch normalisation. PyTorch's works on GPUs only.

    Args:
        num_features, eps, momentum, affine, track_running_stats, device, dtype, bias: as for ``BatchNorm2d``.
        process_group: the ranks; all of the world when not given.

    In training all ranks of the group must call it, and run backward through it if its input needs a gradient. So
    ranks that run out of inputs need ``join(throw_on_early_termination=True)``, as in PyTorch.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self.process_group = process_group

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"expected at least 2D input (got {input.ndim}D input)")

    def _check_non_zero_input_channels(self, input: Tensor) -> None:
        if input.shape[1] == 0:
            raise ValueError("SyncBatchNorm number of input channels should be non-zero")

    def forward(self, input: Tensor) -> Tensor:
        """Shape: (N, num_features, ...) -> the same.

        Raises:
            ValueError: fewer than 2 dims, no channels, or one value per channel over all ranks.
        """
        self._check_input_dim(input)
        self._check_non_zero_input_channels(input)
        if self.training and (lane := lockstep.current_lane()) is not None:
            result: Tensor = lane.offer(self, (input, self.weight, self.bias))
            return result
        group = self._group() if self.training else None
        if group is None or group.size() == 1:
            return super().forward(input)
        (normalised,) = self.normalise_together([(input, self.weight, self.bias)], group)
        return normalised

    def normalise_together(
        self, operands: Sequence[tuple[Tensor, Tensor | None, Tensor | None]], group: ProcessGroup
    ) -> tuple[Tensor, ...]:
        """Normalises this rank's inputs by the statistics of all ranks' inputs together; a collective.

        Args:
            operands: for each input, itself, the weight and the bias.
            group: the ranks, which all have as many inputs.
        """
        for input, _, _ in operands:
            self._require_fitting(input)
        momentum = self._count_batch()
        found = global_batch.global_statistics([input._array for input, _, _ in operands], group)
        if found.size == 1:
            raise ValueError(
                f"Expected more than 1 value per channel when training, got input size {operands[0][0].shape} on rank "
                f"{group.rank()} and one value per channel over all {group.size()} ranks"
            )
        if found.size and self.track_running_stats:
            unbiased = found.variance(correction=1)
            move_both(self.running_mean, self.running_var, found.mean, unbiased, momentum, 1.0)
        flat = [each for three in operands for each in three]
        normalised: tuple[Tensor, ...] = global_batch.SyncBatchNorm.apply(found, self.eps, group, *flat)
        return normalised

    def _group(self) -> ProcessGroup | None:
        """The ranks to share statistics with; None if there are none, or this rank is not among them."""
        if self.process_group is None:
            return default_group() if is_initialized() else None
        return self.process_group if isinstance(self.process_group, ProcessGroup) else None

    def _require_fitting(self, input: Tensor) -> None:
        channels = input.shape[1]
        given = {name: getattr(self, name) for name in ("running_mean", "running_var", "weight", "bias")}
        for name, values in given.items():
            if values is not None and values.numel() != channels:
                raise ShapeError(f"{name} should contain {channels} elements not {values.numel()}")
        if (self.running_mean is None) != (self.running_var is None):
            raise DataError("running_mean and running_var must either both be None or neither be None")
        arrays = [None if values is None else values._array for values in given.values()]
        require_dtypes("batch_norm", input._array, *arrays)

    def _count_batch(self) -> float:
        """How far the running statistics go towards the new ones."""
        if not self.track_running_stats:
            return 0.0
        if self.num_batches_tracked is None:
            raise AssertionError("num_batches_tracked must not be None")
        return count_batch(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A copy that talks to the same ranks."""
        memo[id(self.process_group)] = self.process_group
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__setstate__(copy.deepcopy(self.__dict__, memo))
        return copied

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """Puts a SyncBatchNorm in the place of every batch normalisation in ``module``.

        The new layers have the parameters and statistics of the old ones, the same objects.

        Args:
            module: the model; it is changed.
            process_group: for all new layers.

        Returns:
            ``module``, or its substitute if it is a batch normalisation itself.
        """
        converted = module
        if isinstance(module, _BatchNorm):
            converted = _substitute(module, process_group)
        for name, child in module.named_children():
            converted.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return converted


def _substitute(layer: _BatchNorm, process_group: Any) -> SyncBatchNorm:
    substitute = SyncBatchNorm(
        layer.num_features,
        layer.eps,
        layer.momentum,
        layer.affine,
        layer.track_running_stats,
        process_group,
        bias=layer.bias is not None,
    )
    if layer.affine:
        substitute.weight, substitute.bias = layer.weight, layer.bias
    substitute.running_mean, substitute.running_var = layer.running_mean, layer.running_var
    substitute.num_batches_tracked = layer.num_batches_tracked
    substitute.training = layer.training
    if hasattr(layer, "qconfig"):
        substitute.qconfig = layer.qconfig
    return substitute
