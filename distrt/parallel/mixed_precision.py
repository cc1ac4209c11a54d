"""``mixed_precision=``: a model that computes, and averages its gradients, in narrower dtypes than it is kept in.

PyTorch gives every parameter narrow values from the forward pass to the end of the backward pass. Here the forward pass
sees narrow copies, made by recorded operations: the parameters themselves never change, and gradients arrive in full.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any

from distrt.comm.futures import Future
from distrt.comm.process_group import ProcessGroup
from distrt.core.dtypes.dtype import dtype as Dtype
from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module
from distrt.nn.utils.stateless import replaced_tensors
from distrt.parallel.bucket import GradBucket
from distrt.parallel.hooks.all_reducing import reduced
from distrt.parallel.structures import map_tensors
from distrt.utils.repeating import repeated_in

__all__ = ["Casting", "MixedPrecision"]

_log = logging.getLogger("distrt.nn.parallel.distributed")


@dataclasses.dataclass
class MixedPrecision:
    """Which dtypes a wrapped model uses in a pass; None leaves what is there.

    Attributes:
        param_dtype: of parameters and floating-point inputs, and so of what is computed.
        reduce_dtype: in which gradients are averaged; ``param_dtype`` where None.
        buffer_dtype: of the buffers, for good.
    """

    param_dtype: Dtype | None = None
    reduce_dtype: Dtype | None = None
    buffer_dtype: Dtype | None = None


MixedPrecision.__name__ = MixedPrecision.__qualname__ = "_MixedPrecision"  # as PyTorch prints it


class Casting:
    """The casts around the passes of one model."""

    def __init__(self, config: MixedPrecision, module: Module) -> None:
        _log.warning("Received mixed precision config %s", config)
        self._config = config
        if config.buffer_dtype is not None:
            for buffer in module.buffers():
                if not _is_ignored(buffer):
                    buffer.data = buffer.to(dtype=config.buffer_dtype)

    def inputs(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with every floating-point tensor in them in the narrow dtype."""
        dtype = self._config.param_dtype
        if dtype is None:
            return args, kwargs

        def cast(tensor: Tensor) -> Tensor:
            return tensor.to(dtype) if tensor.is_floating_point() else tensor

        return map_tensors(cast, args, _is_packed), map_tensors(cast, kwargs, _is_packed)

    @contextlib.contextmanager
    def parameters(self, module: Module) -> Iterator[None]:
        """While entered, and in parts that backward repeats, the model has its parameters in the narrow dtype."""
        dtype = self._config.param_dtype
        if dtype is None:
            yield
            return
        narrow = {
            name: parameter.to(dtype)
            for name, parameter in module.named_parameters()
            if not _is_ignored(parameter)
        }
        replaced = functools.partial(replaced_tensors, module, narrow, tie_weights=True)
        with replaced(), repeated_in(replaced):
            yield

    def average(self, group: ProcessGroup, bucket: GradBucket) -> Future[Tensor]:
        """The communication hook: the sum in the narrow dtype, divided there."""
        wide = bucket.buffer()
        narrow = wide
        for dtype in (self._config.param_dtype, self._config.reduce_dtype):
            if dtype is not None:
                narrow = narrow.to(dtype)

        def widen(future: Future[list[Tensor]]) -> Tensor:
            mean = future.value()[0].div_(group.size())
            return mean if mean is wide else wide.copy_(mean)

        return reduced(group, narrow).then(widen)

    def hook(self, group: ProcessGroup) -> Callable[[GradBucket], Future[Tensor]]:
        """`average` over these ranks."""
        return functools.partial(self.average, group)


def _is_ignored(tensor: Tensor) -> bool:
    return bool(getattr(tensor, "_ddp_ignored", False))


def _is_packed(value: Any) -> bool:
    """A packed sequence goes as it is, as in PyTorch."""
    return hasattr(value, "batch_sizes")
