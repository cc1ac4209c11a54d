"""NCCL's errors, by their numbers."""

from __future__ import annotations

_TEXTS = {
    1: ("NCCL_ERROR_UNHANDLED_CUDA_ERROR", "unhandled cuda error (run with NCCL_DEBUG=INFO for details)"),
    2: ("NCCL_ERROR_SYSTEM_ERROR", "unhandled system error (run with NCCL_DEBUG=INFO for details)"),
    3: ("NCCL_ERROR_INTERNAL_ERROR", "internal error - please report this issue to the NCCL developers"),
    4: ("NCCL_ERROR_INVALID_ARGUMENT", "invalid argument (run with NCCL_DEBUG=WARN for details)"),
    5: ("NCCL_ERROR_INVALID_USAGE", "invalid usage (run with NCCL_DEBUG=WARN for details)"),
    6: ("NCCL_ERROR_REMOTE_ERROR", "remote process exited or there was a network error"),
}
UNHANDLED_CUDA, INVALID_ARGUMENT, INVALID_USAGE, REMOTE = 1, 4, 5, 6


class NcclError(RuntimeError):
    """What NCCL returned."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(": ".join(_TEXTS[status]))

    def __reduce__(self) -> tuple[type, tuple[int]]:
        return type(self), (self.status,)


def check_status(status: int) -> None:
    """Raises what is no success."""
    if status:
        raise NcclError(status)
