"""Facade: communication hooks, at the path that PyTorch users type. The room is ``distrt.parallel.hooks``."""

from distrt.distributed.algorithms.ddp_comm_hooks import debugging_hooks as debugging_hooks
from distrt.distributed.algorithms.ddp_comm_hooks import default_hooks as default_hooks
from distrt.distributed.algorithms.ddp_comm_hooks import optimizer_overlap_hooks as optimizer_overlap_hooks
from distrt.distributed.algorithms.ddp_comm_hooks import powerSGD_hook as powerSGD_hook
from distrt.distributed.algorithms.ddp_comm_hooks import quantization_hooks as quantization_hooks
from distrt.parallel.hooks.kinds import DDPCommHookType, register_ddp_comm_hook

debugging, default = debugging_hooks, default_hooks
optimizer_overlap = optimizer_overlap_hooks
powerSGD, quantization = powerSGD_hook, quantization_hooks  # noqa: N816 - PyTorch's name

__all__ = ["DDPCommHookType", "register_ddp_comm_hook"]
