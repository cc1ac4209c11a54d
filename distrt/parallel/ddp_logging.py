"""What ``DistributedDataParallel._get_ddp_logging_data()`` tells, under PyTorch's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distrt.parallel.ddp import DistributedDataParallel

__all__ = ["logging_data"]

_DTYPES = {"float32": "float", "float64": "double", "float16": "c10::Half", "bfloat16": "c10::BFloat16"}


def logging_data(model: DistributedDataParallel, hook_name: str | None) -> dict[str, Any]:
    """What was given to the constructor, and how the buckets are laid out; times are not measured."""
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
        "is_multi_device_module": 0,
        "iteration": max(0, reducer.iteration),
        "num_parameter_tensors": len(trained),
        "output_device": -1,
        "rank": group.rank(),
        "total_parameter_size_bytes": sum(each.numel() * each.element_size() for each in trained),
        "world_size": group.size(),
    }
    if hook_name is not None:
        told["comm_hook"] = hook_name
    if model.static_graph:
        told["static_graph"] = 1
    if reducer.is_rebuilt:
        told |= {"has_rebuilt_buckets": 1, "rebuilt_bucket_sizes": sizes}
    return told
