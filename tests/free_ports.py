"""Ports for servers that a test starts, kills and starts again where their clients expect them."""

from __future__ import annotations

import itertools
import os
import socket
from typing import Final

LOOPBACK: Final = "127.0.0.1"
_FIRST: Final = 20_000
_STOP: Final = 32_768
_PLACES: Final = itertools.count(211 * os.getpid())
"""Test processes side by side begin at different places."""


def free_port() -> int:
    """A port that nobody listens on now, and that this process was not given before.

    It lies below those that Linux gives to whoever connects: among them a client that calls a server while
    it is down may be given the server's own port, is then connected to itself, and the server cannot return.
    """
    while True:
        port = _FIRST + next(_PLACES) % (_STOP - _FIRST)
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:  # somebody's
                continue
        return port
