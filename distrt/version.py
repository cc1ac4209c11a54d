"""Versions: distrt's own, and that of the CUDA toolkit it uses (None without one)."""

from distrt import __version__

cuda: str | None = None

__all__ = ["__version__", "cuda"]
