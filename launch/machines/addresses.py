"""Whose an address is: asked when launchers of several machines find out which of them serves."""

import socket

__all__ = ["is_loopback", "is_own", "own_address_towards", "resolve"]


def is_own(host: str) -> bool:
    """Whether an address is this machine's: one can listen there."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind(address)
    except OSError:
        return False
    return True


def own_address_towards(host: str) -> str:
    """Return the address by which a machine would see this one; nothing is sent."""
    family, _, _, _, address = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(address)
        return str(probe.getsockname()[0])


def resolve(host: str) -> str:
    """Return the address that a name stands for, or the name where it stands for none."""
    try:
        return str(socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0][4][0])
    except OSError:
        return host


def is_loopback(host: str) -> bool:
    """Whether other machines cannot come there."""
    return host.startswith("127.") or host in ("::1", "localhost")
