"""Operations between machines that compute nothing: every array crosses the network once to each machine."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from distrt.comm.machines.links import Links
from distrt.comm.machines.network import Exchange
from distrt.comm.progress import Steps
from distrt.comm.reduction import Array
from distrt.comm.transport import require_fitting_lengths
from distrt.core.errors import DistributedError, ShapeError

__all__ = ["Traveller"]

_SMALL_BYTES = 64 << 10  # up to here one rank of a machine receives a broadcast for all
_NOTHING = np.empty(0, np.uint8)


class Traveller:
    """The steps of broadcast, gathering, scattering, all-to-all and barrier of one group."""

    def __init__(self, links: Links) -> None:
        self._links = links

    def barrier(self) -> Steps:
        """The machine's ranks meet, then the machines, then the machine's ranks again."""
        links = self._links
        yield from links.local(links.node.barrier(links.fingerprint).steps)
        if links.place == 0:
            distance = 1
            while distance < links.machines:  # who hears of whom doubles with every round
                ahead = links.peer((links.machine + distance) % links.machines)
                behind = links.peer((links.machine - distance) % links.machines)
                yield links.post([(ahead, _NOTHING)], [(behind, _NOTHING)])
                distance *= 2
        yield from links.local(links.node.barrier(links.fingerprint).steps)

    def broadcast(self, flat: Array, src: int) -> Steps:
        """From machine to machine along a binomial tree, a slice in each lane."""
        links = self._links
        root = links.placement.of[src]
        if links.machine == root:
            yield from links.local(
                links.node.broadcast(flat, links.placement.place(src), links.fingerprint).steps
            )
        lanes = links.lanes if flat.nbytes > _SMALL_BYTES else 1
        bounds = links.bounds(flat.size, lanes, flat.itemsize)
        if links.place < lanes:
            mine = flat[bounds[links.place] : bounds[links.place + 1]]
            yield from self._pass_on(mine, root)
        if links.machine != root:
            yield from links.local(links.node.spread(flat, bounds, False, links.fingerprint))

    def _pass_on(self, mine: Array, root: int) -> Steps:
        links = self._links
        number = (links.machine - root) % links.machines
        reach = 1
        while reach < links.machines and not number & reach:
            reach *= 2
        if number:
            yield links.post([], [(links.peer((links.machine - reach) % links.machines), mine)])
        targets = []
        while reach > 1:
            reach //= 2
            if number + reach < links.machines:
                targets.append(links.peer((links.machine + reach) % links.machines))
        if targets:
            yield links.post([(target, mine) for target in targets], [])

    def all_gather(self, outputs: Sequence[Array], flat: Array) -> Steps:
        """Each rank sends to one rank of every other machine; those of a machine then share what they have."""
        links = self._links
        members = links.placement.members
        sends = [(members[other][links.place % len(members[other])], flat) for other in links.others()]
        away = [  # by the mate who receives them: the ranks of other machines
            [
                rank
                for other in links.others()
                for rank in members[other]
                if links.placement.place(rank) % len(links.mates) == place
            ]
            for place in range(len(links.mates))
        ]
        if len(links.mates) == 1:  # nobody to share with: what comes goes where it belongs
            arrivals = links.post(sends, [(rank, outputs[rank]) for rank in away[0]])
            yield from links.local(
                links.node.all_gather([outputs[links.rank]], flat, links.fingerprint).steps
            )
            yield arrivals
            return
        packed = [np.empty(sum(outputs[rank].size for rank in ranks), flat.dtype) for ranks in away]
        arriving = _cut(packed[links.place], [outputs[rank].size for rank in away[links.place]])
        arrivals = links.post(sends, list(zip(away[links.place], arriving, strict=True)))
        near = [outputs[mate] for mate in links.mates]
        yield from links.local(links.node.all_gather(near, flat, links.fingerprint).steps)
        yield arrivals
        theirs = [np.empty_like(each) for each in packed]
        yield from links.local(links.node.all_gather(theirs, packed[links.place], links.fingerprint).steps)
        for ranks, block in zip(away, theirs, strict=True):
            for rank, part in zip(ranks, _cut(block, [outputs[rank].size for rank in ranks]), strict=True):
                outputs[rank][...] = part

    def gather(self, outputs: Sequence[Array] | None, flat: Array, dst: int) -> Steps:
        """Straight to one rank."""
        links = self._links
        if links.placement.of[dst] != links.machine:
            yield links.post([(dst, flat)], [])
            return
        far = self._far() if outputs is not None else []
        arrivals = links.post([], [(rank, outputs[rank]) for rank in far] if outputs is not None else [])
        near = None if outputs is None else [outputs[mate] for mate in links.mates]
        yield from links.local(
            links.node.gather(near, flat, links.placement.place(dst), links.fingerprint).steps
        )
        if far:
            yield arrivals

    def scatter(self, flat: Array, inputs: Sequence[Array] | None, src: int) -> Steps:
        """Straight from one rank."""
        links = self._links
        if links.placement.of[src] != links.machine:
            yield links.post([], [(src, flat)])
            return
        arrivals: Exchange | None = None
        near = None
        if inputs is not None:
            arrivals = links.post([(rank, inputs[rank]) for rank in self._far()], [])
            near = [inputs[mate] for mate in links.mates]
        yield from links.local(
            links.node.scatter(flat, near, links.placement.place(src), links.fingerprint).steps
        )
        if arrivals is not None:
            yield arrivals

    def all_to_all(self, outputs: Sequence[Array], inputs: Sequence[Array]) -> Steps:
        """The lengths first; then each array straight to its rank, those of one machine in shared memory."""
        links = self._links
        mine = np.array([each.nbytes for each in (*inputs, *outputs)], np.int64)
        table = np.empty((links.size, 2 * links.size), np.int64)
        yield from self.all_gather(list(table), mine)
        fault = require_fitting_lengths(table[:, : links.size], table[:, links.size :])
        if fault is not None:
            return ShapeError(fault)
        far = self._far()
        arrivals = links.post(
            [(rank, inputs[rank]) for rank in far if inputs[rank].size],
            [(rank, outputs[rank]) for rank in far if outputs[rank].size],
        )
        near_outputs, near_inputs = ([each[mate] for mate in links.mates] for each in (outputs, inputs))
        yield from links.local(links.node.all_to_all(near_outputs, near_inputs, links.fingerprint).steps)
        yield arrivals
        return None

    def agree(self, is_well: bool) -> Steps:
        """Whether all are."""
        links = self._links
        answers = np.zeros((links.size, 1), np.uint8)
        yield from self.all_gather(list(answers), np.array([is_well], np.uint8))
        return bool(answers.all())

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Steps:
        """A buffer on every machine, or on none."""
        links = self._links
        try:
            found = yield from links.local(links.node.allocate(shape, dtype, links.fingerprint).steps)
        except MemoryError as error:  # a machine with one rank has no segment, and nothing that asks first
            found = DistributedError(str(error))
        if (yield from self.agree(not isinstance(found, Exception))):
            return found
        if isinstance(found, Exception):
            return found
        yield from links.local(links.node.free(found, links.fingerprint).steps)
        return DistributedError(
            f"a buffer of {shape} {dtype}: another machine has not enough shared memory for it"
        )

    def allocate_one(self, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Steps:
        """One piece of memory on every machine, or on none."""
        links = self._links
        found = yield from links.local(links.node.allocate_one(shape, dtype, links.fingerprint).steps)
        if (yield from self.agree(not isinstance(found, Exception))) or isinstance(found, Exception):
            return found
        return DistributedError(f"{shape} {dtype}: another machine has not enough memory for it")

    def free(self, array: Array) -> Steps:
        """Give a buffer back on every machine."""
        links = self._links
        yield from links.local(links.node.free(array, links.fingerprint).steps)

    def _far(self) -> list[int]:
        """The ranks of other machines."""
        links = self._links
        return [rank for rank in range(links.size) if links.placement.of[rank] != links.machine]


def _cut(block: Array, lengths: Sequence[int]) -> list[Array]:
    bounds = np.cumsum([0, *lengths]).tolist()
    return [block[low:high] for low, high in itertools.pairwise(bounds)]
