"""Locks that a fork waits for, so that a forked child finds them open and what they guard complete.

A forked process has the memory of its parent and one thread: a lock that another thread held at that moment stays shut
in it for ever. Every lock of ``core`` and of ``files`` is one of these; a worker of a ``DataLoader`` needs them.
"""

from __future__ import annotations

import os
import threading

__all__ = ["lock_across_forks"]


def lock_across_forks() -> threading.Lock:
    """A lock, at module level: a fork takes it before and lets go of it after, in both processes.

    Forks take the newest lock first. So where one is held while another is taken, the inner one must be made first.
    """
    lock = threading.Lock()
    os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
    return lock
