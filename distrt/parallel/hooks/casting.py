"""Hooks that send gradients in half precision, and wrappers that have another hook do so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from distrt.comm.futures import Future
from distrt.comm.process_group import ProcessGroup
from distrt.comm.world import default_group
from distrt.core.dtypes import dtype as dt
from distrt.core.tensor import Tensor
from distrt.parallel.bucket import GradBucket
from distrt.parallel.hooks.all_reducing import reduced

__all__ = ["bf16_compress_hook", "bf16_compress_wrapper", "fp16_compress_hook", "fp16_compress_wrapper"]

Hook: TypeAlias = Callable[[Any, GradBucket], Future[Tensor]]


def fp16_compress_hook(process_group: ProcessGroup | None, bucket: GradBucket) -> Future[Tensor]:
    """Averages the bucket in ``float16``: half the traffic of ``float32``."""
    return _average_as(dt.float16, process_group, bucket)


def bf16_compress_hook(process_group: ProcessGroup | None, bucket: GradBucket) -> Future[Tensor]:
    """Averages the bucket in ``bfloat16``: half the traffic of ``float32``, with its range."""
    return _average_as(dt.bfloat16, process_group, bucket)


def fp16_compress_wrapper(hook: Hook) -> Hook:
    """A hook that has ``hook`` work on the bucket in ``float16``."""

    def fp16_compress_wrapper_hook(hook_state: Any, bucket: GradBucket) -> Future[Tensor]:
        return _call_as(dt.float16, hook, hook_state, bucket)

    return fp16_compress_wrapper_hook


def bf16_compress_wrapper(hook: Hook) -> Hook:
    """A hook that has ``hook`` work on the bucket in ``bfloat16``."""

    def bf16_compress_wrapper_hook(hook_state: Any, bucket: GradBucket) -> Future[Tensor]:
        return _call_as(dt.bfloat16, hook, hook_state, bucket)

    return bf16_compress_wrapper_hook


def _average_as(dtype: dt.dtype, group: ProcessGroup | None, bucket: GradBucket) -> Future[Tensor]:
    chosen = group if group is not None else default_group()
    buffer = bucket.buffer()
    compressed = buffer.to(dtype).div_(chosen.size())
    return reduced(chosen, compressed).then(lambda future: buffer.copy_(future.value()[0]))


def _call_as(dtype: dt.dtype, hook: Hook, state: Any, bucket: GradBucket) -> Future[Tensor]:
    bucket.set_buffer(bucket.buffer().to(dtype))

    def decompress(future: Future[Tensor]) -> Tensor:
        return bucket.buffer().copy_(future.value())

    return hook(state, bucket).then(decompress)
