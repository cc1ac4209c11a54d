"""What NVIDIA's management library tells of a GPU, whoever uses it: how busy, warm and hungry it is.

By ``pynvml`` (the package ``nvidia-ml-py``), as in PyTorch; GPUs are found by where they sit, so that
``CUDA_VISIBLE_DEVICES`` counts.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from distrt.cuda.devices import cupy, number_of

__all__ = [
    "clock_rate",
    "device_memory_used",
    "list_gpu_processes",
    "memory_usage",
    "power_draw",
    "temperature",
    "utilization",
]


def utilization(device: Any = None) -> int:
    """For how much of its last moments a GPU ran kernels, in percent.

    Raises (each function here but `list_gpu_processes`):
        ModuleNotFoundError: ``nvidia-ml-py`` is not installed.
        RuntimeError: there is no driver.
        DeviceMissing: there is no such GPU.
    """
    library, handle = _asked(device)
    return int(library.nvmlDeviceGetUtilizationRates(handle).gpu)


def memory_usage(device: Any = None) -> int:
    """For how much of its last moments a GPU's memory was read or written, in percent."""
    library, handle = _asked(device)
    return int(library.nvmlDeviceGetUtilizationRates(handle).memory)


def device_memory_used(device: Any = None) -> int:
    """Bytes of a GPU's memory that are in use, by whichever process."""
    library, handle = _asked(device)
    return int(library.nvmlDeviceGetMemoryInfo(handle).used)


def temperature(device: Any = None) -> int:
    """A GPU's temperature, in degrees Celsius."""
    library, handle = _asked(device)
    return int(library.nvmlDeviceGetTemperature(handle, library.NVML_TEMPERATURE_GPU))


def power_draw(device: Any = None) -> int:
    """What a GPU draws, in milliwatts."""
    library, handle = _asked(device)
    return int(library.nvmlDeviceGetPowerUsage(handle))


def clock_rate(device: Any = None) -> int:
    """How fast a GPU's multiprocessors run, in megahertz."""
    library, handle = _asked(device)
    return int(library.nvmlDeviceGetClockInfo(handle, library.NVML_CLOCK_SM))


def list_gpu_processes(device: Any = None) -> str:
    """The processes that use a GPU and how much memory each has, in lines; or why they cannot be told."""
    try:
        library, handle = _asked(device)
    except ModuleNotFoundError:
        return "pynvml module not found, please install nvidia-ml-py"
    except _NoDriverError as error:
        return str(error)
    found = library.nvmlDeviceGetComputeRunningProcesses(handle)
    lines = [
        f"process {each.pid:>10d} uses {(each.usedGpuMemory or 0) / 2**20:>12.3f} MB GPU memory"  # None: not told
        for each in found
    ]
    return "\n".join([f"GPU:{number_of(device)}", *(lines or ["no processes are running"])])


class _NoDriverError(RuntimeError):
    """As PyTorch says it."""


def _asked(device: Any) -> tuple[ModuleType, Any]:
    """The library, and its handle of a GPU."""
    try:
        import pynvml  # not everybody's
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "nvidia-ml-py does not seem to be installed or it can't be imported."
        ) from error
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise _NoDriverError("cuda driver can't be loaded, is cuda enabled?") from error
    place = cupy().cuda.runtime.deviceGetPCIBusId(number_of(device))
    return pynvml, pynvml.nvmlDeviceGetHandleByPciBusId(place)
