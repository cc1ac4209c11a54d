"""Mixed precision: ``autocast`` chooses each operation's dtype, ``GradScaler`` keeps float16 gradients in range."""

from distrt.amp.agreement import Agreement, agree_on, forget_agreement
from distrt.amp.autocast_mode import autocast, custom_bwd, custom_fwd, is_autocast_available
from distrt.amp.grad_scaler import GradScaler
from distrt.amp.overflow import Overflow

__all__ = [
    "Agreement",
    "GradScaler",
    "Overflow",
    "agree_on",
    "autocast",
    "custom_bwd",
    "custom_fwd",
    "forget_agreement",
    "is_autocast_available",
]
