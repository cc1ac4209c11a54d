"""Where a rank can be reached, and which of several addresses of another rank answers. Standard library only."""

from __future__ import annotations

import fcntl
import hashlib
import ipaddress
import os
import socket
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from distrt.comm.stores import wire
from distrt.core.errors import AuthenticationError, RendezvousError

__all__ = ["Trusted", "connect_any", "listening_place", "local_addresses", "network_place", "open_any"]

_SIOCGIFADDR = 0x8915
_TRY_S = 2.0  # how long one address may take while others are left to try
_HANDSHAKE_S = 5.0  # for somebody who has taken the call, and may be busy
_VIRTUAL = ("docker", "veth", "br-", "virbr", "cni", "flannel", "lxc")  # rarely the way to another machine
_DIGEST_BYTES = 32
_PLACE_ADDRESSES = 8  # of a machine, in its place


class Trusted(NamedTuple):
    """A connection to somebody who has proved the secret.

    Attributes:
        address: where that one was reached.
        connection: the socket.
        reader: of what comes, which must be sealed.
        seal: for what is sent.
    """

    address: str
    connection: socket.socket
    reader: wire.FrameReader
    seal: wire.Seal


def local_addresses() -> list[str]:
    """This machine's IPv4 addresses but for loopback, likely ones first; loopback where there is nothing else.

    ``DISTRT_INTERFACE`` names the only interface to use (``GLOO_SOCKET_IFNAME`` counts as well).
    """
    wish = _wish()
    found = [(name, address) for name, address in _interfaces() if not wish or name in wish]
    if wish and not found:
        raise RendezvousError(
            f"no interface {','.join(wish)!r} with an IPv4 address is on {socket.gethostname()}"
        )
    found.sort(key=lambda pair: pair[0].startswith(_VIRTUAL))
    return [address for _, address in found if wish or not _is_loopback(address)] or ["127.0.0.1"]


def network_place() -> bytes:
    """Where this process is in the network, in 64 bytes for `listening_place`.

    Begins with what two ranks have in common if the loopback of one is the loopback of the other; behind that are
    addresses by which another machine finds out which of its own lead here.
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    digest = hashlib.sha256(f"{boot} {os.readlink('/proc/self/ns/net')}".encode()).digest()
    found = [(name, address) for name, address in _interfaces() if not _is_loopback(address)]
    likely = [address for name, address in found if not name.startswith(_VIRTUAL)]
    addresses = b"".join(map(socket.inet_aton, (likely or [address for _, address in found])))
    return digest + addresses[: 4 * _PLACE_ADDRESSES].ljust(4 * _PLACE_ADDRESSES, b"\0")


def listening_place(places: Sequence[bytes]) -> tuple[str, list[str]]:
    """The address to bind for ranks at ``places`` (`network_place`), and the addresses at which they may call.

    Where all are on this machine, that is loopback. Else it is the address that the ways to the others leave from, or
    that of ``DISTRT_INTERFACE``. Where that leaves several, every interface is bound: a socket has one address or
    all, and through which of them the others come is seen only when they call.
    """
    here = network_place()[:_DIGEST_BYTES]
    if all(place[:_DIGEST_BYTES] == here for place in places):
        return "127.0.0.1", ["127.0.0.1"]
    own = local_addresses()
    if not _wish():
        others = {each for place in places if place[:_DIGEST_BYTES] != here for each in _addresses_in(place)}
        # An address that both have, as those of bridges to containers, is no way to the other.
        ways = {_source(address) for address in others if address not in own}
        own = [address for address in own if address in ways] or own
    return (own[0], own) if len(own) == 1 else ("0.0.0.0", ["127.0.0.1", *own])


def open_any(
    addresses: Sequence[str],
    port: int,
    timeout_s: float,
    secret: bytes,
    rank: int | None,
    whose: str = "rank 0",
) -> Trusted:
    """Connect to the first address of ``whose`` at which somebody proves the secret; ``rank`` calls.

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
                reader, seal = _shake_hands(connection, secret, rank, deadline)
                return Trusted(address, connection, reader, seal)
            except (OSError, RendezvousError) as error:
                connection.close()
                if not isinstance(error, TimeoutError) or address not in faults:
                    faults[address] = str(error)
        if time.monotonic() >= deadline:
            text = "; ".join(f"{address}: {fault}" for address, fault in faults.items())
            raise RendezvousError(
                f"no address of {whose} answered at port {port} within {timeout_s:g} s ({text}); are the machines "
                f"connected, and does a firewall let ports through? DISTRT_INTERFACE chooses the interface there"
            )
        time.sleep(0.05)


def connect_any(addresses: Sequence[str], port: int, timeout_s: float, secret: bytes) -> str:
    """The first address at which somebody proves the secret."""
    found = open_any(addresses, port, timeout_s, secret, None)
    found.connection.close()
    return found.address


def _shake_hands(
    connection: socket.socket, secret: bytes, rank: int | None, deadline: float
) -> tuple[wire.FrameReader, wire.Seal]:
    """Prove the secret to one another, as ``wire`` describes; what follows is sealed."""
    reader, nonce = wire.FrameReader(wire.MAX_HANDSHAKE_BYTES), wire.new_nonce()
    deadline = min(deadline, time.monotonic() + _HANDSHAKE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(wire.encode_frame({"protocol": wire.PROTOCOL, "nonce": nonce, "rank": rank}))
    challenge = wire.receive(connection, reader, deadline)
    theirs = str(challenge.get("nonce"))
    if not wire.is_proof(challenge.get("proof"), wire.prove(secret, "server", nonce, theirs, rank)):
        raise AuthenticationError("whoever listens there does not hold the job's secret")
    connection.sendall(wire.encode_frame({"proof": wire.prove(secret, "client", nonce, theirs, rank)}))
    if "welcome" not in wire.receive(connection, reader, deadline):
        raise AuthenticationError("whoever listens there refuses this job's secret")
    reader.limit_bytes = wire.MAX_FRAME_BYTES
    reader.seal = wire.Seal(secret, "server", nonce, theirs, rank)
    return reader, wire.Seal(secret, "client", nonce, theirs, rank)


def _wish() -> list[str]:
    text = os.environ.get("DISTRT_INTERFACE") or os.environ.get("GLOO_SOCKET_IFNAME")
    return text.split(",") if text else []


def _interfaces() -> list[tuple[str, str]]:
    """The names and IPv4 addresses of this machine's interfaces."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue  # it has no address
            found.append((name, socket.inet_ntoa(answer[20:24])))
    return found


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def _addresses_in(place: bytes) -> list[str]:
    packed = place[_DIGEST_BYTES:]
    pieces = [packed[at : at + 4] for at in range(0, len(packed) - 3, 4)]
    return [socket.inet_ntoa(piece) for piece in pieces if any(piece)]


def _source(address: str) -> str | None:
    """This machine's address from which the way to another one leaves; nothing is sent to find out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError:
            return None  # there is no way
        source: str = probe.getsockname()[0]
        return source
