"""Facade: a sharded optimizer's steps in backward, at the path that PyTorch users type."""

from distrt.parallel.sharding.overlap import hook_with_zero_step, hook_with_zero_step_interleaved

__all__ = ["hook_with_zero_step", "hook_with_zero_step_interleaved"]
