"""Where a rank can be reached, and which of several addresses of another rank answers. Standard library only."""

from __future__ import annotations

import fcntl
import ipaddress
import os
import socket
import struct
import time
from collections.abc import Sequence
from pathlib import Path

from distrt.comm.stores import wire
from distrt.core.errors import RendezvousError

__all__ = ["connect_any", "local_addresses", "network_place", "open_any"]

_SIOCGIFADDR = 0x8915
_TRY_S = 2.0  # how long one address may take while others are left to try
_VIRTUAL = ("docker", "veth", "br-", "virbr", "cni", "flannel", "lxc")  # rarely the way to another machine


def local_addresses() -> list[str]:
    """This machine's IPv4 addresses but for loopback, likely ones first; loopback where there is nothing else.

    ``DISTRT_INTERFACE`` names the only interface to use (``GLOO_SOCKET_IFNAME`` counts as well).
    """
    wish = os.environ.get("DISTRT_INTERFACE") or os.environ.get("GLOO_SOCKET_IFNAME")
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            if wish and name not in wish.split(","):
                continue
            try:
                answer = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue  # it has no address
            found.append((name, socket.inet_ntoa(answer[20:24])))
    if wish and not found:
        raise RendezvousError(f"no interface {wish!r} with an IPv4 address is on {socket.gethostname()}")
    found.sort(key=lambda pair: pair[0].startswith(_VIRTUAL))
    addresses = [address for _, address in found]
    return [each for each in addresses if wish or not ipaddress.ip_address(each).is_loopback] or ["127.0.0.1"]


def open_any(
    addresses: Sequence[str], port: int, timeout_s: float, secret: bytes, rank: int | None
) -> tuple[str, socket.socket, wire.FrameReader]:
    """Connect to the first address at which somebody proves the secret: the address, and the trusted connection.

    An address may be unreachable from here, or mean another machine here: it is passed over.

    Raises:
        RendezvousError: none answered within ``timeout_s``.
    """
    deadline, faults = time.monotonic() + timeout_s, {}
    while True:
        for address in addresses:
            remaining_s = deadline - time.monotonic()
            try:
                connection = socket.create_connection(
                    (address, port), timeout=max(0.01, min(_TRY_S, remaining_s))
                )
            except OSError as error:
                faults[address] = str(error)
                continue
            try:
                return address, connection, _shake_hands(connection, secret, rank)
            except (OSError, RendezvousError) as error:
                connection.close()
                faults[address] = str(error)
        if time.monotonic() >= deadline:
            text = "; ".join(f"{address}: {fault}" for address, fault in faults.items())
            raise RendezvousError(
                f"no address of rank 0 answered at port {port} within {timeout_s:g} s ({text}); are the machines "
                f"connected, and does a firewall let ports through? DISTRT_INTERFACE chooses rank 0's interface"
            )
        time.sleep(0.05)


def network_place() -> str:
    """What two ranks have in common if the loopback of one is the loopback of the other."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {os.readlink('/proc/self/ns/net')}"


def connect_any(addresses: Sequence[str], port: int, timeout_s: float, secret: bytes) -> str:
    """The first address at which somebody proves the secret."""
    address, connection, _ = open_any(addresses, port, timeout_s, secret, None)
    connection.close()
    return address


def _shake_hands(connection: socket.socket, secret: bytes, rank: int | None) -> wire.FrameReader:
    """Prove the secret to one another, as ``wire`` describes."""
    reader, nonce = wire.FrameReader(), wire.new_nonce()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(wire.encode_frame({"protocol": wire.PROTOCOL, "nonce": nonce, "rank": rank}))
    challenge = wire.receive(connection, reader)
    theirs = str(challenge.get("nonce"))
    if not wire.is_proof(challenge.get("proof"), wire.prove(secret, "server", nonce, theirs, rank)):
        raise RendezvousError("whoever listens there does not hold the job's secret")
    connection.sendall(wire.encode_frame({"proof": wire.prove(secret, "client", nonce, theirs, rank)}))
    if "welcome" not in wire.receive(connection, reader):
        raise RendezvousError("whoever listens there refuses this job's secret")
    return reader
