"""Facade: ``distrt.amp`` for the CPU, in PyTorch's older spelling."""

from distrt.cpu.amp.autocast_mode import autocast
from distrt.cpu.amp.grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast"]
