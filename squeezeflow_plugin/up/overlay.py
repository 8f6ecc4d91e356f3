"""The part of FreqTrade's configuration that belongs to one machine and one run.

``user_data/config.json`` says what the bot does; the overlay, written into the run's own folder and
readable by its owner only, adds where the exchange is, which port and credentials the API server has, and
where the trades are kept. Credentials are made at the first run and never leave the folder.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from squeezeflow_plugin.errors import ProcessError, SettingsError

LOOPBACK = "127.0.0.1"
_FREE_FROM, _FREE_TO = 20_000, 32_768


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What FreqTrade's API server asks for."""

    username: str
    password: str
    jwt_secret_key: str
    ws_token: str


def credentials(path: Path) -> Credentials:
    """Read the credentials, or make them where there are none (mode 0600).

    Raises SettingsError where the file cannot be read as credentials; it is left as it is.
    """
    if path.exists():
        try:
            return msgspec.json.decode(path.read_bytes(), type=Credentials)
        except msgspec.MsgspecError as error:
            raise SettingsError(
                f"{path} does not hold API credentials: {error}; delete it to make new ones"
            ) from error
    made = Credentials(
        "freqtrader", secrets.token_urlsafe(18), secrets.token_hex(32), secrets.token_urlsafe(25)
    )
    write_private(path, msgspec.json.format(msgspec.json.encode(made)))
    return made


def write_private(path: Path, body: bytes) -> None:
    """Write a file that only its owner can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(body)


def claim_port(port: int, what: str) -> int:
    """The port itself where it is free, or a free one for 0; ProcessError where another program has it.

    A free one lies below those that Linux gives to whoever connects, and before the child that is told of it
    binds it many connections are made.
    """
    while port == 0:
        candidate = _FREE_FROM + secrets.randbelow(_FREE_TO - _FREE_FROM)
        port = candidate if _refusal(candidate) is None else 0
    refusal = _refusal(port)
    if refusal is not None:
        raise ProcessError(
            f"port {port} for {what} is taken ({refusal.strerror}); choose another one or stop its owner;"
            " nothing is started"
        ) from refusal
    return port


def _refusal(port: int) -> OSError | None:
    """Why a server could not bind the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            return error
    return None


def traded_pairs(assets: Iterable[str], *, futures: bool) -> list[str]:
    """Binance's pairs of these assets in FreqTrade's spelling.

    >>> traded_pairs(["BTC"], futures=False), traded_pairs(["BTC"], futures=True)
    (['BTC/USDT'], ['BTC/USDT:USDT'])
    """
    return [f"{asset}/USDT:USDT" if futures else f"{asset}/USDT" for asset in assets]


def bot_overlay(run_dir: Path, login: Credentials, api_port: int, exchange: dict[str, Any]) -> dict[str, Any]:
    """FreqTrade's configuration for this run; ``exchange`` replaces parts of its exchange block."""
    overlay: dict[str, Any] = {
        "dry_run": True,  # whatever the folder's configuration says: real orders take FreqTrade's own command
        "db_url": f"sqlite:///{(run_dir / 'trades.sqlite').resolve()}",
        "api_server": {
            "enabled": True,
            "listen_ip_address": LOOPBACK,
            "listen_port": api_port,
            **msgspec.structs.asdict(login),
        },
    }
    if exchange:
        overlay["exchange"] = exchange
    return overlay
