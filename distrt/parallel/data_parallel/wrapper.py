"""``DataParallel``: a model on several GPUs of one process; without GPUs the model itself, wrapped.

``DistributedDataParallel`` is the way to use several cores or machines, here as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from distrt.core.device import device
from distrt.core.errors import DeviceError, DeviceMissing
from distrt.core.gpu import library
from distrt.core.modes import modes
from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module
from distrt.parallel.data_parallel.devices import device_index, gpu_numbers
from distrt.parallel.data_parallel.parallel_apply import parallel_apply
from distrt.parallel.data_parallel.replicate import replicate
from distrt.parallel.data_parallel.scatter_gather import gather, scatter_kwargs

__all__ = ["DataParallel", "data_parallel"]

T = TypeVar("T", bound=Module)


class DataParallel(Module, Generic[T]):
    """Calls ``module``, on all GPUs at once; on a machine without them, as it is.

    The model's parameters have the prefix ``module.`` in its state.

    Args:
        module: the model.
        device_ids: which GPUs; all if not given. The model must be on the first. Without GPUs they are not looked at.
        output_device: where outputs are put together; the first of them if not given.
        dim: along which inputs are cut.
    """

    module: T

    def __init__(
        self,
        module: T,
        device_ids: Sequence[Any] | None = None,
        output_device: Any = None,
        dim: int = 0,
    ) -> None:
        super().__init__()
        self.module = module
        self.device_ids: list[int] = []
        count = library.device_count()
        if not count:
            return
        self.dim = dim
        self.device_ids = gpu_numbers("DataParallel", range(count) if device_ids is None else device_ids)
        chosen = self.device_ids[0] if output_device is None else output_device
        self.output_device = device_index(chosen, optional=True, allow_cpu=True)
        self.src_device_obj = device("cuda", self.device_ids[0])
        if len(self.device_ids) == 1:
            self.module.to(self.src_device_obj)

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Calls the model, a copy on each GPU with its part of the inputs, and puts the outputs together.

        Raises:
            RuntimeError: for a model that is not on the first of the GPUs.
        """
        if not self.device_ids:
            return self.module(*inputs, **kwargs)
        for each in (*self.module.parameters(), *self.module.buffers()):
            if each.device != self.src_device_obj:
                raise DeviceError(
                    "module must have its parameters and buffers on device "
                    f"{self.src_device_obj} (device_ids[0]) but found one of them on device: {each.device}"
                )
        given, named = self.scatter(inputs, kwargs, self.device_ids)
        if not given and not named:  # nothing to cut: the model is called once
            given, named = ((),), ({},)
        if len(self.device_ids) == 1:
            return self.module(*given[0], **named[0])
        replicas = self.replicate(self.module, self.device_ids[: len(given)])
        return self.gather(self.parallel_apply(replicas, given, named), self.output_device)

    def replicate(self, module: T, device_ids: Sequence[Any]) -> list[T]:
        """One copy of the model for each GPU."""
        return replicate(module, device_ids, not modes.grad)

    def scatter(
        self, inputs: tuple[Any, ...], kwargs: dict[str, Any] | None, device_ids: Sequence[Any]
    ) -> Any:
        """The arguments for each GPU."""
        return scatter_kwargs(inputs, kwargs, device_ids, dim=self.dim)

    def parallel_apply(self, replicas: Sequence[T], inputs: Sequence[Any], kwargs: Any) -> list[Any]:
        """The outputs of each GPU."""
        return parallel_apply(replicas, inputs, kwargs, self.device_ids[: len(replicas)])

    def gather(self, outputs: Any, output_device: Any) -> Any:
        """The outputs of all GPUs on one device."""
        return gather(outputs, output_device, dim=self.dim)


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Sequence[Any] | None = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: Any = None,
) -> Tensor:
    """What ``module`` gives for ``inputs``, on all GPUs at once.

    Raises:
        RuntimeError: on a machine without GPUs; ``DataParallel`` works there.
    """
    if not library.device_count():
        raise DeviceMissing(
            "device type could not be determined: there is no GPU to put the model on; DataParallel calls it where it "
            "is"
        )
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    wrapped = DataParallel(module, device_ids, output_device, dim)
    wrapped.training = module.training
    found: Tensor = wrapped(*given, **(module_kwargs or {}))
    return found
