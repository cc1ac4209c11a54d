"""The hooks by name: ``register_ddp_comm_hook(DDPCommHookType.FP16_COMPRESS, model)``."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any

from distrt.parallel.ddp import DistributedDataParallel
from distrt.parallel.hooks.all_reducing import allreduce_hook
from distrt.parallel.hooks.batched_power_sgd import batched_powerSGD_hook
from distrt.parallel.hooks.casting import bf16_compress_hook, fp16_compress_hook
from distrt.parallel.hooks.noop import noop_hook
from distrt.parallel.hooks.power_sgd import powerSGD_hook
from distrt.parallel.hooks.power_sgd_state import PowerSGDState
from distrt.parallel.hooks.quantization import quantization_perchannel_hook, quantization_pertensor_hook

__all__ = ["DDPCommHookType", "register_ddp_comm_hook"]


class _Registration:
    """Registers one hook on a model; an enum's members may not be functions, which would be its methods."""

    def __init__(self, register: Callable[..., None], **options: Any) -> None:
        self._partial = partial(register, **options)

    def __call__(self, *args: Any, **options: Any) -> None:
        """Register on ``model`` with ``state``, the process group."""
        self._partial(*args, **options)


def _register(comm_hook: Callable[..., Any], model: DistributedDataParallel, state: Any) -> None:
    model.register_comm_hook(state, comm_hook)


def _register_power_sgd(
    comm_hook: Callable[..., Any],
    model: DistributedDataParallel,
    state: Any,
    matrix_approximation_rank: int,
    start_powerSGD_iter: int = 1_000,  # noqa: N803 - PyTorch's name
) -> None:
    settings = PowerSGDState(
        process_group=state,
        matrix_approximation_rank=matrix_approximation_rank,
        start_powerSGD_iter=start_powerSGD_iter,
    )
    model.register_comm_hook(settings, comm_hook)


class DDPCommHookType(Enum):
    """The hooks; ``member.value(model=model, state=process_group)`` registers one."""

    ALLREDUCE = _Registration(_register, comm_hook=allreduce_hook)
    FP16_COMPRESS = _Registration(_register, comm_hook=fp16_compress_hook)
    BF16_COMPRESS = _Registration(_register, comm_hook=bf16_compress_hook)
    QUANTIZE_PER_TENSOR = _Registration(_register, comm_hook=quantization_pertensor_hook)
    QUANTIZE_PER_CHANNEL = _Registration(_register, comm_hook=quantization_perchannel_hook)
    POWER_SGD = _Registration(_register_power_sgd, comm_hook=powerSGD_hook, matrix_approximation_rank=1)
    POWER_SGD_RANK2 = _Registration(_register_power_sgd, comm_hook=powerSGD_hook, matrix_approximation_rank=2)
    BATCHED_POWER_SGD = _Registration(
        _register_power_sgd, comm_hook=batched_powerSGD_hook, matrix_approximation_rank=1
    )
    BATCHED_POWER_SGD_RANK2 = _Registration(
        _register_power_sgd, comm_hook=batched_powerSGD_hook, matrix_approximation_rank=2
    )
    NOOP = _Registration(_register, comm_hook=noop_hook)


def register_ddp_comm_hook(
    comm_hook_type: DDPCommHookType, model: DistributedDataParallel, state: Any = None
) -> None:
    """Registers one of the hooks on a wrapped model.

    Args:
        comm_hook_type: which.
        model: the wrapped model.
        state: the process group; all of the world where None.
    """
    comm_hook_type.value(model=model, state=state)
