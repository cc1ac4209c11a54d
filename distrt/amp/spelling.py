"""What the facades ``distrt.cuda.amp`` and ``distrt.cpu.amp`` say: their names are PyTorch's older spelling."""

from __future__ import annotations

from distrt.core.process.users_code import warn

__all__ = ["warn_of_older_spelling"]


def warn_of_older_spelling(called: str, instead: str) -> None:
    """Warn whoever called the facade's function or class that calls this.

    Args:
        called: what was called, below ``torch``: "cuda.amp.autocast(args...)".
        instead: what to call, below ``torch.amp``: "autocast('cuda', args...)".
    """
    warn(f"`torch.{called}` is deprecated. Please use `torch.amp.{instead}` instead.", FutureWarning)
