"""PyTorch's ``FileStore``: a store in one file that all processes can reach.

Who uses the file is recorded in it, so that a file left by a job whose processes are dead is known for what it is, and
who waits for a process that has ended learns of it. ``distrt.distributed`` is the public path; the file itself is the
business of ``file_log``. Standard library only.
"""

# ruff: noqa: D102 - the methods of a store are described in ``base.Store``

import contextlib
import json
import os
import time
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from distrt.comm.stores.base import TableStore, late, number, text
from distrt.comm.stores.file_log import FileLog
from distrt.comm.stores.table import Table
from distrt.core.errors import DistStoreError

__all__ = ["FileStore"]

_LONGEST_PAUSE_S = 0.02
_LEAVING_S = 5.0

# The store's own keys; the users' begin with a slash.
_USERS = "users"  # how many are using the file now
_LEFT = "left"  # how many have ever left it
_MEMBER = "member/"

_Found = TypeVar("_Found")


class FileStore(TableStore):
    """A store in the file ``file_name``, which is made if it is not there.

    Where ``world_size`` is given, the file is deleted when as many have left and nobody uses it. There are no queues,
    as in PyTorch.

    Args:
        rank: this process's rank, where it is known: then others that wait for its keys learn of its death.

    Raises:
        DistStoreError: the file cannot be opened, is not such a file, or is left from a job whose processes have ended.
    """

    _PREFIX = "/"

    def __init__(self, file_name: str, world_size: int = -1, *, rank: int | None = None) -> None:
        super().__init__()
        self._world_size = number(world_size, "FileStore")
        self._log = FileLog(os.path.abspath(text(file_name, "FileStore")))
        self._me = _Member.current(rank)
        self._change(self._join)
        self._leave = weakref.finalize(self, _leave, self._log, self._world_size, self._me)

    @property
    def path(self) -> str:
        """The file."""
        return self._log.path

    def num_keys(self) -> int:
        return len(self.list_keys()) + 1  # PyTorch counts one of its own

    def clone(self) -> "FileStore":
        return FileStore(self.path, self._world_size, rank=self._me.rank)

    def close(self) -> None:
        """Leave the file; the last of ``world_size`` users deletes it. The store cannot be used any more."""
        self._leave()

    def queue_push(self, key: str, value: bytes | str) -> None:
        raise NotImplementedError("queue support is not implemented.")

    def queue_pop(self, key: str, block: bool = True) -> bytes:
        raise NotImplementedError("queue support is not implemented.")

    def queue_len(self, key: str) -> int:
        raise NotImplementedError("queue support is not implemented.")

    def _change(self, change: Callable[[Table], _Found]) -> _Found:
        return self._log.change(change, self.timeout.total_seconds())

    def _until(
        self, look: Callable[[Table], _Found | None], keys: list[str], timeout_s: float, ranks: Iterable[int]
    ) -> _Found:
        deadline = time.monotonic() + timeout_s
        pause_s, awaited = 0.001, list(ranks)
        while (found := self._look(look)) is None:
            now = time.monotonic()
            if now >= deadline:
                raise late(keys, timeout_s)
            if awaited and pause_s >= _LONGEST_PAUSE_S:
                self._require_alive(awaited, keys)
            time.sleep(min(pause_s, deadline - now))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        return found

    def _look(self, look: Callable[[Table], _Found | None]) -> _Found | None:
        """Take the lock only where the file has grown: one that waits does not stand in the others' way."""
        return self._change(look) if self._log.has_grown() else look(self._log.table)

    def _join(self, table: Table) -> None:
        members = _members(table)
        if self._world_size > 0 and members and all(member.is_dead() for member in members):
            ids = ", ".join(str(member.pid) for member in members)
            raise DistStoreError(
                f"FileStore {self.path}: the file was left by an earlier job: its processes ({ids}) have ended "
                f"without leaving it; delete the file, or choose another path for every job"
            )
        table.add(_USERS, 1)
        table.values[_MEMBER + self._me.key] = self._me.encode()

    def _require_alive(self, ranks: list[int], keys: list[str]) -> None:
        for rank in ranks:
            known = [member for member in _members(self._log.table) if member.rank == rank]
            if known and all(member.is_dead() for member in known):
                raise DistStoreError(
                    f"FileStore {self.path}: rank {rank} (process {known[-1].pid}) has ended; "
                    f"waited for {', '.join(map(repr, keys))}"
                )


@dataclass(frozen=True)
class _Member:
    """One user of the file: a process, and which of its store objects."""

    key: str
    rank: int | None
    pid: int
    started: int
    machine: str

    @classmethod
    def current(cls, rank: int | None) -> "_Member":
        return cls(os.urandom(8).hex(), rank, os.getpid(), _start_time(os.getpid()) or 0, _machine())

    def encode(self) -> bytes:
        return json.dumps([self.rank, self.pid, self.started, self.machine]).encode()

    def is_dead(self) -> bool:
        """Whether the process has ended, as far as this machine can tell."""
        return self.machine == _machine() and _start_time(self.pid) != self.started


def _members(table: Table) -> list[_Member]:
    found = []
    for key, value in list(table.values.items()):
        if key.startswith(_MEMBER):
            rank, pid, started, machine = json.loads(value)
            found.append(_Member(key, rank, int(pid), int(started), str(machine)))
    return found


def _leave(log: FileLog, world_size: int, member: _Member) -> None:
    """Count one user less; the last one deletes the file."""
    if member.pid != os.getpid():  # a forked child that inherited the object
        return

    def leave(table: Table) -> None:
        table.values.pop(_MEMBER + member.key, None)
        users, left = table.add(_USERS, -1), table.add(_LEFT, 1)
        if users <= 0 and 0 <= world_size <= left:
            os.unlink(log.path)

    with contextlib.suppress(DistStoreError, OSError):  # the file may be gone already
        log.change(leave, _LEAVING_S)


def _start_time(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _machine() -> str:
    """What two processes have in common that can see one another's ids: kernel and process namespace."""
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
