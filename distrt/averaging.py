"""Averages of a model's weights over training: SWA (equal shares) and EMA (fading ones).

Users reach it as ``distrt.optim.swa_utils``. It needs modules and is therefore a room of its own, to the right of nn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any

from distrt.core.creation import tensor
from distrt.core.dtypes import dtype as dt
from distrt.core.modes import no_grad
from distrt.core.tensor import Tensor
from distrt.nn.modules.batchnorm import _BatchNorm
from distrt.nn.modules.module import Module

__all__ = [
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

Average = Callable[[Tensor, Tensor, Any], Tensor]
MultiAverage = Callable[[Sequence[Any], Sequence[Any], Any], None]


class AveragedModel(Module):
    """A copy of a model, whose parameters become an average over the calls of ``update_parameters``.

    Args:
        model: what is copied; its forward pass is that of the copy, as ``module``.
        device: where the copy shall be.
        avg_fn: of a parameter's average, its present value and the number of models averaged so far, the new average.
        multi_avg_fn: the same on lists of all parameters of one dtype, in place. Default: equal shares.
        use_buffers: average the buffers too; otherwise they are copied at each update.

    Source: Izmailov et al. 2018, https://pytorch.org/docs/stable/optim.html#weight-averaging-swa-and-ema
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, dtype=dt.int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged model gives."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Takes the present weights of ``model`` into the average; the first ones become it."""
        mine, theirs = self._averaged(self), self._averaged(model)
        pairs = [(a.detach(), b.detach()) for a, b in zip(mine, theirs, strict=False)]
        if not self.n_averaged:
            for average, value in pairs:
                average.copy_(value)
        elif self.multi_avg_fn is not None:
            for averages, values in _by_dtype(pairs):
                self.multi_avg_fn(averages, values, self.n_averaged)
        else:
            update = self.avg_fn or get_swa_avg_fn()
            for average, value in pairs:
                average.copy_(update(average, value, self.n_averaged))
        if not self.use_buffers:
            for buffer, source in zip(self.module.buffers(), model.buffers(), strict=True):
                buffer.detach().copy_(source.detach())
        self.n_averaged += 1

    def _averaged(self, model: Any) -> Iterable[Any]:
        if not self.use_buffers:
            return list(model.parameters())
        if model is self:
            model = self.module  # n_averaged is no part of the average
        return list(chain(model.parameters(), model.buffers()))


def _by_dtype(pairs: list[tuple[Any, Any]]) -> list[tuple[list[Any], list[Any]]]:
    groups: dict[Any, tuple[list[Any], list[Any]]] = {}
    for average, value in pairs:
        averages, values = groups.setdefault(average.dtype, ([], []))
        averages.append(average)
        values.append(value)
    return list(groups.values())


def get_swa_avg_fn() -> Average:
    """Equal shares, for ``avg_fn``."""

    @no_grad()
    def swa_update(averaged_param: Any, current_param: Any, num_averaged: Any) -> Any:
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """``decay`` of the old average and the rest of the new value, for ``avg_fn``."""
    _require_decay(decay)

    @no_grad()
    def ema_update(ema_param: Any, current_param: Any, num_averaged: Any) -> Any:
        return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_multi_avg_fn() -> MultiAverage:
    """Equal shares, in place on lists, for ``multi_avg_fn``."""

    @no_grad()
    def swa_update(averaged_param_list: Any, current_param_list: Any, num_averaged: Any) -> None:
        pairs = zip(averaged_param_list, current_param_list, strict=True)
        if _is_continuous(averaged_param_list[0]):
            share = float(1 / (num_averaged + 1))
            for average, value in pairs:
                average.lerp_(value, share)
        elif isinstance(num_averaged, Tensor):
            for average, value in pairs:
                average.addcdiv_(value - average, num_averaged + 1)
        else:
            for average, value in pairs:
                average.add_(value - average, alpha=1.0 / (num_averaged + 1))

    return swa_update


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """``decay`` of the old averages and the rest of the new values, in place on lists, for ``multi_avg_fn``."""
    _require_decay(decay)

    @no_grad()
    def ema_update(ema_param_list: Any, current_param_list: Any, _: Any) -> None:
        is_continuous = _is_continuous(ema_param_list[0])
        for average, value in zip(ema_param_list, current_param_list, strict=True):
            if is_continuous:
                average.lerp_(value, 1 - decay)
            else:
                average.copy_(average * decay + value * (1 - decay))

    return ema_update


def _is_continuous(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _require_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Computes the running statistics of every batch normalisation anew, as plain means over the batches of ``loader``.

    Args:
        loader: gives batches, or lists and tuples that begin with one.
        model: is put into training mode for the pass.
        device: where the batches go before.
    """
    momenta: dict[Any, Any] = {
        module: module.momentum for module in model.modules() if isinstance(module, _BatchNorm)
    }
    if not momenta:
        return
    was_training = model.training
    model.train()
    for module in momenta:
        module.reset_running_stats()
        module.momentum = None  # a plain mean over the batches
    try:
        for batch in loader:
            value = batch[0] if isinstance(batch, list | tuple) else batch
            model(value if device is None else value.to(device))
    finally:
        for module, momentum in momenta.items():
            module.momentum = momentum
        model.train(was_training)
