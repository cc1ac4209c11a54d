"""Sharing a kernel's work among threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise

from distrt.core.process.settings import get_num_threads

__all__ = ["in_parts"]


def in_parts(count: int, unit: int, work: Callable[[int, int, int], None]) -> None:
    """Calls ``work(number, begin, end)`` for as many parts of ``count`` as there may be threads, in a thread each.

    Parts are in whole units, but for the last. The threads are made anew each time: a pool would not survive a fork.
    """
    threads = get_num_threads()
    units = -(-count // unit)
    ends = [min(count, units * number // threads * unit) for number in range(threads + 1)]
    parts = [(number, *pair) for number, pair in enumerate(pairwise(ends)) if pair[0] < pair[1]]
    faults: list[Exception] = []

    def guarded(*part: int) -> None:
        try:
            work(*part)
        except Exception as fault:  # such as no memory for the rooms: it belongs to the caller's thread
            faults.append(fault)

    others = [threading.Thread(target=guarded, args=part) for part in parts[1:]]
    for each in others:
        each.start()
    for part in parts[:1]:
        guarded(*part)
    for each in others:
        each.join()
    if faults:
        raise faults[0]
