"""``PowerSGDState``: the settings of PowerSGD, and what it remembers from step to step."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.comm.process_group import ProcessGroup
from distrt.comm.world import default_group
from distrt.core.creation import randn
from distrt.core.random.generator import Generator
from distrt.core.tensor import Tensor
from distrt.parallel.bucket import GradBucket

__all__ = ["PowerSGDState", "log"]

log = logging.getLogger("distrt.distributed.algorithms.ddp_comm_hooks.powerSGD_hook")

_SEEDS = 1_000_000_000


class PowerSGDState:
    """What ``powerSGD_hook`` and ``batched_powerSGD_hook`` are told and remember.

    Args:
        process_group: the ranks; all of the world where None.
        matrix_approximation_rank: columns of the factors that a gradient is sent as.
        start_powerSGD_iter: the step from which on gradients are compressed; before, they are averaged as they are.
        min_compression_rate: a gradient that compression would not make this much smaller is sent as it is.
        use_error_feedback: add what compression has lost to the next step's gradient.
        warm_start: begin with the last step's factor instead of random numbers.
        orthogonalization_epsilon: is added to norms that are divided by; needed where columns may be zero.
        random_seed: of the first factors, which all ranks must draw alike.
        compression_stats_logging_frequency: steps between two reports in the log.
        batch_tensors_with_same_shape: multiply gradients of one shape together.

    Raises:
        ValueError: ``start_powerSGD_iter`` is below 2 where something is remembered for each bucket: the buckets are
            laid out anew after the first step.
    """

    __slots__ = [
        "batch_tensors_with_same_shape",
        "compression_stats_logging_frequency",
        "error_dict",
        "iter",
        "matrix_approximation_rank",
        "min_compression_rate",
        "next_stats_report",
        "orthogonalization_epsilon",
        "p_memory_dict",
        "process_group",
        "q_memory_dict",
        "rng",
        "start_powerSGD_iter",
        "total_numel_after_compression",
        "total_numel_before_compression",
        "use_error_feedback",
        "warm_start",
    ]

    def __init__(
        self,
        process_group: ProcessGroup | None,
        matrix_approximation_rank: int = 1,
        start_powerSGD_iter: int = 1_000,  # noqa: N803 - PyTorch's name
        min_compression_rate: float = 2,
        use_error_feedback: bool = True,
        warm_start: bool = True,
        orthogonalization_epsilon: float = 0,
        random_seed: int = 0,
        compression_stats_logging_frequency: int = 10_000,
        batch_tensors_with_same_shape: bool = False,
    ) -> None:
        log.info(
            "PowerSGD config: matrix_approximation_rank = %s; start_powerSGD_iter = %s; "
            "min_compression_rate = %s; orthogonalization_epsilon = %s; use_error_feedback = %s; warm_start = %s; "
            "random_seed = %s; compression_stats_logging_frequency = %s; batch_tensors_with_same_shape = %s",
            *(
                matrix_approximation_rank,
                start_powerSGD_iter,
                min_compression_rate,
                orthogonalization_epsilon,
            ),
            *(use_error_feedback, warm_start, random_seed, compression_stats_logging_frequency),
            batch_tensors_with_same_shape,
        )
        if (use_error_feedback or warm_start) and start_powerSGD_iter <= 1:
            raise ValueError(
                "Expect `start_powerSGD_iter` > 1 if `use_error_feedback` or `warm_start` is enabled, "
                "because PowerSGD can only be applied after the first two iterations in DDP."
            )
        self.process_group = process_group
        self.matrix_approximation_rank = matrix_approximation_rank
        self.start_powerSGD_iter = start_powerSGD_iter
        self.min_compression_rate = min_compression_rate
        self.use_error_feedback, self.warm_start = use_error_feedback, warm_start
        self.orthogonalization_epsilon = orthogonalization_epsilon
        self.batch_tensors_with_same_shape = batch_tensors_with_same_shape
        self.rng = np.random.RandomState(random_seed)
        self.error_dict: dict[int, Tensor] = {}  # by bucket, as the two below
        self.p_memory_dict: dict[int, Tensor] = {}
        self.q_memory_dict: dict[int, Tensor] = {}
        self.iter = 0
        self.total_numel_before_compression = 0
        self.total_numel_after_compression = 0
        self.compression_stats_logging_frequency = max(1, compression_stats_logging_frequency)
        self.next_stats_report = 0

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the process group."""
        log.warning("NOTE: Process group is not serializable and excluded from a saved state.")
        return {name: getattr(self, name) for name in self.__slots__ if name != "process_group"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take up what was saved, with the default process group."""
        self.process_group = default_group()
        log.warning(
            "NOTE: Process group will be set to a default group (i.e. the world size)."
            "                If a different group is desired, please set `self.process_group` after PowerSGD state is "
            "loaded."
        )
        for name, value in state.items():
            setattr(self, name, value)

    def maybe_increase_iter(self, bucket: GradBucket) -> None:
        """Count a step, when its last bucket comes."""
        if bucket.is_last():
            self.iter += 1
        if self.iter == self.start_powerSGD_iter:
            log.info("Start to apply PowerSGD after %s iterations.", self.iter)

    def compression_stats(self) -> tuple[float, int, int]:
        """How much smaller compression made the gradients so far; elements before and after it."""
        before, after = self.total_numel_before_compression, self.total_numel_after_compression
        return (before / after if after > 0 else 0, before, after)

    def report(self, bucket: GradBucket) -> None:
        """Write the statistics to the log, if it is time."""
        if bucket.is_last() and self.iter >= self.next_stats_report:
            rate, before, after = self.compression_stats()
            log.info(
                "Compression stats: iter %s, total before compression %s, total after compression %s, rate %s",
                *(self.iter, before, after, rate),
            )
            self.next_stats_report = self.iter + self.compression_stats_logging_frequency

    def with_error(self, index: int, buffer: Tensor) -> Tensor | None:
        """Adds what bucket ``index`` has lost before to its gradients; a copy of the sum, to find the next loss."""
        if not self.use_error_feedback:
            return None
        if index in self.error_dict:
            buffer.add_(self.error_dict[index])
        else:
            log.info("A zero tensor of length %s that represents local error is created.", buffer.numel())
        return buffer.detach().clone()

    def end(self, bucket: GradBucket, wanted: Tensor | None, got: Tensor) -> None:
        """Remember what this bucket has lost, and count the step if it was the last one."""
        if wanted is not None:
            self.error_dict[bucket.index()] = wanted - got
        if not self.warm_start:
            self.p_memory_dict.clear()
            self.q_memory_dict.clear()
        self.maybe_increase_iter(bucket)

    def draw(self, tensors: Sequence[Tensor]) -> None:
        """Fill first factors with random numbers: the same on all ranks, others in each step, and nobody else's."""
        generator = Generator().manual_seed(int(self.rng.randint(_SEEDS)))
        for tensor in tensors:
            tensor.copy_(randn(*tensor.shape, generator=generator, dtype=tensor.dtype))
