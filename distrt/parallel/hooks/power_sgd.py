"""PowerSGD: a gradient matrix M travels as two thin factors P and Q, with M about P Qᵀ.

One step of power iteration finds them: P = M Q with the last step's Q, averaged over the ranks and orthonormalised;
then Q = Mᵀ P, averaged. What this loses is added to the next step's gradient.
Source: Vogels, Karimireddy & Jaggi 2019, "PowerSGD: Practical Low-Rank Gradient Compression".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from distrt.comm.futures import Future
from distrt.comm.process_group import ProcessGroup
from distrt.comm.world import default_group
from distrt.core import ops
from distrt.core.creation import empty
from distrt.core.tensor import Tensor
from distrt.parallel.bucket import GradBucket
from distrt.parallel.hooks.all_reducing import average, reduced, when_awaited
from distrt.parallel.hooks.orthogonal import orthogonalize
from distrt.parallel.hooks.power_sgd_state import PowerSGDState, log

__all__ = ["powerSGD_hook"]


def powerSGD_hook(state: PowerSGDState, bucket: GradBucket) -> Future[Tensor]:  # noqa: N802 - PyTorch's name
    """Sends each gradient that is worth it as two thin factors; averages the others, such as biases, as they are."""
    group = state.process_group if state.process_group is not None else default_group()
    buffer = bucket.buffer()
    if state.iter < state.start_powerSGD_iter:
        state.maybe_increase_iter(bucket)
        return average(group, buffer)
    wanted = state.with_error(bucket.index(), buffer)
    matrices, others = _sorted(state, bucket.gradients())
    state.report(bucket)
    factors = _Factors(state, bucket.index(), matrices, group)
    factors.multiply()
    flat_others = (
        ops.cat([each.reshape(-1) for each in others])
        if others
        else empty(0, dtype=buffer.dtype, device=buffer.device)
    )

    others_sum = reduced(group, flat_others)

    def exchange() -> Tensor:
        _unpack(others_sum.wait()[0].div_(group.size()), others)
        factors.sum_p()
        factors.average_q()
        factors.decompress()
        state.end(bucket, wanted, buffer)
        return buffer

    return when_awaited(exchange)


def _sorted(state: PowerSGDState, gradients: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The gradients that are worth compressing, as matrices, and the others."""
    matrices, others = [], []
    for gradient in gradients:
        matrix = gradient.view(gradient.shape[0], -1)
        rows, columns = matrix.shape
        before = rows * columns
        after = (rows + columns) * _rank(state, rows, columns)
        is_worth_it = after * state.min_compression_rate < before
        state.total_numel_before_compression += before
        state.total_numel_after_compression += after if is_worth_it else before
        if is_worth_it:
            matrices.append(matrix)
        else:
            others.append(gradient)
    return matrices, others


def _rank(state: PowerSGDState, rows: int, columns: int) -> int:
    return min(rows, columns, state.matrix_approximation_rank)


def _unpack(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    start = 0
    for tensor in tensors:
        tensor.copy_(flat[start : start + tensor.numel()].view_as(tensor))
        start += tensor.numel()


class _Factors:
    """The factors of a bucket's matrices; all Ps lie in one flat tensor, all Qs in another, which the ranks sum.

    Matrices are worked on in batches (matrices, rows, columns): of all with one shape where the state asks for it, else
    of one each.
    """

    def __init__(
        self, state: PowerSGDState, index: int, matrices: Sequence[Tensor], group: ProcessGroup
    ) -> None:
        self._state, self._index, self._group = state, index, group
        by_shape: dict[tuple[int, ...], list[Tensor]] = {}
        for matrix in matrices:
            by_shape.setdefault(tuple(matrix.shape), []).append(matrix)
        self._members = list(self._grouped(by_shape.values()))
        self._batches = [
            members[0].unsqueeze(0) if len(members) == 1 else ops.stack(members) for members in self._members
        ]
        is_new = not state.warm_start or index not in state.p_memory_dict
        if is_new:
            self._allocate()
        self._ps = self._cut(state.p_memory_dict[index], 1)
        self._qs = self._cut(state.q_memory_dict[index], 2)
        if is_new:
            state.draw(self._qs)
        for q in self._qs:
            orthogonalize(q, state.orthogonalization_epsilon)

    def _grouped(self, same_shapes: Iterable[list[Tensor]]) -> Iterator[list[Tensor]]:
        for same in same_shapes:
            if self._state.batch_tensors_with_same_shape:
                yield same
            else:
                yield from ([matrix] for matrix in same)

    def _shapes(self, side: int) -> list[tuple[int, int, int]]:
        """Those of the Ps (``side`` 1: a row of P for each row of M) or of the Qs (2: for each column)."""
        return [
            (batch.shape[0], batch.shape[side], _rank(self._state, *batch.shape[1:]))
            for batch in self._batches
        ]

    def _allocate(self) -> None:
        lengths = [sum(count * n * rank for count, n, rank in self._shapes(side)) for side in (1, 2)]
        if self._state.warm_start:
            log.info(
                "Allocating contiguous memory of length %s for Ps, and of length %s for Qs, respectively.",
                *lengths,
            )
        first = self._batches[0] if self._batches else None
        kind: Any = {} if first is None else {"dtype": first.dtype, "device": first.device}
        for memory, length in zip(
            (self._state.p_memory_dict, self._state.q_memory_dict), lengths, strict=True
        ):
            memory[self._index] = empty(length, **kind)

    def _cut(self, flat: Tensor, side: int) -> list[Tensor]:
        pieces, start = [], 0
        for shape in self._shapes(side):
            length = shape[0] * shape[1] * shape[2]
            pieces.append(flat[start : start + length].view(*shape))
            start += length
        return pieces

    def multiply(self) -> None:
        """P = M Q, this rank's."""
        for batch, p, q in zip(self._batches, self._ps, self._qs, strict=True):
            ops.bmm(batch, q, out=p)

    def sum_p(self) -> None:
        """Sum the Ps over the ranks: they will be normalised, so that nothing is divided."""
        reduced(self._group, self._state.p_memory_dict[self._index]).wait()

    def average_q(self) -> None:
        """Q = Mᵀ P, averaged over the ranks."""
        for p in self._ps:
            orthogonalize(p, self._state.orthogonalization_epsilon)
        for batch, p, q in zip(self._batches, self._ps, self._qs, strict=True):
            ops.bmm(batch.transpose(1, 2), p, out=q)
        reduced(self._group, self._state.q_memory_dict[self._index]).wait()[0].div_(self._group.size())

    def decompress(self) -> None:
        """M = P Qᵀ, in the place of each matrix."""
        for members, p, q in zip(self._members, self._ps, self._qs, strict=True):
            for matrix, found in zip(members, ops.bmm(p, q.transpose(1, 2)), strict=True):
                matrix.copy_(found)
