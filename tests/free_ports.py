"""Ports for servers that a test starts, kills and starts again where their clients expect them."""

from __future__ import annotations

import fcntl
import itertools
import os
import socket
import tempfile
from pathlib import Path
from typing import Final

LOOPBACK: Final = "127.0.0.1"
_FIRST: Final = 20_000
_STOP: Final = 32_768
_PLACES: Final = itertools.count(211 * os.getpid())
"""Test processes side by side begin at different places."""
_CLAIMS: Final = Path(tempfile.gettempdir()) / f"squeezeflow-test-ports-{os.getuid()}"


def free_port() -> int:
    """A port that nobody listens on now, and that no test process was given before which still runs.

    It lies below those that Linux gives to whoever connects: among them a client that calls a server while
    it is down may be given the server's own port, is then connected to itself, and the server cannot return.
    """
    while True:
        port = _FIRST + next(_PLACES) % (_STOP - _FIRST)
        if not _claim(port):
            continue
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:  # somebody's
                continue
        return port


def _claim(port: int) -> bool:
    """Whether the port could be made this process's own: a lock that ends with it, whatever happens.

    A server that is down between two lives is seen by no probe.
    """
    _CLAIMS.mkdir(exist_ok=True)
    claim = os.open(_CLAIMS / str(port), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(claim)
        return False
    return True
