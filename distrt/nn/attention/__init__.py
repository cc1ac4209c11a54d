"""Which kernel attention may use. On GPUs FLASH_ATTENTION stands for the one without scores in memory, in half
precision; the other wishes are remembered as PyTorch remembers them.

They are the switches of ``distrt.backends.cuda`` (``flash_sdp_enabled()`` and the others).
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from distrt.backends import cuda

__all__ = ["WARN_FOR_UNFUSED_KERNELS", "SDPBackend", "sdpa_kernel"]

#: Scripts set it; every kernel here is the fused one.
WARN_FOR_UNFUSED_KERNELS = False


class SDPBackend(enum.Enum):
    """The kernels that PyTorch has."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4

    def __int__(self) -> int:
        return int(self.value)

    def __str__(self) -> str:
        return f"SDPBackend.{self.name}"


@contextmanager
def sdpa_kernel(
    backends: list[SDPBackend] | SDPBackend, set_priority: bool = False
) -> Iterator[dict[str, Any]]:
    """Allows these kernels alone for a block, in order of preference with ``set_priority``.

    Without FLASH_ATTENTION, GPUs go through blocks of scores in memory, by products; nothing else changes.

    Raises:
        AssertionError: for anything but a backend or a list of them.
    """
    if not isinstance(backends, list | SDPBackend):
        raise AssertionError(
            "Backend must be an instance of SDPBackend or a list of SDPBackend instances, got "
            f"{type(backends).__name__}"
        )
    allowed = backends if isinstance(backends, list) else [backends]
    with cuda.sdp_kernel(
        enable_flash=SDPBackend.FLASH_ATTENTION in allowed,
        enable_math=SDPBackend.MATH in allowed,
        enable_mem_efficient=SDPBackend.EFFICIENT_ATTENTION in allowed,
        enable_cudnn=SDPBackend.CUDNN_ATTENTION in allowed,
    ):
        yield {}
