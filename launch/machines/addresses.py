"""Whose an address is: asked when launchers of several machines find out which of them serves."""

import contextlib
import errno
import os
import secrets
import socket
import zlib
from pathlib import Path

__all__ = ["any_port", "is_loopback", "is_own", "own_address_towards", "port_of", "refusal", "resolve"]

_LOWEST_PORT, _PORTS = 20000, 12288  # below those that systems give to outgoing connections
_LISTENS = "0A"  # the kernel's number for the state


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


def any_port() -> int:
    """Return a port that is likely to be free on a machine that cannot be asked."""
    return _LOWEST_PORT + secrets.randbelow(_PORTS)


def port_of(job: str) -> int:
    """Return the same port on every machine of a job, and hardly the same for another job."""
    return _LOWEST_PORT + zlib.crc32(job.encode()) % _PORTS


def refusal(error: OSError, port: int) -> str:
    """Return why one cannot listen at a port, with the process that does, where that can be seen."""
    text = error.strerror or str(error)
    return text + _holder(port) if error.errno == errno.EADDRINUSE else text


def _holder(port: int) -> str:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError, ValueError):
            rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
            inodes |= {
                row[9] for row in rows if row[3] == _LISTENS and int(row[1].rpartition(":")[2], 16) == port
            }
    if not inodes:
        return ""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for link in (folder / "fd").iterdir():
                if os.readlink(link).removeprefix("socket:[").removesuffix("]") in inodes:
                    return f" (by process {folder.name}, {(folder / 'comm').read_text().strip()})"
    return ""


def resolve(host: str) -> str:
    """Return the address that a name stands for, or the name where it stands for none."""
    try:
        return str(socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0][4][0])
    except OSError:
        return host


def is_loopback(host: str) -> bool:
    """Whether other machines cannot come there."""
    return host.startswith("127.") or host in ("::1", "localhost")
