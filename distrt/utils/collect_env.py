"""What a report of a fault should say of the machine: ``python -m distrt.utils.collect_env``, as PyTorch has it."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from distrt import __config__, __version__, cuda

__all__ = ["SystemEnv", "get_env_info", "get_pretty_env_info", "main"]

_UNKNOWN = "Could not collect"
_CONCERNED = (
    "numpy",
    "ml_dtypes",
    "llvmlite",
    "onednn-cpu-gomp",
    "mpi4py",
    "mpich",
    "cupy",
    "pillow",
    "onnx",
    "onnxruntime",
    "torch",
    "torchvision",
)
_PATIENCE_S = 10


class SystemEnv(NamedTuple):
    """What is found; texts. Fields have the names of PyTorch's, where there is such a thing here."""

    torch_version: str
    is_debug_build: str
    cuda_compiled_version: str
    os: str
    gcc_version: str
    libc_version: str
    python_version: str
    python_platform: str
    is_cuda_available: str
    nvidia_gpu_models: str
    cpu_info: str
    pip_packages: str
    config: str


def get_env_info() -> SystemEnv:
    """Asks the machine."""
    bits = "64" if sys.maxsize > 2**32 else "32"
    return SystemEnv(
        torch_version=__version__,
        is_debug_build="False",
        cuda_compiled_version="None",
        os=_system(),
        gcc_version=_said("gcc", "--version"),
        libc_version="-".join(filter(None, platform.libc_ver())) or "N/A",
        python_version=f"{sys.version.splitlines()[0]} ({bits}-bit runtime)",
        python_platform=platform.platform(),
        is_cuda_available=str(cuda.is_available()),
        nvidia_gpu_models=_said("nvidia-smi", "-L", whole=True),
        cpu_info=_said("lscpu", whole=True),
        pip_packages="\n".join(_packages()) or _UNKNOWN,
        config=__config__.show().rstrip(),
    )


def get_pretty_env_info() -> str:
    """What is found, as text."""
    found = get_env_info()
    return (
        f"distrt version: {found.torch_version}\n"
        f"Is debug build: {found.is_debug_build}\n"
        f"\nOS: {found.os}\n"
        f"GCC version: {found.gcc_version}\n"
        f"Libc version: {found.libc_version}\n"
        f"\nPython version: {found.python_version}\n"
        f"Python platform: {found.python_platform}\n"
        f"Is CUDA available: {found.is_cuda_available}\n"
        f"GPU models and configuration: {found.nvidia_gpu_models}\n"
        f"\nCPU:\n{found.cpu_info}\n"
        f"\n{found.config}\n"
        f"\nVersions of relevant libraries:\n{found.pip_packages}"
    )


def main() -> None:
    """Prints it."""
    print("Collecting environment information...")
    print(get_pretty_env_info())


def _system() -> str:
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return platform.platform()
    named = dict(line.split("=", 1) for line in lines if "=" in line)
    return f"{named.get('PRETTY_NAME', platform.system()).strip(chr(34))} ({platform.machine()})"


def _said(*command: str, whole: bool = False) -> str:
    """What a program prints, or its first line."""
    if shutil.which(command[0]) is None:
        return _UNKNOWN
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return _UNKNOWN
    text = done.stdout.strip()
    if done.returncode or not text:
        return _UNKNOWN
    return text if whole else text.splitlines()[0]


def _packages() -> list[str]:
    found = []
    for name in _CONCERNED:
        try:
            found.append(f"[pip3] {name}=={importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
