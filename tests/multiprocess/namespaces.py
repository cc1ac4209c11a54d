"""Two machines as far as the network goes: network namespaces, joined by a cable."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Machine:
    """One namespace.

    Attributes:
        prefix: goes before a command that is to run in it.
        address: its address on the cable.
        cable: the name of its end of the cable.
    """

    name: str
    prefix: tuple[str, ...]
    address: str
    cable: str

    def cut(self) -> None:
        """Take the cable out of the machine's network, as if it had lost its power."""
        _ip("-n", self.name, "link", "set", self.cable, "down")

    def mend(self) -> None:
        """Plug it in again."""
        _ip("-n", self.name, "link", "set", self.cable, "up")


def can_make_namespaces() -> bool:
    """Whether this process may, which needs root (or CAP_NET_ADMIN and CAP_SYS_ADMIN) and iproute2."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    name = f"distrt{uuid.uuid4().hex[:8]}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
    if made:
        subprocess.run(["ip", "netns", "delete", name], check=False)
    return made


needs_namespaces = pytest.mark.skipif(
    not can_make_namespaces(), reason="making network namespaces needs root and iproute2"
)


@contextmanager
def two_machines() -> Iterator[tuple[Machine, Machine]]:
    """Namespaces 10.77.0.1 and 10.77.0.2, removed in the end."""
    token = uuid.uuid4().hex[:6]
    names = [f"distrt{token}{side}" for side in "ab"]
    cables = [f"dv{token}{side}" for side in "ab"]
    try:
        for name in names:
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("link", "add", cables[0], "netns", names[0], "type", "veth", "peer", cables[1], "netns", names[1])
        machines = []
        for number, (name, cable) in enumerate(zip(names, cables, strict=True), start=1):
            address = f"10.77.0.{number}"
            _ip("-n", name, "address", "add", f"{address}/24", "dev", cable)
            _ip("-n", name, "link", "set", cable, "up")
            machines.append(Machine(name, ("ip", "netns", "exec", name), address, cable))
        time.sleep(1.0)  # a new cable has no speed yet, and libfabric would rather use loopback
        yield machines[0], machines[1]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def _ip(*arguments: str) -> None:
    run = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"ip {' '.join(arguments)}: {run.stderr}"
