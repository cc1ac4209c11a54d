"""What users set in the environment for PyTorch's NCCL backend. NCCL itself reads its own variables (NCCL_*)."""

from __future__ import annotations

import os
from typing import NamedTuple

from distrt.core.errors import SettingError
from distrt.core.process.users_code import warn

__all__ = ["ABORT_ONLY", "IGNORE", "Settings", "read"]

IGNORE, ABORT_ONLY = 0, 2  # of TORCH_NCCL_ASYNC_ERROR_HANDLING; 1 and 3 end the process, too

_OBEYED = frozenset(
    {"TORCH_NCCL_BLOCKING_WAIT", "TORCH_NCCL_ASYNC_ERROR_HANDLING", "TORCH_NCCL_HIGH_PRIORITY"}
)
#: Names that PyTorch had before it put TORCH_ in front.
_FORMER = {"NCCL_BLOCKING_WAIT", "NCCL_ASYNC_ERROR_HANDLING"}


class Settings(NamedTuple):
    """What was set.

    Attributes:
        blocking_wait: ``Work.wait()`` makes the program wait, and not only the current stream.
        error_handling: what becomes of a rank whose operation failed while nobody waited for it.
        high_priority: NCCL's kernels go before others.
    """

    blocking_wait: bool
    error_handling: int
    high_priority: bool


def read() -> Settings:
    """What the environment says. Warns of PyTorch's variables that have no effect here.

    Raises:
        SettingError: a value is none.
    """
    ignored = sorted(name for name in os.environ if name.startswith("TORCH_NCCL_") and name not in _OBEYED)
    if ignored:
        warn(f"without effect in distrt: {', '.join(ignored)}")
    handling = _value("TORCH_NCCL_ASYNC_ERROR_HANDLING", "3", ("0", "1", "2", "3"))
    return Settings(
        blocking_wait=_value("TORCH_NCCL_BLOCKING_WAIT", "0", ("0", "1")) == "1",
        error_handling=int(handling),
        high_priority=_value("TORCH_NCCL_HIGH_PRIORITY", "0", ("0", "1")) == "1",
    )


def _value(name: str, default: str, allowed: tuple[str, ...]) -> str:
    former = name.removeprefix("TORCH_")
    given = os.environ.get(name) or (os.environ.get(former) if former in _FORMER else None) or default
    if given not in allowed:
        raise SettingError(f"{name}={given!r}: expected one of {', '.join(allowed)}")
    return given
