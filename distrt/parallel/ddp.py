"""``DistributedDataParallel``: averages gradients in buckets, while backward still runs.

The policy: which gradient goes into which bucket, when a bucket is launched, and when one waits. ``NaiveDDP`` is its
specification, ``Bucket`` its mechanism.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from distrt.comm.process_group import ProcessGroup, ReduceOp
from distrt.comm.world import default_group
from distrt.core.autograd.engine import queue_callback
from distrt.core.errors import AutogradError, DtypeError
from distrt.core.modes import modes
from distrt.core.tensor import Tensor, wrap
from distrt.nn.modules.module import Module
from distrt.parallel.agreement import broadcast_from_rank_0, require_same_parameters
from distrt.parallel.bucket import Bucket, assign_to_buckets
from distrt.parallel.buffers import BufferBroadcast

_MIB = 1024 * 1024
_DEFAULT_CAPS = (1 * _MIB, 25 * _MIB)  # a small first bucket, so that the first all-reduce starts early


class DistributedDataParallel(Module):
    """Every rank holds the same model and computes on its own part of the batch; gradients are averaged.

    At construction the ranks compare the model's parameters and take over rank 0's values. From then on each gradient
    is a view into a bucket, and a bucket is averaged over the ranks as soon as its last gradient is there, in bucket
    order. After ``backward()`` every rank has the same gradients.

    With plain BatchNorm the result differs from one process on the whole batch by definition: each rank normalises with
    its own part's statistics.

    Args:
        module: the model.
        device_ids, output_device, dim: accepted for PyTorch's sake; the model stays where it is.
        broadcast_buffers: give every rank rank 0's buffers before a forward pass that follows a synchronised one, as
            PyTorch does; so the first evaluation after training sees the same buffers on all ranks.
        init_sync: compare and broadcast at construction.
        process_group: the ranks; all of the world when not given.
        bucket_cap_mb: size of a bucket in MiB. Default: 25, and 1 for the first.
        find_unused_parameters: a parameter without gradient counts as zero instead of being an error.
        gradient_as_bucket_view, check_reduction, static_graph: accepted; gradients are always views.
    """

    def __init__(
        self,
        module: Module,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool = True,
        init_sync: bool = True,
        process_group: ProcessGroup | None = None,
        bucket_cap_mb: float | None = None,
        find_unused_parameters: bool = False,
        check_reduction: bool = False,
        gradient_as_bucket_view: bool = True,
        static_graph: bool = False,
    ) -> None:
        super().__init__()
        self.module = module
        self.process_group = process_group or default_group()
        self.broadcast_buffers = broadcast_buffers
        self.find_unused_parameters = find_unused_parameters
        self.require_backward_grad_sync = True
        self.require_forward_param_sync = True  # PyTorch's name: the next forward pass broadcasts buffers
        if bucket_cap_mb is not None and bucket_cap_mb <= 0:
            raise ValueError(f"bucket_cap_mb must be positive, got {bucket_cap_mb}")
        self._names = {id(p): name for name, p in module.named_parameters() if p.requires_grad}
        trained = [p for p in module.parameters() if p.requires_grad]
        if not trained:
            raise RuntimeError(
                "DistributedDataParallel is not needed when a module doesn't have any parameter that "
                "requires a gradient."
            )
        if init_sync:
            require_same_parameters(module, self.process_group)
            broadcast_from_rank_0(module, self.process_group)
        caps = _DEFAULT_CAPS if bucket_cap_mb is None else (int(bucket_cap_mb * _MIB),)
        # Backward produces gradients roughly in reverse order of registration, so the first bucket fills first.
        self._buckets = [Bucket(each, self.process_group) for each in assign_to_buckets(trained[::-1], caps)]
        self._buffer_broadcast: BufferBroadcast | None = None
        self._is_armed = False
        self._is_running = False
        self._next_bucket = 0
        for bucket in self._buckets:
            for position, parameter in enumerate(bucket.parameters):
                self._watch(parameter, bucket, position)

    def _watch(self, parameter: Tensor, bucket: Bucket, position: int) -> None:
        def when_accumulated(_: Tensor) -> None:
            if self._is_armed:
                self._begin()
                if bucket.mark_ready(position):
                    self._launch_ready()

        parameter.register_post_accumulate_grad_hook(when_accumulated)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the model. Its next backward pass averages gradients, unless inside ``no_sync()``."""
        self._require_dtypes()
        if modes.grad:
            self._is_armed = self.require_backward_grad_sync
            if self._is_armed:
                self.process_group.count_step()
            if self._is_running:
                self._abandon_pass()
        if self.require_forward_param_sync and self.broadcast_buffers:
            self._buffers_from_rank_0().run()
        self.require_forward_param_sync = modes.grad and self.require_backward_grad_sync
        return self.module(*args, **kwargs)

    def _abandon_pass(self) -> None:
        """Ends a backward pass that an exception broke off: what was launched may still write into the slots."""
        self._is_running = False
        for bucket in self._buckets:
            bucket.wait()

    def _require_dtypes(self) -> None:
        for bucket in self._buckets:
            dtype = bucket.parameters[0]._array.dtype
            if dtype != bucket.buffer.dtype:
                raise DtypeError(
                    f"the model was {bucket.buffer.dtype} when it was wrapped and is {dtype} now: convert it first "
                    "(.double(), .half(), .to(dtype)), then wrap it in DistributedDataParallel"
                )

    def _buffers_from_rank_0(self) -> BufferBroadcast:
        if self._buffer_broadcast is None:
            self._buffer_broadcast = BufferBroadcast(list(self.module.buffers()), self.process_group)
        return self._buffer_broadcast

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        """Inside, backward passes only add to the local gradients; the next pass outside averages the sums."""
        outer = self.require_backward_grad_sync
        self.require_backward_grad_sync = False
        try:
            yield
        finally:
            self.require_backward_grad_sync = outer

    # -- one backward pass

    def _begin(self) -> None:
        if self._is_running:
            return
        self._is_running = True
        self._next_bucket = 0
        for bucket in self._buckets:
            bucket.reset()
        queue_callback(self._finish)

    def _launch_ready(self) -> None:
        """Launches every bucket that is complete, strictly in order: all ranks launch the same sequence."""
        while self._next_bucket < len(self._buckets) and self._buckets[self._next_bucket].missing == 0:
            self._buckets[self._next_bucket].launch()
            self._next_bucket += 1
        self.process_group.progress()

    def _finish(self) -> None:
        """At the end of the pass: waits for what was launched, after dealing with parameters that got no gradient."""
        self._is_running = False
        self._is_armed = False  # until the next forward pass: a backward pass around the wrapper stays local
        unused = [(bucket, bucket.fill_missing()) for bucket in self._buckets[self._next_bucket :]]
        if not self.find_unused_parameters and any(positions for _, positions in unused):
            self._abandon_pass()
            names = [self._names[id(bucket.parameters[n])] for bucket, positions in unused for n in positions]
            raise AutogradError(
                f"rank {self.process_group.rank()}: these parameters got no gradient in this backward pass: "
                f"{', '.join(names)}. Every parameter must take part in the loss; if some do not on purpose, pass "
                "find_unused_parameters=True"
            )
        for bucket, positions in unused:
            for position in positions:
                bucket.is_ready[position] = True
            bucket.missing = 0
        self._launch_ready()
        for bucket in self._buckets:
            bucket.wait()
        if self.find_unused_parameters:
            self._hand_out_unused(unused)

    def _hand_out_unused(self, unused: list[tuple[Bucket, list[int]]]) -> None:
        """A parameter that some rank used has the average on all; one that nobody used keeps what it had."""
        missing_here = {id(bucket.parameters[n]) for bucket, positions in unused for n in positions}
        everything = [
            (p, slot)
            for bucket in self._buckets
            for p, slot in zip(bucket.parameters, bucket.slots, strict=True)
        ]
        used = np.array([id(p) not in missing_here for p, _ in everything], np.uint8)
        self.process_group.all_reduce(used, ReduceOp.MAX).wait()
        for (parameter, slot), is_used in zip(everything, used, strict=True):
            if is_used and parameter.grad is None:
                parameter.grad = wrap(slot)
