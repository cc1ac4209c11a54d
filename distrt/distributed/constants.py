"""Facade: the default time-outs, at the path that PyTorch users type."""

from distrt.comm.functions.backend import default_pg_nccl_timeout, default_pg_timeout

__all__ = ["default_pg_nccl_timeout", "default_pg_timeout"]
