"""Reductions between machines: each machine adds up its terms in shared memory, and the terms travel.

An array is cut into chunks; while the terms of one are under way, the machine adds up those of the next. A chunk is cut
into lanes, and each lane's rank sends one message to each other machine (or one part of it to each).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from distrt.comm.mpi.links import Links
from distrt.comm.mpi.mail import Arrivals
from distrt.comm.mpi.tree import TreeReduction
from distrt.comm.progress import Steps
from distrt.comm.reduction import Array, Reduction, cache_blocks
from distrt.comm.transport import block_bounds

__all__ = ["Reducer"]

_CHUNK_BYTES = 8 << 20
_SMALL_BYTES = 64 << 10  # up to here one lane, and every machine sends everything to every other


class _Lane(NamedTuple):
    """This rank's slice of a chunk, on its way.

    Attributes:
        part: the whole chunk of this rank's array.
        bounds: of all lanes.
        terms: per machine, its terms of this slice (or of this machine's share of it).
        arrivals: what is under way; None where this rank drives no lane.
    """

    part: Array
    bounds: list[int]
    terms: list[Array]
    arrivals: Arrivals | None


class Reducer:
    """The steps of all-reduce, reduce and reduce-scatter of one group."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._trees: dict[tuple[Reduction, np.dtype[np.generic]], TreeReduction] = {}

    def all_reduce(self, flat: Array, reduction: Reduction) -> Steps:
        """Each machine gets all terms; with many machines, each adds up its share and passes it on."""
        return self._chunks(flat, reduction, None)

    def reduce(self, flat: Array, dst: int, reduction: Reduction) -> Steps:
        """As `all_reduce`, but that only the machine of ``dst`` gets the terms, and only ``dst`` the result."""
        return self._chunks(flat, reduction, dst)

    def reduce_scatter(self, flat: Array, rows: Array, reduction: Reduction) -> Steps:
        """Each machine sends the terms of each row to the rank that the row is for."""
        links, tree = self._links, self._tree(reduction, rows.dtype)
        machine, placement = links.machine, links.placement
        mine = [  # the rows of other machines that this rank adds up and sends
            rank
            for rank in range(links.size)
            if placement.of[rank] != machine and placement.place(rank) % len(links.mates) == links.place
        ]
        targets = [*mine, links.rank]
        terms = {rank: self._empty(tree, machine, flat.size) for rank in targets}

        def add_up(sources: list[Array], low: int, high: int) -> None:
            for start, stop in cache_blocks(0, high - low, rows.itemsize):
                for rank in targets:
                    tree.partials(
                        machine,
                        [source[rank, start:stop] for source in sources],
                        terms[rank][:, low + start : low + stop],
                    )

        yield from links.local(links.node.show(rows, add_up, links.fingerprint))
        received = [self._empty(tree, other, flat.size) for other in range(links.machines)]
        received[machine] = terms[links.rank]
        senders = {
            other: placement.members[other][links.place % len(placement.members[other])]
            for other in links.others()
        }
        yield links.post(
            [(rank, terms[rank]) for rank in mine],
            [(rank, received[other]) for other, rank in senders.items()],
        )
        self._total(tree, received, flat)

    def _chunks(self, flat: Array, reduction: Reduction, dst: int | None) -> Steps:
        links, tree = self._links, self._tree(reduction, flat.dtype)
        lanes = links.lanes if flat.nbytes > _SMALL_BYTES else 1
        is_shared = dst is None and links.machines > 2 and flat.nbytes > _SMALL_BYTES
        width = max(1, _CHUNK_BYTES // flat.itemsize)
        before: _Lane | None = None
        for start in range(0, max(1, flat.size), width):
            part = flat[start : start + width]
            bounds = links.bounds(part.size, lanes, part.itemsize)
            terms = yield from self._terms(tree, part, bounds)
            lane = self._send(tree, part, bounds, terms, dst, is_shared)
            if before is not None:
                yield from self._finish(tree, before, dst, is_shared)
            before = lane
        assert before is not None
        yield from self._finish(tree, before, dst, is_shared)

    def _terms(self, tree: TreeReduction, part: Array, bounds: list[int]) -> Steps:
        """This machine's terms of this rank's lane; None where it drives none."""
        links = self._links
        is_driving = links.place + 1 < len(bounds)
        first, last = (bounds[links.place], bounds[links.place + 1]) if is_driving else (0, 0)
        terms = self._empty(tree, links.machine, last - first)

        def add_up(sources: list[Array], low: int, high: int) -> None:
            for start, stop in cache_blocks(max(low, first), min(high, last), part.itemsize):
                arrays = [source[0, start - low : stop - low] for source in sources]
                tree.partials(links.machine, arrays, terms[:, start - first : stop - first])

        yield from links.local(links.node.show(part.reshape(1, -1), add_up, links.fingerprint))
        return terms if is_driving else None

    def _send(
        self,
        tree: TreeReduction,
        part: Array,
        bounds: list[int],
        mine: Array | None,
        dst: int | None,
        is_shared: bool,
    ) -> _Lane:
        links = self._links
        if mine is None:
            return _Lane(part, bounds, [], None)
        target = None if dst is None else links.placement.of[dst]
        if target is not None and target != links.machine:
            return _Lane(part, bounds, [], links.post([(links.peer(target), mine)], []))
        shares = block_bounds(mine.shape[1], links.machines) if is_shared else None
        sends, received = [], []
        for machine in range(links.machines):
            low, high = (shares[links.machine], shares[links.machine + 1]) if shares else (0, mine.shape[1])
            if machine == links.machine:
                received.append(mine[:, low:high])
                continue
            received.append(self._empty(tree, machine, high - low))
            if shares is not None:
                share = np.ascontiguousarray(mine[:, shares[machine] : shares[machine + 1]])
                sends.append((links.peer(machine), share))
            elif target is None:
                sends.append((links.peer(machine), mine))
        receives = [(links.peer(machine), received[machine]) for machine in links.others()]
        return _Lane(part, bounds, received, links.post(sends, receives))

    def _finish(self, tree: TreeReduction, lane: _Lane, dst: int | None, is_shared: bool) -> Steps:
        links = self._links
        if lane.arrivals is not None:
            yield lane.arrivals
        place = links.place
        if dst is not None:
            if links.placement.of[dst] == links.machine:
                yield from self._hand_over(tree, lane, dst)
            return
        if lane.arrivals is not None:
            mine = lane.part[lane.bounds[place] : lane.bounds[place + 1]]
            if is_shared:
                yield from self._share(tree, lane, mine)
            else:
                self._total(tree, lane.terms, mine)
        yield from links.local(links.node.spread(lane.part, lane.bounds, True, links.fingerprint))

    def _share(self, tree: TreeReduction, lane: _Lane, mine: Array) -> Steps:
        """Add up this machine's share of the lane, and exchange the results."""
        links = self._links
        shares = block_bounds(mine.size, links.machines)
        own = mine[shares[links.machine] : shares[links.machine + 1]]
        self._total(tree, lane.terms, own)
        parts = {machine: mine[shares[machine] : shares[machine + 1]] for machine in links.others()}
        yield links.post(
            [(links.peer(machine), own) for machine in parts],
            [(links.peer(machine), part) for machine, part in parts.items()],
        )

    def _hand_over(self, tree: TreeReduction, lane: _Lane, dst: int) -> Steps:
        """Give ``dst``, on this machine, all lanes' results."""
        links = self._links
        result = None
        if lane.arrivals is not None:
            result = np.empty(lane.terms[0].shape[1], lane.part.dtype)
            self._total(tree, lane.terms, result)
        steps = links.node.collect(result, lane.part, lane.bounds, links.fingerprint, takes=links.rank == dst)
        yield from links.local(steps)

    def _total(self, tree: TreeReduction, terms: list[Array], out: Array) -> None:
        rows = [row for of_machine in terms for row in of_machine]
        for low, high in cache_blocks(0, out.size, out.itemsize):
            tree.total([row[low:high] for row in rows], out[low:high])

    def _empty(self, tree: TreeReduction, machine: int, length: int) -> Array:
        return np.empty((len(self._links.placement.terms[machine]), length), tree.wire)

    def _tree(self, reduction: Reduction, dtype: np.dtype[np.generic]) -> TreeReduction:
        tree = self._trees.get((reduction, dtype))
        if tree is None:
            tree = TreeReduction(reduction, dtype, self._links.placement)
            self._trees[reduction, dtype] = tree
        return tree
