"""What CUDA's own functions answer (`distrt.cuda.cudart`), as errors."""

from __future__ import annotations

from distrt.cuda.devices import cupy

__all__ = ["CudaError", "DeferredCudaCallError", "check_error", "cudaStatus"]


class cudaStatus:  # noqa: N801 - PyTorch's own spelling
    """Two of CUDA's answers."""

    SUCCESS: int = 0
    ERROR_NOT_READY: int = 34


class CudaError(RuntimeError):
    """A function of CUDA's did not do what it should.

    Args:
        code: what it answered.

    Raises:
        DeviceMissing: without a GPU.
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"{cupy().cuda.runtime.CUDARuntimeError(code)} ({code})")


class DeferredCudaCallError(Exception):
    """For scripts that catch it: nothing is put off until a GPU is used."""


def check_error(res: int) -> None:
    """Raises `CudaError` where a function of CUDA's answered anything but success, DeviceMissing without a GPU."""
    cupy()
    if res != cudaStatus.SUCCESS:
        raise CudaError(res)
