"""Facade: the scaler of FSDP's users, at the path that they type. The room is ``distrt.parallel``."""

from distrt.parallel.fully_sharded.grad_scaler import ShardedGradScaler

__all__ = ["ShardedGradScaler"]
