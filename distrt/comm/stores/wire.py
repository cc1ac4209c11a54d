"""How store peers talk: length-prefixed JSON frames of bounded size, and a mutual proof of the job's secret.

Nothing that arrives is ever unpickled or executed. Used by ``client`` and ``server``.

The handshake, with nonces drawn anew for each connection:

    client -> server   hello:  protocol, client nonce, rank
    server -> client   nonce:  server nonce, MAC(secret, "server" | both nonces | rank)
    client -> server   proof:  MAC(secret, "client" | both nonces | rank)
    server -> client   welcome

Every frame after that begins with a seal: a MAC of the frame's place in its direction and of its text, with a key of
this conversation. So neither a recorded conversation nor a single frame of one counts again, and nobody on the way can
add or change one. A sealed frame may carry a value of bytes behind its text and a line break.

The MAC is keyed BLAKE2b, which is CPython's own code, and not HMAC, which is OpenSSL's: daemon threads make and check
seals. OpenSSL keeps something for every thread that calls it, and frees that as the process exits; a daemon thread that
ends at that very moment frees it as well, and the process dies of a double free.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import socket
import struct
import time
from typing import Any

from distrt.core.errors import AuthenticationError, RendezvousError

__all__ = [
    "MAX_FRAME_BYTES",
    "MAX_HANDSHAKE_BYTES",
    "MAX_VALUE_BYTES",
    "PROTOCOL",
    "FrameReader",
    "Message",
    "Seal",
    "decode_value",
    "encode_frame",
    "encode_value",
    "is_proof",
    "mac",
    "new_nonce",
    "prove",
    "receive",
]

PROTOCOL = "distrt-store/3"
MAX_FRAME_BYTES = 1 << 20
MAX_HANDSHAKE_BYTES = 1 << 10
MAX_VALUE_BYTES = 8 << 20  # beside the text of a sealed frame; PyTorch's limit, too
_LENGTH = struct.Struct(">I")
_MAC_BYTES = 32
_LONGEST_READ_S = 3600.0  # a socket's time-out ends after 24 days

Message = dict[str, Any]


class Seal:
    """Numbers and signs the frames that ``side`` sends in one conversation; both sides hold one for each direction."""

    BYTES = 16

    def __init__(
        self, secret: bytes, side: str, client_nonce: str, server_nonce: str, rank: int | None
    ) -> None:
        text = json.dumps([PROTOCOL, "frames", side, client_nonce, server_nonce, rank])
        self._key = mac(secret, text.encode())
        self._count = 0

    def next(self, body: bytes) -> bytes:
        """The seal of the next frame, if ``body`` is what it says."""
        numbered = self._count.to_bytes(8, "big") + body
        self._count += 1
        return mac(self._key, numbered)[: self.BYTES]


def encode_frame(message: Message, seal: Seal | None = None) -> bytes:
    """Return ``message`` as one frame, sealed as the next of its conversation where ``seal`` is given.

    Its "value" may be bytes, if it is sealed.

    Raises:
        ValueError: the text would be larger than ``MAX_FRAME_BYTES``, or the value than ``MAX_VALUE_BYTES``.
    """
    value = message.get("value")
    has_bytes = isinstance(value, bytes) and seal is not None
    text = {name: part for name, part in message.items() if name != "value"} if has_bytes else message
    body = json.dumps(text, separators=(",", ":")).encode()
    if len(body) > MAX_FRAME_BYTES:
        raise ValueError(f"a store message may have {MAX_FRAME_BYTES} bytes, this one has {len(body)}")
    if isinstance(value, bytes) and has_bytes:
        if len(value) > MAX_VALUE_BYTES:
            raise ValueError(f"a store value may have {MAX_VALUE_BYTES} bytes, this one has {len(value)}")
        body += b"\n" + value
    mark = b"" if seal is None else seal.next(body)
    return _LENGTH.pack(len(mark) + len(body)) + mark + body


class FrameReader:
    """Cuts a byte stream into messages; refuses a frame over ``limit_bytes`` before its body arrives.

    Where ``seal`` is set, every further frame must bear it.
    """

    def __init__(self, limit_bytes: int = MAX_FRAME_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self.seal: Seal | None = None
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Take bytes as they came from the socket."""
        self._buffer += data

    @property
    def is_empty(self) -> bool:
        """Whether nothing has come behind the last message."""
        return not self._buffer

    def next_message(self) -> Message | None:
        """Return the next whole message, or None when more bytes are needed.

        Raises:
            RendezvousError: the peer does not speak this protocol, or a frame is not the peer's own (then it is an
                AuthenticationError).
        """
        if len(self._buffer) < _LENGTH.size:
            return None
        (size,) = _LENGTH.unpack_from(self._buffer)
        if size > self.limit_bytes + (0 if self.seal is None else Seal.BYTES + 1 + MAX_VALUE_BYTES):
            raise RendezvousError(
                f"a frame of {size} bytes came, at most {self.limit_bytes} are allowed here"
            )
        end = _LENGTH.size + size
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        if self.seal is not None:
            mark, body = body[: Seal.BYTES], body[Seal.BYTES :]
            if not hmac.compare_digest(mark, self.seal.next(body)):
                raise AuthenticationError("a frame came that does not bear this conversation's seal")
            return self._with_value(body)
        return _parse(body)

    def _with_value(self, body: bytes) -> Message:
        text, has_bytes, value = body.partition(b"\n")
        if len(text) > self.limit_bytes or len(value) > MAX_VALUE_BYTES:
            raise RendezvousError(
                f"a frame of {len(text)} bytes and a value of {len(value)} came, which is too much"
            )
        message = _parse(text)
        if has_bytes:
            if "value" in message:
                raise RendezvousError("a frame came that has two values")
            message["value"] = value
        return message


