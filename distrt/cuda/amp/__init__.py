"""Facade: ``distrt.amp`` for a GPU, in PyTorch's older spelling."""

from distrt.cuda.amp.autocast_mode import autocast, custom_bwd, custom_fwd
from distrt.cuda.amp.common import amp_definitely_not_available
from distrt.cuda.amp.grad_scaler import GradScaler

__all__ = ["GradScaler", "amp_definitely_not_available", "autocast", "custom_bwd", "custom_fwd"]
