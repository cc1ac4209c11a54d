"""Messages between a loader and one of its workers: a pair of sockets, one message a packet.

A long message travels in memory of its own, whose descriptor is sent. Whoever cannot send takes in what has come
meanwhile, so that two processes that both send never wait for one another.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import socket
from collections import deque
from multiprocessing import reduction
from typing import Any

from distrt.core.storage.unnamed import open_unnamed_file

__all__ = ["Channel", "ChannelClosed"]

_INLINE = 1 << 15  # bytes of a message; a socket's buffer takes some of these
_IN_PACKET, _IN_MEMORY = b"\0", b"\1"


class ChannelClosed(Exception):  # noqa: N818 - named for what is the case
    """The other end is gone, or was told to go."""


class Channel:
    """One end. Messages are Python objects; one may bring a descriptor."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._came: deque[tuple[Any, int | None]] = deque()

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Two ends."""
        first, second = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(first), cls(second)

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (reduction.DupFd(self._end.fileno()),)

    def fileno(self) -> int:
        """The socket's, to wait for."""
        return self._end.fileno()

    def send(self, message: Any, descriptor: int | None = None) -> None:
        """Sends a message; takes in others until there is room.

        Raises:
            ChannelClosed: the other end is gone.
        """
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        given = [] if descriptor is None else [descriptor]
        if len(data) <= _INLINE:
            self._send(_IN_PACKET + data, given)
            return
        long = open_unnamed_file("message")
        try:
            with open(long, "wb", closefd=False) as file:
                file.write(data)
            self._send(_IN_MEMORY, [long, *given])
        finally:
            os.close(long)

    def receive(self, timeout_s: float | None) -> tuple[Any, int | None] | None:
        """The next message and its descriptor; None where none came in time.

        Raises:
            ChannelClosed: the other end is gone, and all that it sent was received.
        """
        while not self._came:
            if not self._wait(select.POLLIN, timeout_s):
                return None
            self._take_in()
        return self._came.popleft()

    def has_come(self) -> bool:
        """Whether a message lies here that `receive` would give without looking at the socket."""
        return bool(self._came)

    def hang_up(self) -> None:
        """Tells the other end, whoever else may hold this one, too."""
        with contextlib.suppress(OSError):  # it has gone first
            self._end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Lets go of this process's copy of the end."""
        self._end.close()

    def _send(self, packet: bytes, descriptors: list[int]) -> None:
        while True:
            try:
                socket.send_fds(self._end, [packet], descriptors)
                return
            except BlockingIOError:
                pass
            except OSError as error:
                raise ChannelClosed(str(error)) from None
            if self._wait(select.POLLIN | select.POLLOUT, None) & select.POLLIN:
                self._take_in()

    def _wait(self, events: int, timeout_s: float | None) -> int:
        """Waits; what can be done. A broken connection counts as both."""
        poll = select.poll()
        poll.register(self._end, events)
        found = poll.poll(None if timeout_s is None else max(0.0, timeout_s) * 1000)
        return found[0][1] if found else 0

    def _take_in(self) -> None:
        try:
            packet, descriptors, _, _ = socket.recv_fds(self._end, _INLINE + 1, 2, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError as error:
            raise ChannelClosed(str(error)) from None
        if not packet:
            raise ChannelClosed("the other end is gone")
        data: bytes | memoryview = memoryview(packet)[1:]
        if packet[:1] == _IN_MEMORY:
            with open(descriptors.pop(0), "rb") as file:
                file.seek(0)
                data = file.read()
        self._came.append((pickle.loads(data), descriptors[0] if descriptors else None))


def _received(handle: Any) -> Channel:
    return Channel(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=handle.detach()))
