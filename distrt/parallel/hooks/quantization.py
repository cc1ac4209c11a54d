"""Hooks that send gradients as 8-bit integers, with a scale and a zero point for each bucket or for each chunk of it.

Integers of different scales cannot be summed on the way, so every rank gathers everyone's, and averages what they mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from distrt.comm.functions.blocks import all_gather
from distrt.comm.futures import Future
from distrt.comm.process_group import ProcessGroup
from distrt.comm.world import default_group
from distrt.core import ops
from distrt.core.creation import zeros, zeros_like
from distrt.core.dtypes import dtype as dt
from distrt.core.dtypes.limits import finfo
from distrt.core.tensor import Tensor
from distrt.parallel.bucket import GradBucket
from distrt.parallel.hooks.all_reducing import when_awaited

__all__ = ["quantization_perchannel_hook", "quantization_pertensor_hook"]

_LEVELS = 255
_SMALLEST_SCALE = finfo(dt.float32).eps


def quantization_pertensor_hook(process_group: ProcessGroup | None, bucket: GradBucket) -> Future[Tensor]:
    """Averages the bucket in 8 bits, all of it with one scale."""
    return _average(process_group, bucket.buffer().view(1, -1), bucket.buffer())


def quantization_perchannel_hook(
    process_group: ProcessGroup | None, bucket: GradBucket, bucket_size: int = 512
) -> Future[Tensor]:
    """Averages the bucket in 8 bits, each ``bucket_size`` elements with a scale of their own."""
    buffer = bucket.buffer()
    padded = zeros(-(-buffer.numel() // bucket_size) * bucket_size, dtype=buffer.dtype)
    padded[: buffer.numel()].copy_(buffer)
    return _average(process_group, padded.view(-1, bucket_size), buffer)


def _average(group: ProcessGroup | None, rows: Tensor, buffer: Tensor) -> Future[Tensor]:
    chosen = group if group is not None else default_group()
    mine = _Levels.of(rows)
    quantized = mine.quantize(rows)
    levels = _gathered(chosen, mine.both)

    integers = _gathered(chosen, quantized)

    def dequantize() -> Tensor:
        total = zeros_like(rows, dtype=dt.float32)
        for theirs, values in zip(levels.wait(), integers.wait(), strict=True):
            total += _Levels(theirs).dequantize(values)
        return total.flatten()[: buffer.numel()] / chosen.size()

    return when_awaited(dequantize)


def _gathered(group: ProcessGroup, tensor: Tensor) -> Future[list[Tensor]]:
    everyones = [zeros_like(tensor) for _ in range(group.size())]
    work = all_gather(everyones, tensor, group=group, async_op=True)
    assert work is not None  # only ranks outside the group have none

    def hand_over(future: Future[Any]) -> list[Tensor]:
        future.value()
        return everyones

    gathered: Future[list[Tensor]] = work.get_future().then(hand_over)
    return gathered


@dataclass
class _Levels:
    """How integers of 0..255 stand for numbers: ``scale * (integer - zero_point)``, for each row.

    Shape: both (2, rows): the scales, then the zero points.
    """

    both: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> _Levels:
        """Such that the integers reach over all of a row's numbers, and zero is one of them."""
        lowest = ops.clamp(rows.float().amin(dim=1), max=0)
        highest = ops.clamp(rows.float().amax(dim=1), min=0)
        scale = ops.clamp((highest - lowest) / _LEVELS, min=_SMALLEST_SCALE)
        zero_point = ops.clamp(-(lowest / scale).round(), 0, _LEVELS)
        return cls(ops.stack([scale, zero_point]))

    def quantize(self, rows: Tensor) -> Tensor:
        scale, zero_point = self._columns()
        found: Tensor = ops.clamp((rows / scale).round() + zero_point, 0, _LEVELS).to(dt.uint8)
        return found

    def dequantize(self, integers: Tensor) -> Tensor:
        scale, zero_point = self._columns()
        found: Tensor = scale * (integers.to(dt.float32) - zero_point)
        return found

    def _columns(self) -> tuple[Tensor, Tensor]:
        return self.both[0].unsqueeze(1), self.both[1].unsqueeze(1)
