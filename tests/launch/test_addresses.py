"""Whose an address is."""

import errno
import os
import socket

import pytest

from launch.machines.addresses import is_loopback, is_own, refusal, resolve


def test_an_address_where_one_can_listen_is_ones_own() -> None:
    assert is_own("127.0.0.1") and is_own("localhost")
    assert not is_own("192.0.2.1")  # reserved for documentation
    assert not is_own("no such name")


def test_who_holds_a_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(OSError) as caught, socket.socket() as other:
            other.bind(("127.0.0.1", port))
        said = refusal(caught.value, port)
        assert said.startswith(f"Address already in use (by process {os.getpid()}, "), said
    assert refusal(caught.value, port) == "Address already in use"
    assert refusal(OSError(errno.EADDRNOTAVAIL, "Cannot assign"), port) == "Cannot assign"


def test_a_name_that_leads_to_loopback_is_no_place_to_meet() -> None:
    assert is_loopback(resolve("localhost")) and is_loopback("127.0.1.1") and is_loopback("::1")
    assert not is_loopback("10.0.0.1")
    assert resolve("no such name") == "no such name"
