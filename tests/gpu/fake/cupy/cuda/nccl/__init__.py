"""A fake of ``cupy.cuda.nccl``: ranks are processes, which exchange through one of them (``hub``).

It has NCCL's names, numbers and rules: what all ranks must call alike is compared, and an error where NCCL hangs or
gives wrong numbers; calls are queued on a stream and done later, by a thread; between ``groupStart`` and ``groupEnd``
they go together; a rank that dies is not noticed, as on hardware; after ``abort`` nothing can be asked any more.
"""

from __future__ import annotations

from typing import Any

from ..._surface import SURFACE
from .communicator import NcclCommunicator, groupEnd, groupStart
from .errors import NcclError, check_status
from .hub import get_unique_id

__all__ = [
    "NcclCommunicator",
    "NcclConfig",
    "NcclError",
    "check_status",
    "get_unique_id",
    "groupEnd",
    "groupStart",
]

available = True


class NcclConfig:
    """Options of a communicator."""

    def __init__(self, split_share: int = 0) -> None:
        self.split_share = split_share


def get_version() -> int:
    """2.32.3."""
    return 23203


def get_build_version() -> int:
    """That of CuPy's build."""
    return 22707


def __getattr__(name: str) -> Any:
    if name in SURFACE["nccl_constants"]:
        return SURFACE["nccl_constants"][name]
    raise AttributeError(f"module 'cupy_backends.cuda.libs.nccl' has no attribute {name!r}")


_extra = {name for name in vars(NcclCommunicator) if not name.startswith("_")} - set(
    SURFACE["nccl_communicator"]
)
assert not _extra, f"CuPy's communicators have no {_extra}"
