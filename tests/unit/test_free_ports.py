"""A server's port is nobody else's, also while the server is down."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.free_ports import LOOPBACK, free_port


def test_no_connection_is_given_the_port_of_a_server_that_is_down() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert not {free_port() for _ in range(50)}.intersection(range(first, last + 1))


def test_no_port_is_given_twice_or_while_somebody_listens() -> None:
    with socket.socket() as owner:
        after = free_port() + 1
        owner.bind((LOOPBACK, after))
        owner.listen()
        given = [free_port() for _ in range(50)]
    assert after not in given
    assert len(set(given)) == len(given)
