"""Ports for ranks that are to meet at one."""

import secrets
import socket

#: Below those that kernels give to connections, so that none takes a port between its choice and its use.
_FIRST, _COUNT = 10_000, 20_000


def free_port() -> int:
    """One that nobody listens at now; other tests choose at the same time, and hardly the same."""
    while True:
        port = _FIRST + secrets.randbelow(_COUNT)
        with socket.socket() as free:
            try:
                free.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
