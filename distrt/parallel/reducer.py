"""``Reducer``: averages a model's gradients over the ranks, bucket by bucket, while backward still runs.

The policy under ``DistributedDataParallel``: which gradient goes into which bucket, when a bucket is launched, what
becomes of parameters without a gradient, and when one waits. ``Bucket`` is the mechanism.
"""

from __future__ import annotations

import functools
import sys
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from distrt.comm.process_group import ProcessGroup, ReduceOp, Work
from distrt.core.autograd.engine import queue_callback
from distrt.core.errors import AutogradError, DtypeError
from distrt.core.tensor import Tensor, wrap
from distrt.parallel.bucket import Bucket, CommHook, assign_to_buckets
from distrt.parallel.company import Sharers, abandon_all, end_all, running
from distrt.parallel.leases import Lease, reclaim
from distrt.parallel.overflow import OverflowWatch
from distrt.parallel.sparse_gradients import SparseGradients

__all__ = ["Reducer"]


class Reducer:
    """The gradients of some parameters, from the hook that says one is there to the average in its place.

    Buckets are first filled in the order of registration, and once, after the first pass, laid out anew in the order in
    which rank 0's gradients arrived.

    Args:
        named: the trained parameters with their names, in order of registration.
        group: the ranks.
        cap_bytes: see `assign_to_buckets`.
        allows_unused: a parameter without a gradient counts as zero instead of being an error.
        is_rebuilt: lay the buckets out anew after the first pass.
        bucket_class: what averages.

    Attributes:
        lease: on the buckets and on the parameters' hooks; whoever owns the reducer has it end with himself.
        is_armed: the next backward pass is averaged.
        is_filled: everything of the present pass has been launched.
        awaited: futures that the end of the next averaged pass waits for.
        after_pass: called at the end of each averaged pass.
        sparse: the parameters whose gradients are sparse, and in no bucket.
        watch: looks at this rank's own gradients before they are averaged, where somebody asks.
    """

    def __init__(
        self,
        named: Sequence[tuple[str, Tensor]],
        group: ProcessGroup,
        cap_bytes: Sequence[int],
        allows_unused: bool,
        is_rebuilt: bool,
        bucket_class: type[Bucket] = Bucket,
    ) -> None:
        self.group = group
        self.bucket_class = bucket_class
        self.allows_unused = allows_unused
        self.hook: CommHook | None = None
        self.watch: OverflowWatch | None = None
        self.awaited: list[Any] = []
        self.after_pass: list[Callable[[], object]] = []
        self.buckets: list[Bucket] = []
        self._names = [name for name, _ in named]
        self._parameters = [parameter for _, parameter in named]
        self._cap_bytes = cap_bytes
        # Of the first pass; None: laid out for good.
        self._arrivals: list[int] | None = [] if is_rebuilt else None
        self.is_armed = False
        self._is_running = self.is_filled = False
        self._is_used: Any = None
        self._next_bucket = 0
        self._present: Work | None = None  # how many ranks have input, while others may have run out of it
        self._counts: Tensor | None = None
        self.is_rebuilt = False
        self.iteration = -1  # the present pass, of those that are averaged
        self.sparse: SparseGradients | None = None
        self.lease, self.sharers = Lease(), Sharers()
        self.sharers.find(self, self._parameters)
        reclaim(group)
        self._lay_out(self._first_layout())
        self._attach()

    def _attach(self) -> None:
        """Hook on to the parameters, until the lease ends; it must not refer to this reducer."""
        for number, parameter in enumerate(self._parameters):
            handle = parameter.register_post_accumulate_grad_hook(
                functools.partial(self._when_accumulated, number)
            )
            self.lease.when_over(
                functools.partial(_detach, weakref.ref(parameter._edge[0]), handle.id)  # type: ignore[index]
            )

    def _first_layout(self) -> list[list[Tensor]]:
        """Before it is known in which order gradients come.

        Where the buckets will be laid out anew, one for each dtype: a rank that does not reach a parameter would start
        an all-reduce amid other collectives of the pass. Else several: backward reaches the parameters roughly in
        reverse order of registration, so the last bucket fills first.
        """
        caps = self._cap_bytes if self._arrivals is None else [sys.maxsize]
        return assign_to_buckets(self._parameters, caps)[::-1]

    def _lay_out(self, assigned: Sequence[Sequence[Tensor]]) -> None:
        numbers = {id(parameter): number for number, parameter in enumerate(self._parameters)}

        def is_shared(parameter: Tensor) -> bool:
            return self.sharers.has_younger(numbers[id(parameter)])

        self.buckets = [self.bucket_class(each, self.group, self.lease, is_shared) for each in assigned]
        self._order = [numbers[id(parameter)] for bucket in self.buckets for parameter in bucket.parameters]
        self._places: dict[int, tuple[int, int]] = {  # parameter -> bucket, position in it
            numbers[id(parameter)]: (index, position)
            for index, bucket in enumerate(self.buckets)
            for position, parameter in enumerate(bucket.parameters)
        }

    def numbers_by_bucket(self) -> list[list[int]]:
        """Which parameters each bucket has, by their numbers in the order of registration."""
        order = iter(self._order)
        return [[next(order) for _ in bucket.parameters] for bucket in self.buckets]

    def unused_bytes(self) -> int:
        """The size of the parameters that no averaged pass so far has given a gradient, where there may be such."""
        if not self.allows_unused or self._is_used is None:
            return 0
        pairs = zip(self._parameters, self._is_used, strict=True)
        return sum(parameter._array.nbytes for parameter, is_used in pairs if not is_used)

    def close(self) -> None:
        """Let go of the parameters."""
        self.lease.end()

    # -- before a pass

    def prepare(self, present: Work | None = None, counts: Tensor | None = None) -> None:
        """Average in the next backward pass.

        Args:
            present, counts: where ranks may run out of input: ``counts`` is how many still have some, once ``present``
                is done, and gradients are divided by that instead of by the size of the group.
        """
        if self._is_running:
            self.abandon_pass()
        self._require_dtypes()
        self._follow_layouts()
        self.iteration += 1
        self.is_armed = True
        self._present, self._counts = present, counts

    def disarm(self) -> None:
        """Leave the gradients of the next backward pass alone."""
        if self._is_running:
            self.abandon_pass()
        self._follow_layouts()
        self.is_armed = False
        if self.watch is not None:
            self.watch.forget()

    def _follow_layouts(self) -> None:
        for bucket in self.buckets:
            bucket.follow_layouts()

    def rebuild(self) -> bool:
        """Lay the buckets out anew if the first pass is over; a collective then. Whether they have changed."""
        if self._arrivals is None or len(self._arrivals) != len(self._parameters):
            return False
        order = np.array(self._arrivals, np.int64)
        self._arrivals = None
        self.group.broadcast(order, src=0)
        self.is_rebuilt = True
        assigned = assign_to_buckets([self._parameters[number] for number in order], self._cap_bytes)
        if [[id(each) for each in row] for row in assigned] == [
            [id(each) for each in bucket.parameters] for bucket in self.buckets
        ]:
            return False
        self._exchange(assigned)
        return True

    def use(self, bucket_class: type[Bucket]) -> None:
        """Have buckets of another kind, laid out as those there are; a collective."""
        if bucket_class is self.bucket_class:
            return
        self.bucket_class = bucket_class
        self._exchange([bucket.parameters for bucket in self.buckets])

    def _exchange(self, assigned: Sequence[Sequence[Tensor]]) -> None:
        for bucket in self.buckets:
            bucket.free()
        self._lay_out(assigned)

    def averages(self, other: Reducer) -> bool:
        """Whether the next pass averages all that ``other`` would: another wrapper is inside this one."""
        return self.is_armed and self.group is other.group and set(other._parameters) <= set(self._parameters)

    def require_finished(self) -> None:
        """Refuses to go on where a backward pass was to average and has not.

        Raises:
            RuntimeError: it broke off, or never came.
        """
        if self._is_running:
            raise AutogradError(
                "Expected to have finished reduction in the prior iteration before starting a new one: a backward pass "
                "was broken off"
            )

    def forget_arrivals(self) -> None:
        """As after a first pass in which the gradients came in the present order."""
        if self._arrivals is not None:
            self._arrivals = list(self._order)

    def _require_dtypes(self) -> None:
        for bucket in self.buckets:
            wrapped = bucket.buffer.dtype
            for parameter in bucket.parameters:
                dtype = parameter._array.dtype
                if dtype is not wrapped and dtype != wrapped:
                    raise DtypeError(
                        f"the model was {wrapped} when it was wrapped and is {dtype} now: convert it first "
                        "(.double(), .half(), .to(dtype)), then wrap it in DistributedDataParallel"
                    )

    # -- one backward pass

    def _when_accumulated(self, number: int, _: Tensor) -> None:
        if self.is_armed:
            if not self._is_running:
                self._begin()
            self._mark_ready(number)

    def add_sparse(self, parameters: Sequence[Tensor]) -> None:
        """Average sparse gradients, too."""
        itself = weakref.ref(self)

        def begin() -> None:
            reducer = itself()
            if reducer is not None and reducer.is_armed and not reducer._is_running:
                reducer._begin()

        self.sparse = SparseGradients(parameters, self.group, begin)
        self.lease.when_over(self.sparse.close)

    def _begin(self) -> None:
        self._is_running, self.is_filled = True, False
        self._next_bucket = 0
        if self._arrivals is not None:
            self._arrivals = []
        for bucket in self.buckets:
            bucket.reset()
        self._lend(self.sharers.lent())
        if self.watch is not None:
            self.watch.begin()
        running.reducers.add(self)
        queue_callback(self._finish)

    def _lend(self, numbers: set[int]) -> None:
        lent: list[set[int]] = [set() for _ in self.buckets]
        for number in numbers:
            index, position = self._places[number]
            lent[index].add(position)
        for bucket, positions in zip(self.buckets, lent, strict=True):
            if positions or bucket.lent:
                bucket.lend(frozenset(positions))

    def _mark_ready(self, number: int) -> None:
        index, position = self._places[number]
        if index < self._next_bucket:
            raise AutogradError(
                f"rank {self.group.rank()}: the gradient of {self._names[number]} was completed a second time, after "
                "it had been averaged: Expected to mark a variable ready only once. A parameter of a checkpointed part "
                "was used several times: pass use_reentrant=False to checkpoint, or use it once"
            )
        bucket = self.buckets[index]
        if self._arrivals is not None and not bucket.is_ready[position]:
            self._arrivals.append(number)
        if bucket.mark_ready(position):
            self._launch_ready()
        else:
            self.group.progress()  # what was launched before

    def _launch_ready(self) -> None:
        """Launch every bucket that is complete, strictly in order: all ranks launch the same sequence."""
        while self._next_bucket < len(self.buckets) and self.buckets[self._next_bucket].missing == 0:
            self._launch(self._next_bucket)
            self._next_bucket += 1
        self.group.progress()

    def _launch(self, index: int) -> None:
        if self.watch is not None:
            self.watch.look(self.buckets[index])
        op = ReduceOp.AVG if self._counts is None else ReduceOp.SUM
        self.buckets[index].launch(op, self.hook, index, index == len(self.buckets) - 1)

    def _finish(self) -> None:
        """At the end of the pass: launch the rest, and wait when all wrappers in this pass have done so."""
        try:
            self._fill()
        except BaseException:
            abandon_all()
            raise
        if len(running.reducers) > 1:
            queue_callback(end_all)
        else:
            self.end()

    def _fill(self) -> None:
        """Deal with parameters that got no gradient, and launch what they belong to."""
        if self.is_filled:
            return
        for older in self.sharers.older():  # they still need what is about to be overwritten
            if older._is_running:
                older._fill()
        self.is_filled = True
        # What was accumulated without averaging counts as used, too.
        self._is_used = np.array([each.grad is not None for each in self._parameters], np.uint8)
        unused = self._fill_missing()
        if unused and not self.allows_unused:
            names = ", ".join(self._names[number] for number in unused)
            raise AutogradError(
                f"rank {self.group.rank()}: these parameters got no gradient in this backward pass: {names}. Every "
                "parameter must take part in the loss; if some do not on purpose, pass find_unused_parameters=True. "
                "(PyTorch says so in the next forward pass: Expected to have finished reduction in the prior iteration "
                "before starting a new one. This error indicates that your module has parameters that were not used in "
                "producing loss.)"
            )
        self._launch_ready()

    def end(self) -> None:
        """Wait for what was launched."""
        self._wait()
        self._is_running = False
        self.is_armed = False  # until the next forward pass: a backward pass around the wrapper stays local
        running.reducers.discard(self)
        if self.allows_unused:
            self._hand_out(self._is_used)
        if self._arrivals is not None:
            came = set(self._arrivals)
            self._arrivals += [number for number in self._order if number not in came]
        awaited, self.awaited = self.awaited, []
        for future in awaited:
            future.wait()
        for callback in self.after_pass:
            callback()

    def _fill_missing(self) -> list[int]:
        """Complete the buckets; the parameters that this pass did not reach."""
        unused = []
        numbers = {place: number for number, place in self._places.items()}
        for index in range(self._next_bucket, len(self.buckets)):
            bucket = self.buckets[index]
            for position in bucket.fill_missing():
                unused.append(numbers[index, position])
                bucket.is_ready[position] = True
            bucket.missing = 0
        return unused

    def _wait(self) -> None:
        divisor = None
        if self._counts is not None:
            assert self._present is not None
            self._present.wait()
            divisor = float(self._counts.item())
        try:
            for bucket in self.buckets:
                bucket.wait(divisor)
            self.bucket_class.settle(self.buckets, divisor)
            if self.sparse is not None:
                self.sparse.average(divisor)
        except BaseException:
            self.abandon_pass()
            raise

    def _hand_out(self, is_used: Any) -> None:
        """A parameter that some rank used has the average on all; one that nobody used keeps what it had."""
        self.group.all_reduce(is_used, ReduceOp.MAX)
        for number, parameter in enumerate(self._parameters):
            if is_used[number] and parameter.grad is None:
                index, position = self._places[number]
                if position not in self.buckets[index].lent:
                    parameter.grad = wrap(self.buckets[index].result(position))

    def abandon_pass(self) -> None:
        """End a backward pass that an exception broke off: what was launched may still write into the slots."""
        self._is_running = self.is_filled = self.is_armed = False
        running.reducers.discard(self)
        for bucket in self.buckets:
            # The pass has an error already; a group that has failed will tell so again.
            with suppress(Exception):
                bucket.wait()

    # -- a pass of the others

    def shadow(self, op: ReduceOp) -> None:
        """Take part in the pass of ranks that reduce with ``op``, with zeros; this one's gradients stay as they are."""
        for index, bucket in enumerate(self.buckets):
            bucket.reset()
            bucket.clear()
            bucket.launch(op, self.hook, index, index == len(self.buckets) - 1)
        for bucket in self.buckets:
            bucket.wait()
        self.bucket_class.settle(self.buckets, None if op is ReduceOp.AVG else 0.0)
        if self.sparse is not None:
            self.sparse.shadow()
        if self.allows_unused:
            self.group.all_reduce(np.zeros(len(self._parameters), np.uint8), ReduceOp.MAX)


def _detach(node: weakref.ref[Any], number: int) -> None:
    """Take a hook from a parameter that may be gone."""
    if (accumulation := node()) is not None:
        accumulation.post_hooks.pop(number, None)
