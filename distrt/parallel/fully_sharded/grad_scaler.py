"""``ShardedGradScaler``: what FSDP's users scale losses with. Any ``GradScaler`` agrees with the other ranks here.

Source: https://docs.pytorch.org/docs/stable/fsdp.html
"""

from __future__ import annotations

from typing import Any

from distrt.amp import GradScaler

__all__ = ["ShardedGradScaler"]


class ShardedGradScaler(GradScaler):
    """A ``GradScaler`` with FSDP's arguments.

    Args:
        device, init_scale, backoff_factor, growth_factor, growth_interval, enabled: as of ``GradScaler``.
        process_group: accepted; the ranks that have parts of the gradients agree.
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        backoff_factor: float = 0.5,
        growth_factor: float = 2.0,
        growth_interval: int = 2000,
        enabled: bool = True,
        process_group: Any = None,
    ) -> None:
        super().__init__(
            device,
            init_scale=init_scale,
            backoff_factor=backoff_factor,
            growth_factor=growth_factor,
            growth_interval=growth_interval,
            enabled=enabled,
        )
        self.process_group = process_group


ShardedGradScaler.__module__ = "distrt.distributed.fsdp.sharded_grad_scaler"
