"""``DataParallel``: a model on several GPUs of one process; without GPUs the model itself, wrapped.

``DistributedDataParallel`` is the way to use several cores or machines, here as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from distrt.core.errors import DeviceMissing
from distrt.core.modes import modes
from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module
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
        device_ids, output_device, dim: which GPUs, where outputs are put together, and along which dim inputs are cut.
            Without GPUs they are not looked at.
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
        self.device_ids: list[int] = []  # tensors are on the CPU only

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Calls the model."""
        return self.module(*inputs, **kwargs)

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
    raise DeviceMissing(
        "device type could not be determined: there is no GPU to put the model on; DataParallel calls it where it is"
    )
