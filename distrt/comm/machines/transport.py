"""Ranks on several machines: shared memory within a machine, a network between machines.

The ranks of one machine are a node, which `ShmTransport` connects. Between machines an array crosses the network once
in each direction, cut into lanes, one for each rank of a machine. The network carries bytes and nothing else: sums are
ours, so that every dtype works and the result has the same bits as on one machine (`distrt.comm.tree`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.comm.looking import Look
from distrt.comm.machines.links import Links
from distrt.comm.machines.network import Communicator, Network
from distrt.comm.machines.node import LoneNode, Node, SharedNode
from distrt.comm.machines.reduce import Reducer
from distrt.comm.machines.travel import Traveller
from distrt.comm.presence import here
from distrt.comm.progress import Operation, Steps
from distrt.comm.reduction import Array, Reduction
from distrt.comm.shm import ShmTransport, Store
from distrt.comm.solo import SoloTransport
from distrt.comm.status import Status, StatusPage
from distrt.comm.transport import Transport
from distrt.comm.tree import Placement
from distrt.core.arrays import is_on_gpu
from distrt.core.errors import PeerFailed
from distrt.core.modes import used

__all__ = ["MachinesTransport"]

_log = logging.getLogger(__name__)

_COLLECTIVES = "collectives"  # the queue of everything that all ranks do in one order
_LONG_BYTES = 128 * 1024  # from here on an operation is worth waking the helper thread


class _Way:
    """How arrays of one kind of memory go: with that of the CPU, machines share what a rank has; GPUs do not."""

    def __init__(self, links: Links) -> None:
        self.links = links
        self.reducer, self.traveller = Reducer(links), Traveller(links)


class MachinesTransport(Transport):
    """The processes of several machines. `connect` makes one."""

    def __init__(self, links: Links, apart: Links | None, store: Store, prefix: str) -> None:
        super().__init__(links.rank, links.size)
        self.kind = links.network.kind
        self._links = links
        self._way = _Way(links)
        self._apart = None if apart is None else _Way(apart)
        self._store, self._prefix = store, prefix
        self.identity = prefix
        self._mail = links.communicator.mail(links.gone_peer)
        self._owner_pid = os.getpid()
        here(links.network.rank).on_failure.add(self)

    @classmethod
    def connect(
        cls,
        network: Network,
        machines: Sequence[object],
        store: Store,
        prefix: str,
        timeout_s: float,
    ) -> MachinesTransport:
        """Meet all ranks of the job through ``store``, whose keys under ``prefix`` must be unused.

        Args:
            network: what connects the machines.
            machines: per rank, what tells its machine from others.
            store: where the ranks find one another.
            prefix: what the keys begin with.
            timeout_s: how long any part of the start may wait for another rank.
        """
        communicator = network.communicator(range(network.size), prefix, timeout_s)
        return cls._of(network, communicator, machines, store, prefix, timeout_s)

    @classmethod
    def _of(
        cls,
        network: Network,
        communicator: Communicator,
        machines: Sequence[object],
        store: Store,
        prefix: str,
        timeout_s: float,
    ) -> MachinesTransport:
        members, rank = communicator.members, communicator.rank
        placement = Placement(machines)
        mates = placement.members[placement.of[rank]]
        node: Node = LoneNode()
        if len(mates) > 1:
            of_job = [members[mate] for mate in mates]
            found = SharedNode.connect(mates.index(rank), of_job, store, f"{prefix}/node-{of_job[0]}")
            assert isinstance(found, SharedNode)
            node = found
        if rank == 0:
            _log.info(
                "%d ranks on %d machines: %s between them, %s terms of a sum from each",
                len(machines),
                len(placement.members),
                network.kind,
                [len(terms) for terms in placement.terms],
            )
        apart = None
        if network.takes_gpu_memory:
            # Every rank by itself: GPUs have no memory in common that the ranks could use.
            own = network.communicator(members, f"{prefix}/gpus", timeout_s)
            apart = Links(network, own, Placement(range(len(members))), LoneNode(), prefix)
        return cls(Links(network, communicator, placement, node, prefix), apart, store, prefix)

    @property
    def page(self) -> StatusPage:
        """This process's."""
        return here(self._links.network.rank).page

    def peek(self, rank: int) -> Status | None:
        """From its status page on this machine; from others, what it last answered."""
        links = self._links
        if links.placement.of[rank] == links.machine:
            return self.page.read() if rank == self.rank else links.node.peek(links.placement.place(rank))
        lifeline, member = links.network.lifeline, links.members[rank]
        status = lifeline.peek(member)[0]
        failure = lifeline.failures.get(member)
        if failure is None:
            return status
        return Status(0, 0, member, 0, [], failure) if status is None else status._replace(failure=failure)

    def plight(self, rank: int) -> str:
        """From the kernel, on this machine."""
        links = self._links
        if links.placement.of[rank] != links.machine:
            return "on another machine"
        return "" if rank == self.rank else links.node.plight(links.placement.place(rank))

    def is_silent(self, rank: int) -> bool:
        """Whether it is stopped, on this machine, or does not answer, on another one."""
        links = self._links
        if links.placement.of[rank] == links.machine:
            return links.node.is_silent(links.placement.place(rank))
        return links.network.lifeline.is_silent(links.members[rank])

    def stacks(self, rank: int, patience_s: float) -> str:
        """By a signal on this machine, else from the thread that answers for it."""
        links = self._links
        if links.placement.of[rank] == links.machine:
            return links.node.stacks(links.placement.place(rank), patience_s)
        return links.network.lifeline.fresh(links.members[rank], patience_s)[1]

    def gone(self, ranks: Sequence[int]) -> str | None:
        """As the lifeline says."""
        links = self._links
        for rank in ranks:
            if (text := links.network.lifeline.gone(links.members[rank], links.name)) is not None:
                return text.replace(f"rank {links.members[rank]} ", f"rank {rank} ", 1)
        return None

    def give_up(self, because: str) -> None:
        """Nobody must wait for messages that are never taken."""
        self._links.network.failed = because

    def fail(self) -> None:
        """Tell the others that this rank's program ends with an error."""
        self._links.network.failed = "this rank's program has failed"
        self._links.network.lifeline.leave(False, self.page.read().failure)

    @property
    def look(self) -> Look:
        """As the network can wait."""
        return self._links.network.look

    def subgroup(self, ranks: Sequence[int], name: str, timeout_s: float) -> Transport:
        """Some of the ranks: in shared memory alone where all are on one machine."""
        links, prefix = self._links, f"{self._prefix}/{name}"
        if len(ranks) == 1:
            return SoloTransport()
        members = [links.members[rank] for rank in ranks]
        machines = [links.placement.of[rank] for rank in ranks]
        if len(set(machines)) == 1:
            return ShmTransport.connect(list(ranks).index(self.rank), members, self._store, prefix)
        network = links.network
        communicator = network.communicator(members, prefix, timeout_s)
        return self._of(network, communicator, machines, self._store, prefix, timeout_s)

    # Collectives: one after another, in the order in which all ranks call them.

    def all_reduce(self, flat: Array, reduction: Reduction, fingerprint: int) -> Operation:
        """See `Reducer`."""
        steps = self._way_of(flat).reducer.all_reduce(flat, reduction)
        return self._in_order(steps, flat, flat.nbytes, fingerprint)

    def reduce(self, flat: Array, dst: int, reduction: Reduction, fingerprint: int) -> Operation:
        """See `Reducer`."""
        steps = self._way_of(flat).reducer.reduce(flat, dst, reduction)
        return self._in_order(steps, flat, flat.nbytes, fingerprint)

    def reduce_scatter(self, flat: Array, rows: Array, reduction: Reduction, fingerprint: int) -> Operation:
        """See `Reducer`."""
        steps = self._way_of(flat).reducer.reduce_scatter(flat, rows, reduction)
        return self._in_order(steps, flat, rows.nbytes, fingerprint)

    def broadcast(self, flat: Array, src: int, fingerprint: int) -> Operation:
        """See `Traveller`."""
        steps = self._way_of(flat).traveller.broadcast(flat, src)
        return self._in_order(steps, flat, flat.nbytes, fingerprint)

    def all_gather(self, outputs: Sequence[Array], flat: Array, fingerprint: int) -> Operation:
        """See `Traveller`."""
        steps = self._way_of(flat).traveller.all_gather(outputs, flat)
        return self._in_order(steps, flat, sum(each.nbytes for each in outputs), fingerprint)

    def gather(self, outputs: Sequence[Array] | None, flat: Array, dst: int, fingerprint: int) -> Operation:
        """See `Traveller`."""
        steps = self._way_of(flat).traveller.gather(outputs, flat, dst)
        return self._in_order(steps, flat, flat.nbytes, fingerprint)

    def scatter(self, flat: Array, inputs: Sequence[Array] | None, src: int, fingerprint: int) -> Operation:
        """See `Traveller`."""
        steps = self._way_of(flat).traveller.scatter(flat, inputs, src)
        return self._in_order(steps, flat, flat.nbytes, fingerprint)

    def all_to_all(self, outputs: Sequence[Array], inputs: Sequence[Array], fingerprint: int) -> Operation:
        """See `Traveller`."""
        steps = self._way_of(inputs[0]).traveller.all_to_all(outputs, inputs)
        nbytes = sum(each.nbytes for each in (*inputs, *outputs))
        return self._in_order(steps, inputs[0], nbytes, fingerprint)

    def barrier(self, fingerprint: int) -> Operation:
        """See `Traveller`."""
        return self._in_order(self._way.traveller.barrier(), None, 0, fingerprint)

    def _way_of(self, sample: Array | None) -> _Way:
        """That of arrays that are where ``sample`` is."""
        if sample is None or not (used.gpu and is_on_gpu(sample)):
            return self._way
        assert self._apart is not None, "lanes ask first"
        return self._apart

    def _in_order(self, steps: Steps, sample: Array | None, nbytes: int, fingerprint: int) -> Operation:
        begun = _begun(self._way_of(sample).links, steps, fingerprint)
        return Operation(self._behind_gpu(sample, begun), _COLLECTIVES, nbytes >= _LONG_BYTES)

    # Messages. They go by the network within a machine, too.

    def send(self, flat: Array, dst: int, tag: int) -> Operation:
        """A header, then the bytes."""
        steps = self._behind_gpu(flat, self._mail.send(flat, dst, tag))
        return Operation(steps, ("send", dst), flat.nbytes >= _LONG_BYTES)

    def recv(self, flat: Array, src: int | None, tag: int) -> Operation:
        """From one rank, or from any."""
        after = self._links.network.gpu_of(flat).mark() if used.gpu and is_on_gpu(flat) else None
        steps = self._mail.recv(flat, src, tag, after)  # posted at once: the order of the calls counts
        return Operation(steps, steps, flat.nbytes >= _LONG_BYTES)

    def _behind_gpu(self, sample: Array | None, steps: Steps) -> Steps:
        if sample is not None and used.gpu and is_on_gpu(sample):
            steps = self._links.network.gpu_of(sample).behind(steps)
        return steps

    # Memory.

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any], fingerprint: int) -> Operation:
        """A buffer in the machine's segment; where a machine has one rank, an ordinary array."""
        return self._in_order(self._way.traveller.allocate(shape, dtype), None, 0, fingerprint)

    def allocate_one(self, shape: tuple[int, ...], dtype: np.dtype[Any], fingerprint: int) -> Operation:
        """One piece of memory on each machine."""
        return self._in_order(self._way.traveller.allocate_one(shape, dtype), None, 0, fingerprint)

    @property
    def takes_gpu_memory(self) -> bool:
        """Where the network does, on all ranks of the job (`distrt.comm.mpi.cuda_aware`)."""
        return self._apart is not None

    @property
    def mates(self) -> Sequence[int]:
        """Those with whom this rank shares memory."""
        return self._links.mates

    def free(self, array: Array, fingerprint: int) -> Operation:
        """Give the memory of a buffer back."""
        return self._in_order(self._way.traveller.free(array), None, 0, fingerprint)

    def renew(self, array: Array) -> Array:
        """In the machine's segment, where it lies there."""
        return self._links.node.renew(array)

    def close(self) -> None:
        """Say that this rank leaves."""
        if os.getpid() == self._owner_pid:
            links = self._links
            if self._is_waiting() and links.network.failed is None:
                links.network.failed = "a message was under way when its group was closed"
            links.network.lifeline.close_group(self._prefix)
            links.node.close()
            links.communicator.close()

    def _is_waiting(self) -> bool:
        """Whether the network would wait at its end for messages that nobody wants any more."""
        ways = [way for way in (self._way, self._apart) if way is not None]
        try:
            return any(way.links.is_waiting for way in ways) or self._mail.is_waiting
        except PeerFailed:
            return True


def _begun(links: Links, steps: Steps, fingerprint: int) -> Steps:
    links.begin(fingerprint)
    return (yield from steps)
