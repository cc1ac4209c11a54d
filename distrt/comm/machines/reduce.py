"""Reductions between machines: each machine adds up its terms in shared memory, and the terms travel.

An array is cut into chunks; while the terms of one are under way, the machine adds up those of the next. A chunk is cut
into lanes, and each lane's rank sends one message to each other machine (or one part of it to each).

Arrays on GPUs go the same way between ranks that count as machines of their own (`Links.settled` has MPI wait for the
GPU): what a rank sends is its array itself, what it receives and adds up stays on its GPU.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from distrt.comm.machines.links import Links
from distrt.comm.machines.network import Exchange
from distrt.comm.progress import Steps
from distrt.comm.reduction import Array, Reduction, cache_blocks
from distrt.comm.transport import block_bounds
from distrt.comm.tree import TreeReduction, Trees
from distrt.core.arrays import address_of, is_on_gpu, row_major
from distrt.core.modes import used

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
    arrivals: Exchange | None


class _Rows(NamedTuple):
    """All machines' terms of this rank's row, or of some columns of it, on their way.

    Attributes:
        out: where the result belongs.
        terms: per machine.
        arrivals: what is under way.
    """

    out: Array
    terms: list[Array]
    arrivals: Exchange


class Reducer:
    """The steps of all-reduce, reduce and reduce-scatter of one group."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._trees = Trees(links.placement)

    def all_reduce(self, flat: Array, reduction: Reduction) -> Steps:
        """Each machine adds up its share and passes it on; of small arrays each gets all terms."""
        return self._chunks(flat, reduction, None)

    def reduce(self, flat: Array, dst: int, reduction: Reduction) -> Steps:
        """As `all_reduce`, but that only ``dst`` gets the result: from two machines' terms, or all machines' shares."""
        return self._chunks(flat, reduction, dst)

    def reduce_scatter(self, flat: Array, rows: Array, reduction: Reduction) -> Steps:
        """Each machine sends the terms of each row to the rank that the row is for."""
        links, tree = self._links, self._trees.of(reduction, rows.dtype)
        target = np.empty_like(flat) if _is_in_the_way(flat, rows, links.rank) else flat
        width = max(1, flat.size)
        if used.gpu and is_on_gpu(flat):  # whose memory is short; the CPU's ranks show one another whole rows
            width = max(1, _CHUNK_BYTES // (links.size * rows.itemsize))
        before: _Rows | None = None
        for start in range(0, max(1, flat.size), width):
            terms = yield from self._row_terms(tree, rows, start, min(start + width, flat.size))
            yield from links.settled(flat)
            underway = self._exchange_rows(tree, terms, target[start : start + width])
            if before is not None:
                yield from self._finish_rows(tree, before)
            before = underway
        assert before is not None
        yield from self._finish_rows(tree, before)
        if target is not flat:
            flat[...] = target

    def _row_terms(self, tree: TreeReduction, rows: Array, first: int, last: int) -> Steps:
        """This machine's terms of some columns, by the ranks whose rows this rank adds up, its own last."""
        links = self._links
        machine, placement = links.machine, links.placement
        if links.is_apart:
            ranks = [*(rank for rank in range(links.size) if rank != links.rank), links.rank]
            return {rank: rows[rank : rank + 1, first:last] for rank in ranks}
        targets = [  # the rows of other machines that this rank adds up and sends
            rank
            for rank in range(links.size)
            if placement.of[rank] != machine and placement.place(rank) % len(links.mates) == links.place
        ]
        targets.append(links.rank)
        terms = {rank: self._empty(tree, machine, last - first, rows) for rank in targets}

        def add_up(sources: list[Array], low: int, high: int) -> None:
            for start, stop in cache_blocks(0, high - low, rows.itemsize):
                for rank in targets:
                    tree.partials(
                        machine,
                        [source[rank, start:stop] for source in sources],
                        terms[rank][:, low + start : low + stop],
                    )

        yield from links.local(links.node.show(rows, add_up, links.fingerprint))
        return terms

    def _exchange_rows(self, tree: TreeReduction, terms: dict[int, Array], out: Array) -> _Rows:
        links = self._links
        members = links.placement.members
        received = [self._empty(tree, other, out.size, out) for other in links.others()]
        senders = [members[other][links.place % len(members[other])] for other in links.others()]
        arrivals = links.post(
            [(rank, each) for rank, each in terms.items() if rank != links.rank],
            list(zip(senders, received, strict=True)),
        )
        received.insert(links.machine, terms[links.rank])
        return _Rows(out, received, arrivals)

    def _finish_rows(self, tree: TreeReduction, rows: _Rows) -> Steps:
        yield rows.arrivals
        self._total(tree, rows.terms, rows.out)

    def _chunks(self, flat: Array, reduction: Reduction, dst: int | None) -> Steps:
        links, tree = self._links, self._trees.of(reduction, flat.dtype)
        lanes = links.lanes if flat.nbytes > _SMALL_BYTES else 1
        # Who adds up a share and passes it on sends as much as who sends all terms, and adds up less; to reduce to one
        # of two machines, all terms of the other are enough.
        is_shared = flat.nbytes > _SMALL_BYTES and (dst is None or links.machines > 2)
        width = max(1, _CHUNK_BYTES // flat.itemsize)
        before: _Lane | None = None
        for start in range(0, max(1, flat.size), width):
            part = flat[start : start + width]
            bounds = links.bounds(part.size, lanes, part.itemsize)
            terms = yield from self._terms(tree, part, bounds)
            yield from links.settled(flat)
            lane = self._send(tree, part, bounds, terms, dst, is_shared)
            if before is not None:
                yield from self._finish(tree, before, dst, is_shared)
            before = lane
        assert before is not None
        yield from self._finish(tree, before, dst, is_shared)

    def _terms(self, tree: TreeReduction, part: Array, bounds: list[int]) -> Steps:
        """This machine's terms of this rank's lane; None where it drives none."""
        links = self._links
        if links.is_apart:  # nothing to add up
            return part.reshape(1, -1)
        is_driving = links.place + 1 < len(bounds)
        first, last = (bounds[links.place], bounds[links.place + 1]) if is_driving else (0, 0)
        terms = self._empty(tree, links.machine, last - first, part)

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
        target = None if dst is None or is_shared else links.placement.of[dst]
        if target is not None and target != links.machine:
            return _Lane(part, bounds, [], links.post([(links.peer(target), mine)], []))
        shares = block_bounds(mine.shape[1], links.machines) if is_shared else None
        sends, received = [], []
        for machine in range(links.machines):
            low, high = (shares[links.machine], shares[links.machine + 1]) if shares else (0, mine.shape[1])
            if machine == links.machine:
                received.append(mine[:, low:high])
                continue
            received.append(self._empty(tree, machine, high - low, part))
            if shares is not None:
                share = row_major(mine[:, shares[machine] : shares[machine + 1]])
                sends.append((links.peer(machine), share))
            elif target is None:
                sends.append((links.peer(machine), mine))
        receives = [(links.peer(machine), received[machine]) for machine in links.others()]
        return _Lane(part, bounds, received, links.post(sends, receives))

    def _finish(self, tree: TreeReduction, lane: _Lane, dst: int | None, is_shared: bool) -> Steps:
        links, place = self._links, self._links.place
        if lane.arrivals is not None:
            yield lane.arrivals
        goes_on = is_shared or dst is None or links.placement.of[dst] == links.machine
        mine = None
        if lane.arrivals is not None and goes_on:
            mine = lane.part[lane.bounds[place] : lane.bounds[place + 1]]
            if dst is not None:  # which alone gets the result
                mine = np.empty_like(mine)
            if is_shared:
                yield from self._share(tree, lane, mine, None if dst is None else links.placement.of[dst])
            else:
                self._total(tree, lane.terms, mine)
        if dst is None:
            yield from links.local(links.node.spread(lane.part, lane.bounds, True, links.fingerprint))
        elif links.placement.of[dst] == links.machine:
            takes = links.rank == dst
            steps = links.node.collect(mine, lane.part, lane.bounds, links.fingerprint, takes)
            yield from links.local(steps)

    def _share(self, tree: TreeReduction, lane: _Lane, mine: Array, target: int | None) -> Steps:
        """Add up this machine's share of the lane; exchange the results, or give them to the machine ``target``."""
        links = self._links
        shares = block_bounds(mine.size, links.machines)
        parts = [mine[low:high] for low, high in itertools.pairwise(shares)]
        own = parts[links.machine]
        self._total(tree, lane.terms, own)
        yield from links.settled(own)
        takers = [machine for machine in links.others() if target in (None, machine)]
        givers = links.others() if target in (None, links.machine) else []
        yield links.post(
            [(links.peer(machine), own) for machine in takers],
            [(links.peer(machine), parts[machine]) for machine in givers],
        )

    def _total(self, tree: TreeReduction, terms: list[Array], out: Array) -> None:
        rows = [row for of_machine in terms for row in of_machine]
        for low, high in _blocks(out):
            tree.total([row[low:high] for row in rows], out[low:high])

    def _empty(self, tree: TreeReduction, machine: int, length: int, like: Array) -> Array:
        """Memory for a machine's terms, where ``like`` is."""
        return np.empty((len(self._links.placement.terms[machine]), length), tree.wire, like=like)


def _blocks(array: Array) -> list[tuple[int, int]]:
    """What is added up at once: as much as stays in the CPU's cache; a GPU wants large pieces."""
    if used.gpu and is_on_gpu(array):
        return [(0, array.size)] if array.size else []
    return cache_blocks(0, array.size, array.itemsize)


def _is_in_the_way(flat: Array, rows: Array, rank: int) -> bool:
    """Whether a result that replaces some columns would replace others that are still wanted."""
    if not flat.nbytes:
        return False
    offset = address_of(flat) - address_of(rows)
    return -flat.nbytes < offset < rows.nbytes and offset != rank * flat.nbytes
