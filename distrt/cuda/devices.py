"""Which GPUs there are, and which one is meant."""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

from distrt.core import gpu
from distrt.core.device import device as device_type
from distrt.core.errors import DeviceMissing
from distrt.core.gpu import library
from distrt.core.gpu.capturing import refuse
from distrt.core.gpu.places import begin
from distrt.core.kernels import on_gpu

__all__ = [
    "can_device_access_peer",
    "cudart",
    "current_blas_handle",
    "current_device",
    "current_solver_handle",
    "device",
    "device_count",
    "device_of",
    "get_arch_list",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "get_gencode_flags",
    "get_sync_debug_mode",
    "init",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "is_tf32_supported",
    "set_device",
    "set_sync_debug_mode",
    "synchronize",
]


def is_available() -> bool:
    """True where tensors can be put on a GPU: CuPy is installed and finds one."""
    return library.device_count() > 0


def is_initialized() -> bool:
    """True once a GPU has been used."""
    from distrt.core.modes import used

    return used.gpu


def device_count() -> int:
    """The number of GPUs."""
    return library.device_count()


def no_gpu() -> NoReturn:
    """Raises DeviceMissing."""
    raise DeviceMissing(
        "Torch not compiled with CUDA enabled: distrt finds no GPU here; ask distrt.cuda.is_available() first"
    )


def cupy() -> Any:
    """CuPy. Raises DeviceMissing where there is no GPU."""
    found = library.find()
    if found is None:
        no_gpu()
    return found


def number_of(device: Any = None) -> int:
    """The number of a GPU, from a number, a text or a device; the current one for None.

    Raises:
        DeviceMissing: where there is none, or none of this number.
        ValueError: for a device that is no GPU.
    """
    cupy()
    if device is None:
        return library.current()
    if isinstance(device, bool) or not isinstance(device, int):
        chosen = device_type(device)
        if chosen.type != "cuda":
            raise ValueError(f"Expected a cuda device, but got: {chosen}")
        device = library.current() if chosen.index is None else chosen.index
    if not -1 <= device < library.device_count():
        raise DeviceMissing(
            f"CUDA error: invalid device ordinal: {device} was asked for, and there are {library.device_count()} here"
        )
    return library.current() if device < 0 else device


def init() -> None:
    """Starts the GPU's library, which the first tensor does, too."""
    cupy()
    begin()


def _sleep(cycles: int) -> None:
    """Keeps the current stream busy for so many ticks of the GPU's clock. Raises DeviceMissing without a GPU."""
    init()
    on_gpu.waiting.spin(cycles)


def current_device() -> int:
    """The number of the current GPU."""
    return number_of()


def set_device(device: Any) -> None:
    """Makes a GPU the current one of this thread; a negative number changes nothing."""
    if isinstance(device, int) and device < 0:
        return
    cupy().cuda.Device(number_of(device)).use()


def synchronize(device: Any = None) -> None:
    """Waits until a GPU has done all that it was given."""
    refuse("cuda.synchronize()")
    with cupy().cuda.Device(number_of(device)):
        cupy().cuda.runtime.deviceSynchronize()
    gpu.faults.raise_found()


class device:  # noqa: N801 - PyTorch's own spelling
    """Makes a GPU the current one for a block; None and negative numbers leave it."""

    def __init__(self, device: Any) -> None:
        if isinstance(device, str):
            device = device_type(device)
        index = getattr(device, "index", None) if not isinstance(device, int | None) else device
        self.idx = -1 if index is None and device is None else (index or 0)
        self._before = -1

    def __enter__(self) -> None:
        if self.idx >= 0:
            self._before = number_of()
            set_device(self.idx)

    def __exit__(self, *exception: object) -> None:
        if self._before >= 0:
            set_device(self._before)


class device_of(device):  # noqa: N801 - PyTorch's own spelling
    """A block in which the tensor's GPU is the current one: a tensor on the CPU changes nothing."""

    def __init__(self, obj: Any) -> None:
        super().__init__(obj.get_device())


class Properties(NamedTuple):
    """What a GPU is, by PyTorch's names."""

    name: str
    major: int
    minor: int
    total_memory: int
    multi_processor_count: int
    warp_size: int
    max_threads_per_multi_processor: int
    regs_per_multiprocessor: int
    shared_memory_per_block: int
    L2_cache_size: int


def get_device_properties(device: Any = None) -> Properties:
    """What a GPU is."""
    found = cupy().cuda.runtime.getDeviceProperties(number_of(device))
    return Properties(
        found["name"].decode(),
        found["major"],
        found["minor"],
        found["totalGlobalMem"],
        found["multiProcessorCount"],
        found["warpSize"],
        found["maxThreadsPerMultiProcessor"],
        found["regsPerMultiprocessor"],
        found["sharedMemPerBlock"],
        found["l2CacheSize"],
    )


def get_device_name(device: Any = None) -> str:
    """A GPU's name."""
    return get_device_properties(device).name


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """A GPU's compute capability."""
    found = get_device_properties(device)
    return found.major, found.minor


def get_arch_list() -> list[str]:
    """The architectures that kernels were built for: none, since CuPy builds them for the GPU that it finds."""
    return []


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """True where the GPU computes in bfloat16: from compute capability 8.0 on, emulated on all."""
    return is_available() and (including_emulation or get_device_capability()[0] >= 8)


def can_device_access_peer(device: Any, peer_device: Any) -> bool:
    """True where one GPU can read another one's memory."""
    first, second = number_of(device), number_of(peer_device)
    return bool(cupy().cuda.runtime.deviceCanAccessPeer(first, second))


def is_tf32_supported() -> bool:
    """False: products are computed in the dtype of their operands."""
    return False


def get_gencode_flags() -> str:
    """What a compiler was told of the GPUs: nothing, since kernels are compiled where they run."""
    return ""


def cudart() -> Any:
    """CUDA's runtime functions, as CuPy gives them. Raises DeviceMissing without a GPU."""
    return cupy().cuda.runtime


def current_blas_handle() -> int:
    """The address of the handle by which CuPy calls cuBLAS on the current GPU. Raises DeviceMissing without one."""
    return int(cupy().cuda.device.get_cublas_handle())


def current_solver_handle() -> int:
    """The same of cuSOLVER."""
    return int(cupy().cuda.device.get_cusolver_handle())


def get_sync_debug_mode() -> int:
    """0: nobody watches for waits. Raises DeviceMissing without a GPU."""
    cupy()
    return 0


def set_sync_debug_mode(debug_mode: int | str) -> None:
    """Accepted, and without effect. Raises DeviceMissing without a GPU."""
    cupy()
