"""``ParallelStyle``: what a plan says of one module; and a value as a tensor that lies on several ranks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from distrt.comm.mesh.device_mesh import DeviceMesh
from distrt.core.tensor import Tensor
from distrt.nn import Module
from distrt.parallel.distributed_tensors.placements import Placement
from distrt.parallel.distributed_tensors.tensor import DTensor

__all__ = ["ParallelStyle", "lying"]


class ParallelStyle(ABC):
    """How a module is cut, or what goes in and comes out of it; a plan of `parallelize_module` has them.

    Attributes:
        src_data_rank: the rank of the mesh whose parameters count; each rank's own where None.
    """

    src_data_rank: int | None = 0

    @abstractmethod
    def _apply(self, module: Module, device_mesh: DeviceMesh) -> Module:
        """Change the module, and return it."""

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value}" for name, value in self._said().items())
        return f"{type(self).__name__}({said})"

    def _said(self) -> dict[str, Any]:
        return {}


def lying(value: Any, mesh: DeviceMesh, placement: Placement) -> DTensor:
    """The value, which lies so where it does not say itself.

    Raises:
        ValueError: it is no tensor.
    """
    if isinstance(value, DTensor):
        return value
    if not isinstance(value, Tensor):
        raise ValueError(f"expecting a torch.Tensor or DTensor, but got {value!r}")
    return DTensor.from_local(value, mesh, (placement,))


ParallelStyle.__module__ = "distrt.distributed.tensor.parallel"