def receive(connection: socket.socket, reader: FrameReader, deadline: float | None = None) -> Message:
    """Block until one whole message has come.

    The socket's own time-out applies to each read; ``deadline`` (``time.monotonic``) to all of them, so that a peer
    that sends a byte now and then does not hold anybody.

    Raises:
        TimeoutError: the time is up.
        ConnectionResetError: the peer closed the connection.
        RendezvousError: the peer does not speak this protocol.
    """
    while (message := reader.next_message()) is None:
        if deadline is not None:
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0:
                raise TimeoutError("timed out")
            connection.settimeout(min(remaining_s, _LONGEST_READ_S))
        try:
            data = connection.recv(1 << 16)
        except TimeoutError:
            if deadline is None or time.monotonic() >= deadline:
                raise
            continue
        if not data:
            raise ConnectionResetError("the peer closed the connection")
        reader.feed(data)
    return message


def _parse(body: bytes) -> Message:
    try:
        message = json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise RendezvousError("a frame came that is not JSON") from None
    if not isinstance(message, dict):
        raise RendezvousError(f"a frame came that is not a JSON object but {type(message).__name__}")
    return message


def _unique(pairs: list[tuple[str, Any]]) -> Message:
    found = dict(pairs)
    if len(found) < len(pairs):  # which of the two would count?
        raise ValueError("a name stands twice in one object")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def encode_value(value: bytes) -> str:
    """Return bytes as text that JSON can carry."""
    return base64.b64encode(value).decode("ascii")


def decode_value(text: object) -> bytes:
    """Undo ``encode_value``, and pass bytes on; raises RendezvousError on anything else."""
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str):
        raise RendezvousError(f"a store value came that is not text but {type(text).__name__}")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RendezvousError("a store value came that is not base64") from None


def mac(key: bytes, text: bytes) -> bytes:
    """Return 32 bytes that only who has ``key`` can make of ``text``.

    Source: RFC 7693, section 2.9 (keyed BLAKE2b); a key over 64 bytes is hashed first, as for HMAC (RFC 2104).
    """
    if len(key) > hashlib.blake2b.MAX_KEY_SIZE:
        key = hashlib.blake2b(key).digest()
    return hashlib.blake2b(text, key=key, digest_size=_MAC_BYTES).digest()


def new_nonce() -> str:
    """Return 32 random bytes in hex."""
    return os.urandom(32).hex()


def prove(secret: bytes, side: str, client_nonce: str, server_nonce: str, rank: int | None) -> str:
    """Return ``side``'s proof that it holds ``secret``, bound to this connection and the claimed rank."""
    text = json.dumps([PROTOCOL, side, client_nonce, server_nonce, rank])
    return mac(secret, text.encode()).hex()


def is_proof(claimed: object, expected: str) -> bool:
    """Compare a peer's proof in constant time."""
    return isinstance(claimed, str) and hmac.compare_digest(
        claimed.encode(errors="replace"), expected.encode()
    )
