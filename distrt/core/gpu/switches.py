"""What users have set for NVIDIA's libraries: ``distrt.backends.cudnn`` and ``distrt.backends.cuda`` hand it in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from distrt.core.process.determinism import wish
from distrt.core.process.settings import get_float32_matmul_precision

__all__ = ["allows_tf32_in_products", "is_deterministic", "matmul", "scaled_dot_products", "switches"]

#: ``backends.cuda.matmul``.
matmul = SimpleNamespace(
    allow_bf16_reduced_precision_reduction=True,
    allow_fp16_accumulation=False,
    allow_fp16_reduced_precision_reduction=True,
    allow_tf32=False,
    fp32_precision="none",
)

#: ``backends.cuda.flash_sdp_enabled()`` and the others: which kernels attention may use.
scaled_dot_products = {"flash": True, "mem_efficient": True, "math": True, "cudnn": True}


class _Switches:
    """``cudnn`` is ``backends.cudnn``, once that has been imported: users set its attributes."""

    cudnn: Any = SimpleNamespace(enabled=True, benchmark=False, deterministic=False, allow_tf32=True)


switches = _Switches()


def allows_tf32_in_products() -> bool:
    """Whether products of float32 matrices may round their factors to 10 bits, for tensor cores."""
    return bool(matmul.allow_tf32) or get_float32_matmul_precision() != "highest"


def is_deterministic() -> bool:
    """Whether an algorithm must give the same bits every time."""
    return bool(switches.cudnn.deterministic) or wish.is_on
