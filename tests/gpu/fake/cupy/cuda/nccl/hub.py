"""Where the ranks of a fake communicator meet: a thread in the process that made its id.

Collectives are done when all ranks have brought the same one as their n-th; messages when both sides have come.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading
from collections import defaultdict, deque
from functools import reduce
from typing import Any

import numpy as np

from . import wire
from .errors import INVALID_USAGE

_numbers = itertools.count()


def get_unique_id() -> bytes:
    """128 bytes by which ranks find the hub, which begins to listen."""
    listener = socket.socket(socket.AF_UNIX)
    name = f"fake-nccl-{os.getpid()}-{next(_numbers)}"
    listener.bind("\0" + name)
    listener.listen()
    threading.Thread(target=_Hub(listener).run, name="fake nccl hub", daemon=True).start()
    return name.encode().ljust(128, b"\0")


class _Hub:
    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._lock = threading.RLock()
        self._ranks: dict[int, socket.socket] = {}
        self._brought: dict[int, dict[int, dict[str, Any]]] = defaultdict(dict)  # collective -> rank -> what
        self._sends: dict[tuple[int, int], deque[tuple[_Messages, Any]]] = defaultdict(deque)
        self._recvs: dict[tuple[int, int], deque[tuple[_Messages, Any]]] = defaultdict(deque)

    def run(self) -> None:
        devices: dict[int, Any] = {}
        size = 1
        while len(self._ranks) < size:
            connection, _ = self._listener.accept()
            hello = wire.receive(connection)
            size = hello["size"]
            self._ranks[hello["rank"]], devices[hello["rank"]] = connection, hello["device"]
        self._listener.close()
        shared = len(set(devices.values())) < size and os.environ.get("NCCL_MULTI_RANK_GPU_ENABLE") != "1"
        for connection in self._ranks.values():
            wire.send(connection, {"status": INVALID_USAGE if shared else 0})  # duplicate GPU detected
        for rank, connection in self._ranks.items():
            threading.Thread(target=self._serve, args=(rank, connection), daemon=True).start()

    def _serve(self, rank: int, connection: socket.socket) -> None:
        try:
            while True:
                asked = wire.receive(connection)
                with self._lock:
                    (self._post if asked["kind"] == "messages" else self._bring)(rank, asked)
        except (EOFError, OSError):
            connection.close()  # as NCCL, it does not notice that a rank is gone

    def _answer(self, rank: int, **answer: Any) -> None:
        with contextlib.suppress(OSError):  # it is gone
            wire.send(self._ranks[rank], answer)

    # Collectives.

    def _bring(self, rank: int, asked: dict[str, Any]) -> None:
        brought = self._brought[asked["number"]]
        brought[rank] = asked
        if len(brought) < len(self._ranks):
            return
        del self._brought[asked["number"]]
        if (
            len(
                {
                    (each["kind"], each["count"], each["dtype"], each["op"], each["root"])
                    for each in brought.values()
                }
            )
            > 1
        ):
            for other in self._ranks:
                self._answer(other, id=brought[other]["id"], status=INVALID_USAGE)
            return
        for other, data in _done(asked, [brought[other]["data"] for other in range(len(brought))]).items():
            self._answer(other, id=brought[other]["id"], status=0, data=data)

    # Messages.

    def _post(self, rank: int, asked: dict[str, Any]) -> None:
        group = _Messages(rank, asked)
        for part in asked["parts"]:
            ends = (rank, part["peer"]) if part["kind"] == "send" else (part["peer"], rank)
            (self._sends if part["kind"] == "send" else self._recvs)[ends].append((group, part))
            sends, recvs = self._sends[ends], self._recvs[ends]
            while sends and recvs:
                self._match(sends.popleft(), recvs.popleft())

    def _match(self, sent: tuple[_Messages, Any], received: tuple[_Messages, Any]) -> None:
        (sender, outgoing), (receiver, incoming) = sent, received
        fits = (outgoing["count"], outgoing["dtype"]) == (incoming["count"], incoming["dtype"])
        receiver.data[incoming["place"]] = outgoing["data"]
        for group in (sender, receiver):
            group.left -= 1
            group.status = group.status or (0 if fits else INVALID_USAGE)
            if not group.left:
                self._answer(group.rank, id=group.asked["id"], status=group.status, data=group.data)


class _Messages:
    """One rank's, between ``groupStart`` and ``groupEnd``."""

    def __init__(self, rank: int, asked: dict[str, Any]) -> None:
        self.rank, self.asked = rank, asked
        self.left = len(asked["parts"])
        self.status = 0
        self.data: dict[int, bytes] = {}


_COMBINE = {
    "NCCL_SUM": np.add,
    "NCCL_AVG": np.add,
    "NCCL_PROD": np.multiply,
    "NCCL_MIN": np.minimum,
    "NCCL_MAX": np.maximum,
}


def _done(asked: dict[str, Any], brought: list[bytes]) -> dict[int, bytes | None]:
    """What each rank gets; None for nothing."""
    size, root = len(brought), asked["root"]
    match asked["kind"]:
        case "broadcast":
            return dict.fromkeys(range(size), brought[root])
        case "allGather":
            return dict.fromkeys(range(size), b"".join(brought))
        case "allReduce":
            return dict.fromkeys(range(size), _reduced(asked, brought))
        case "reduce":
            return {rank: _reduced(asked, brought) if rank == root else None for rank in range(size)}
    whole, length = _reduced(asked, brought), len(brought[0]) // size
    return {rank: whole[rank * length : (rank + 1) * length] for rank in range(size)}


def _reduced(asked: dict[str, Any], brought: list[bytes]) -> bytes:
    """In the ranks' order, one after another: another one than distrt's tree."""
    import ml_dtypes

    dtype = np.dtype(ml_dtypes.bfloat16 if asked["dtype"] == "bfloat16" else asked["dtype"])
    terms = [np.frombuffer(each, dtype) for each in brought]
    if dtype.itemsize == 2:
        terms = [term.astype(np.float32) for term in terms]
    with np.errstate(all="ignore"):
        total = reduce(_COMBINE[asked["op"]], terms)
        if asked["op"] == "NCCL_AVG":
            total = total / len(terms)
    return total.astype(dtype).tobytes()
