"""Versions: distrt's own, and those of the GPU toolkits that it was built for (none)."""

from distrt import __version__

cuda: str | None = None
debug: bool = False
git_version: str = "unknown"
hip: str | None = None
rocm: str | None = None
xpu: str | None = None

__all__ = ["__version__", "cuda", "debug", "git_version", "hip", "rocm", "xpu"]
