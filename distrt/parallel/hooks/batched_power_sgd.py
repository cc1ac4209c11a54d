"""PowerSGD on a whole bucket at once, as one square matrix: faster, and less exact.

Source: Vogels, Karimireddy & Jaggi 2019, "PowerSGD: Practical Low-Rank Gradient Compression".
"""

from __future__ import annotations

import math

from distrt.comm.futures import Future
from distrt.comm.world import default_group
from distrt.core import ops
from distrt.core.creation import empty, zeros
from distrt.core.tensor import Tensor
from distrt.parallel.bucket import GradBucket
from distrt.parallel.hooks.all_reducing import average, reduced, when_awaited
from distrt.parallel.hooks.orthogonal import orthogonalize
from distrt.parallel.hooks.power_sgd_state import PowerSGDState, log

__all__ = ["batched_powerSGD_hook"]


def batched_powerSGD_hook(state: PowerSGDState, bucket: GradBucket) -> Future[Tensor]:  # noqa: N802 - PyTorch's name
    """Sends the bucket, padded to a square with zeros, as two thin factors."""
    group = state.process_group if state.process_group is not None else default_group()
    buffer, index = bucket.buffer(), bucket.index()
    if state.iter < state.start_powerSGD_iter:
        state.maybe_increase_iter(bucket)
        return average(group, buffer)
    length = buffer.numel()
    side = math.ceil(math.sqrt(length))
    state.total_numel_before_compression += length
    state.total_numel_after_compression += side * state.matrix_approximation_rank * 2
    padded = zeros(side * side, dtype=buffer.dtype, device=buffer.device)
    padded[:length].copy_(buffer)
    state.report(bucket)
    wanted = state.with_error(index, padded)
    matrix = padded.view(side, side)
    if not state.warm_start or index not in state.p_memory_dict:
        _allocate(state, index, side, padded)
    p, q = state.p_memory_dict[index], state.q_memory_dict[index]
    orthogonalize(q.unsqueeze(0), state.orthogonalization_epsilon)
    ops.matmul(matrix, q, out=p)

    p_sum = reduced(group, p)

    def exchange() -> Tensor:
        p_sum.wait()
        orthogonalize(p.unsqueeze(0), state.orthogonalization_epsilon)
        ops.matmul(matrix.t(), p, out=q)
        reduced(group, q).wait()[0].div_(group.size())
        ops.matmul(p, q.t(), out=matrix)
        state.end(bucket, wanted, padded)
        return buffer.copy_(padded[:length])

    return when_awaited(exchange)


def _allocate(state: PowerSGDState, index: int, side: int, like: Tensor) -> None:
    rank = state.matrix_approximation_rank
    if state.warm_start:
        log.info("Initializing low-rank tensors P and Q, each of which has a shape of %s x %s.", side, rank)
    state.p_memory_dict[index] = empty(side, rank, dtype=like.dtype, device=like.device)
    state.q_memory_dict[index] = empty(side, rank, dtype=like.dtype, device=like.device)
    state.draw([state.q_memory_dict[index]])
