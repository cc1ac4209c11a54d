"""`Entrance`: where the other ranks' connections come in. Strangers stop at the store's `Door`."""

from __future__ import annotations

import logging
import os
import selectors
import socket
import threading
import weakref
from collections.abc import Callable

from distrt.comm.stores.door import Door
from distrt.comm.stores.peer import Peer

__all__ = ["Entrance"]

_log = logging.getLogger(__name__)

_HANDSHAKE_S = 10.0
_LOOK_S = 1.0
_BACKLOG = 1024


class Entrance:
    """Listens at ``host``, at a free ``port``, from a daemon thread of its own: the rank may be busy.

    Args:
        host: the address to listen at.
        secret: what whoever comes must prove.
        size: how many ranks there are.
        welcome: is given the socket of a rank that has come, and its number.
    """

    def __init__(
        self, host: str, secret: bytes, size: int, welcome: Callable[[socket.socket, int], object]
    ) -> None:
        listener = socket.create_server((host, 0), backlog=_BACKLOG)
        listener.setblocking(False)
        self.port: int = listener.getsockname()[1]
        self._size, self._welcome = size, welcome
        self._selector = selectors.DefaultSelector()
        self._door = Door(listener, secret, self._selector, _HANDSHAKE_S)
        self._awake, self._alarm = socket.socketpair()
        self._selector.register(self._awake, selectors.EVENT_READ)
        self._is_closing = False
        forget = weakref.WeakMethod(self._forget)
        os.register_at_fork(after_in_child=lambda: (method := forget()) is not None and method())
        self._thread = threading.Thread(target=self._serve, name="distrt-entrance", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let nobody in any more."""
        self._is_closing = True
        self._alarm.close()
        self._thread.join(timeout=2.0)

    def _serve(self) -> None:
        try:
            while not self._is_closing:
                for key, _ in self._selector.select(_LOOK_S):
                    if isinstance(key.fileobj, socket.socket):
                        self._attend(key.fileobj)
                self._door.tidy()
        finally:
            self._door.close()
            self._selector.close()
            self._awake.close()

    def _attend(self, source: socket.socket) -> None:
        try:
            if source is self._door.listener:
                self._door.accept()
            elif source in self._door and (peer := self._door.hear(source)) is not None:
                self._let_in(peer)
        except Exception:  # one connection's trouble, and not the others'
            _log.exception("the entrance gives up a connection")

    def _let_in(self, peer: Peer) -> None:
        if peer.rank is None or peer.rank >= self._size:
            peer.connection.close()
        else:
            self._welcome(peer.connection, peer.rank)

    def _forget(self) -> None:
        """In a forked child: the sockets are its parent's."""
        for held in (*self._door.sockets(), self._awake, self._alarm):
            held.close()
