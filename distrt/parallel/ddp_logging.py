"""What ``DistributedDataParallel._get_ddp_logging_data()`` tells, under PyTorch's names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from distrt.parallel.sync_batch_norm import SyncBatchNorm

if TYPE_CHECKING:
    from distrt.parallel.ddp import DistributedDataParallel

__all__ = ["logging_data"]

_DTYPES = {"float32": "float", "float64": "double", "float16": "c10::Half", "bfloat16": "c10::BFloat16"}


#: Environment variables whose values are told, "N/A" where there are none.
_VARIABLES = (
    "CUDA_VISIBLE_DEVICES",
    "GLOO_DEVICE_TRANSPORT",
    "GLOO_SOCKET_IFNAME",
    "MASTER_ADDR",
    "MASTER_PORT",
    "TORCH_DISTRIBUTED_DEBUG",
)
_FIRST = 10  # passes up to this one are looked at each, later ones now and then


def logging_data(
    model: DistributedDataParallel, hook_name: str | None, sample_rate: int = 100
) -> dict[str, Any]:
    """What was given to the constructor, and how the buckets are laid out; times are not measured.

    Args:
        model: the wrapper.
        hook_name: of its communication hook.
        sample_rate: every how many passes PyTorch looks at a run.
    """
    reducer, group = model.reducer, model.process_group
    sizes = ", ".join(str(bucket.buffer.nbytes) for bucket in reducer.buckets)
    trained = [each for bucket in reducer.buckets for each in bucket.parameters]
    names = dict.fromkeys(str(each.dtype).removeprefix("torch.") for each in trained)
    told: dict[str, Any] = {
        "backend_name": group.name(),
        "bucket_sizes": sizes,
        "device_ids": "",
        "dtypes": ", ".join(_DTYPES.get(name, name) for name in names),
        "module_name": type(model.module).__name__,
        "broadcast_buffers": int(model.forward_sync_buffers),
        "bucket_cap_bytes": model.bucket_bytes_cap,
        "find_unused_parameters": int(model.find_unused_parameters),
        "gradient_as_bucket_view": int(model.gradient_as_bucket_view),
        "has_sync_bn": int(any(isinstance(each, SyncBatchNorm) for each in model.module.modules())),
        "is_multi_device_module": 0,
        "iteration": _last_sampled(reducer.iteration, sample_rate),
        "num_parameter_tensors": len(trained),
        "output_device": -1,
        "rank": group.rank(),
        "total_parameter_size_bytes": sum(each.numel() * each.element_size() for each in trained),
        "world_size": group.size(),
    }
    told |= {name.lower(): os.environ.get(name, "N/A") for name in _VARIABLES}
    if hook_name is not None:
        told["comm_hook"] = hook_name
    if model._has_joined:
        told["join_uneven_inputs"] = 1
    if model.static_graph:
        told["static_graph"] = 1
    if reducer.iteration > 0:
        told |= {"num_buckets_reduced": len(reducer.buckets), "unused_parameter_size": reducer.unused_bytes()}
        told["has_rebuilt_buckets"] = 0
    if reducer.is_rebuilt and reducer.iteration > 1:  # PyTorch looks before it lays them out anew
        numbers = [" ".join(map(str, each)) for each in reducer.numbers_by_bucket()]
        told |= {"has_rebuilt_buckets": 1, "rebuilt_bucket_sizes": sizes}
        told["rebuilt_per_bucket_param_indices"] = ", ".join(numbers)
    return told


def _last_sampled(iteration: int, sample_rate: int) -> int:
    """The last of the passes so far that PyTorch looks at."""
    if iteration <= _FIRST:
        return max(0, iteration)
    return max(_FIRST, iteration // sample_rate * sample_rate)
