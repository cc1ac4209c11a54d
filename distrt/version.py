"""Versions: distrt's own, and that of CUDA where there is a GPU, which is looked for when somebody asks."""

from typing import TYPE_CHECKING, Any

from distrt import __version__

debug: bool = False
git_version: str = "unknown"
hip: str | None = None
rocm: str | None = None
xpu: str | None = None

if TYPE_CHECKING:
    cuda: str | None = None

__all__ = ["__version__", "cuda", "debug", "git_version", "hip", "rocm", "xpu"]


def __getattr__(name: str) -> Any:
    if name == "cuda":
        return _cuda()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _cuda() -> str | None:
    """The version of CUDA that CuPy runs on ("13.0"); None without a GPU, as in PyTorch's builds for CPUs."""
    from distrt.core.gpu import library

    found = library.find()
    if found is None:
        return None
    version = int(found.cuda.runtime.runtimeGetVersion())
    return f"{version // 1000}.{version % 1000 // 10}"
