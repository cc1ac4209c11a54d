"""How store peers talk: length-prefixed JSON frames of bounded size, and a mutual proof of the job's secret.

Nothing that arrives is ever unpickled or executed. Used by ``store`` (client) and ``store_server``.

The handshake, with nonces drawn anew for each connection:

    client -> server   hello:  protocol, client nonce, rank
    server -> client   nonce:  server nonce, HMAC(secret, "server" | both nonces | rank)
    client -> server   proof:  HMAC(secret, "client" | both nonces | rank)
    server -> client   welcome
"""

import base64
import binascii
import hmac
import json
import os
import socket
import struct
from typing import Any

from distrt.core.errors import RendezvousError

__all__ = [
    "MAX_FRAME_BYTES",
    "MAX_HANDSHAKE_BYTES",
    "MAX_VALUE_BYTES",
    "PROTOCOL",
    "FrameReader",
    "Message",
    "decode_value",
    "encode_frame",
    "encode_value",
    "is_proof",
    "new_nonce",
    "prove",
    "receive",
]

PROTOCOL = "distrt-store/1"
MAX_FRAME_BYTES = 1 << 20
MAX_HANDSHAKE_BYTES = 1 << 10
MAX_VALUE_BYTES = MAX_FRAME_BYTES // 4 * 3 - (1 << 10)  # in base64, and with room for what stands around it
_LENGTH = struct.Struct(">I")

Message = dict[str, Any]


def encode_frame(message: Message) -> bytes:
    """Return ``message`` as one frame.

    Raises:
        ValueError: the frame would be larger than ``MAX_FRAME_BYTES``.
    """
    body = json.dumps(message, separators=(",", ":")).encode()
    if len(body) > MAX_FRAME_BYTES:
        raise ValueError(f"a store message may have {MAX_FRAME_BYTES} bytes, this one has {len(body)}")
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a byte stream into messages; refuses a frame over ``limit_bytes`` before its body arrives."""

    def __init__(self, limit_bytes: int = MAX_FRAME_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Take bytes as they came from the socket."""
        self._buffer += data

    def next_message(self) -> Message | None:
        """Return the next whole message, or None when more bytes are needed.

        Raises:
            RendezvousError: the peer does not speak this protocol.
        """
        if len(self._buffer) < _LENGTH.size:
            return None
        (size,) = _LENGTH.unpack_from(self._buffer)
        if size > self.limit_bytes:
            raise RendezvousError(
                f"a frame of {size} bytes came, at most {self.limit_bytes} are allowed here"
            )
        end = _LENGTH.size + size
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        return _parse(body)


def receive(connection: socket.socket, reader: FrameReader) -> Message:
    """Block until one whole message has come; the socket's own time-out applies to each read."""
    while (message := reader.next_message()) is None:
        data = connection.recv(1 << 16)
        if not data:
            raise ConnectionResetError("the peer closed the connection")
        reader.feed(data)
    return message


def _parse(body: bytes) -> Message:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        raise RendezvousError("a frame came that is not JSON") from None
    if not isinstance(message, dict):
        raise RendezvousError(f"a frame came that is not a JSON object but {type(message).__name__}")
    return message


def encode_value(value: bytes) -> str:
    """Return bytes as text that JSON can carry."""
    return base64.b64encode(value).decode("ascii")


def decode_value(text: object) -> bytes:
    """Undo ``encode_value``; raises RendezvousError on anything else."""
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        raise RendezvousError("a store value came that is not base64") from None


def new_nonce() -> str:
    """Return 32 random bytes in hex."""
    return os.urandom(32).hex()


def prove(secret: bytes, side: str, client_nonce: str, server_nonce: str, rank: int | None) -> str:
    """Return ``side``'s proof that it holds ``secret``, bound to this connection and the claimed rank."""
    text = json.dumps([PROTOCOL, side, client_nonce, server_nonce, rank])
    return hmac.digest(secret, text.encode(), "sha256").hex()


def is_proof(claimed: object, expected: str) -> bool:
    """Compare a peer's proof in constant time."""
    return isinstance(claimed, str) and hmac.compare_digest(
        claimed.encode(errors="replace"), expected.encode()
    )
