"""NVIDIA's libraries: CuPy brings them where there is a GPU. Scripts set their switches before they know."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from distrt.core.gpu import library
from distrt.core.gpu.switches import matmul
from distrt.core.gpu.switches import scaled_dot_products as _sdp

__all__ = [
    "allow_fp16_bf16_reduction_math_sdp",
    "cudnn_sdp_enabled",
    "enable_cudnn_sdp",
    "enable_flash_sdp",
    "enable_math_sdp",
    "enable_mem_efficient_sdp",
    "flash_sdp_enabled",
    "fp16_bf16_reduction_math_sdp_allowed",
    "is_built",
    "is_ck_sdpa_available",
    "is_flash_attention_available",
    "math_sdp_enabled",
    "matmul",
    "mem_efficient_sdp_enabled",
    "preferred_linalg_library",
    "sdp_kernel",
]

cufft_plan_cache = SimpleNamespace(max_size=0, size=0, clear=lambda: None)


def is_built() -> bool:
    """True where there is a GPU: distrt reaches it through CuPy, and none is built in."""
    return library.device_count() > 0


def is_flash_attention_available() -> bool:
    """False: the kernels without scores in memory are distrt's own."""
    return False


def is_ck_sdpa_available() -> bool:
    """False: it is for AMD's GPUs."""
    return False


def preferred_linalg_library(backend: Any = None) -> str:
    """Which library would be used on a GPU; the choice is ignored."""
    return "default"


def flash_sdp_enabled() -> bool:
    """What was set."""
    return _sdp["flash"]


def enable_flash_sdp(enabled: bool) -> None:
    """Whether attention on GPUs may be done without scores in memory, in half precision."""
    _sdp["flash"] = bool(enabled)


def mem_efficient_sdp_enabled() -> bool:
    """What was set."""
    return _sdp["mem_efficient"]


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """Remembers the wish, which changes nothing here."""
    _sdp["mem_efficient"] = bool(enabled)


def math_sdp_enabled() -> bool:
    """What was set."""
    return _sdp["math"]


def enable_math_sdp(enabled: bool) -> None:
    """Remembers the wish, which changes nothing here."""
    _sdp["math"] = bool(enabled)


def cudnn_sdp_enabled() -> bool:
    """What was set."""
    return _sdp["cudnn"]


def enable_cudnn_sdp(enabled: bool) -> None:
    """Remembers the wish, which changes nothing here."""
    _sdp["cudnn"] = bool(enabled)


def allow_fp16_bf16_reduction_math_sdp(enabled: bool) -> None:
    """Half precision is always summed in float32 here."""


def fp16_bf16_reduction_math_sdp_allowed() -> bool:
    """False: half precision is always summed in float32 here."""
    return False


@contextmanager
def sdp_kernel(
    enable_flash: bool = True,
    enable_math: bool = True,
    enable_mem_efficient: bool = True,
    enable_cudnn: bool = True,
) -> Iterator[None]:
    """The wishes for a block."""
    before = dict(_sdp)
    _sdp.update(flash=enable_flash, math=enable_math, mem_efficient=enable_mem_efficient, cudnn=enable_cudnn)
    try:
        yield
    finally:
        _sdp.update(before)
