"""Connectionist temporal classification on GPUs: a block for each sequence walks over time, in both directions at once.

Sums are float64, in a row of places for each step, without those that no label needs: so labels that lie one behind the
other need no length known on the CPU. What is wrong with lengths and labels is raised where the program waits next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.core.arrays import Array, address_of, row_major
from distrt.core.gpu.faults import cell, kind_of
from distrt.core.kernels.cuda.launching import C_TYPES, I_TYPES, kernel

__all__ = ["losses", "slopes"]

_MOST_THREADS = 512
_MOST_EACH = 8  # places of a thread whose probabilities it keeps
_ROOMS = (128, 512, 2048)  # places whose sums are exchanged in shared memory

_PROBLEM = np.dtype(
    [
        (name, np.int64)
        for name in (
            "steps batch classes stride_of_steps stride_of_batch stride_of_classes longest labels blank few_steps "
            "many_steps few_labels long_row other_sum no_class"
        ).split()
    ]
)


def losses(
    log_probs: Array,
    targets: Array,
    input_lengths: Array,
    target_lengths: Array,
    blank: int,
    faults: Sequence[tuple[str, type[Exception]]],
) -> tuple[Array, Array]:
    """The negative log probability of each row of labels, and the sums over the paths up to each place.

    Args:
        log_probs: float32 or float64. Shape: (T, N, C).
        targets: whole numbers. Shape: (N, S), or all labels in one row.
        input_lengths: int64. Shape: (N).
        target_lengths: the same.
        blank: the class that stands between labels.
        faults: messages and errors of what may be wrong, in the order of ``_PROBLEM``.

    Returns:
        Shape: (N), as ``log_probs``; a row of float64 that `slopes` takes.
    """
    kinds = [kind_of(*each) for each in faults]
    batch = _Batch(log_probs, targets, input_lengths, target_lengths, blank, kinds)
    found = np.empty(log_probs.shape[1], log_probs.dtype, like=log_probs)
    return found, batch.walked(False, found)


def slopes(
    g: Array,
    log_probs: Array,
    targets: Array,
    input_lengths: Array,
    target_lengths: Array,
    alpha: Array,
    blank: int,
    zero_infinity: bool,
) -> Array:
    """The gradient of ``log_probs``, of which it supposes that they came out of a log-softmax.

    Of lengths and labels that have been told to be wrong it is of no meaning.
    """
    batch = _Batch(log_probs, targets, input_lengths, target_lengths, blank, (0,) * 6)
    beta = batch.walked(True, None)
    same = np.empty((batch.targets.size, 2), np.int32, like=log_probs)
    made = np.empty(log_probs.shape, log_probs.dtype, like=log_probs)
    steps, count, _ = log_probs.shape
    batch.code("same_labels")((count,), (256,), (*batch.sequences, batch.problem, same))
    arguments = (*batch.sequences, batch.problem, alpha, beta, same, np.int32(zero_infinity), made)
    batch.code("slopes")((steps * count,), (128,), (row_major(g), log_probs, *arguments))
    return made


class _Batch:
    """What all kernels are given."""

    def __init__(
        self,
        log_probs: Array,
        targets: Array,
        input_lengths: Array,
        target_lengths: Array,
        blank: int,
        kinds: Sequence[int],
    ) -> None:
        if targets.dtype not in I_TYPES:
            targets = targets.astype(np.int64)
        self.log_probs, self.targets = log_probs, row_major(targets)
        steps, count, classes = log_probs.shape
        is_in_row = targets.ndim == 1
        longest = 0 if is_in_row else targets.shape[1]
        strides = [stride // log_probs.itemsize for stride in log_probs.strides]
        numbers = (steps, count, classes, *strides, longest, targets.size, blank, *kinds)
        self.problem = np.array([numbers], _PROBLEM)
        starts = np.cumsum(target_lengths) - target_lengths if is_in_row else None
        self.sequences = (self.targets, starts, row_major(input_lengths), row_major(target_lengths))
        most = min(targets.size if is_in_row else longest, steps)  # more labels than steps are never reached
        self._places = 2 * most + 1

    def code(self, name: str) -> Any:
        """A kernel for these dtypes and lengths."""
        each = -(-self._places // _MOST_THREADS)
        return kernel(
            "ctc",
            name,
            T=C_TYPES[self.log_probs.dtype],
            I=I_TYPES[self.targets.dtype],
            ROOM=next((room for room in _ROOMS if room >= self._places), _ROOMS[-1]),
            PER_THREAD=min(_MOST_EACH, 1 << (each - 1).bit_length()),
        )

    def walked(self, is_backwards: bool, losses: Array | None) -> Array:
        """The sums over the paths up to each place, or from each on; writes the losses."""
        steps, count, _ = self.log_probs.shape
        labels = self.targets.size
        sums = np.empty(steps * (2 * labels + count), np.float64, like=self.log_probs)
        threads = min(_MOST_THREADS, -(-self._places // 32) * 32)
        given = (self.log_probs, *self.sequences, self.problem, np.int32(is_backwards), sums, losses)
        self.code("walk")((count,), (threads,), (*given, np.uint64(address_of(cell()))))
        return sums
