"""Credentials are made once, private, and never guessed at."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from squeezeflow_plugin.errors import ProcessError, SettingsError
from squeezeflow_plugin.up.overlay import bot_overlay, claim_port, credentials


def test_credentials_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "made" / "credentials.json"
    first = credentials(path)
    assert credentials(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert credentials(tmp_path / "other.json").password != first.password


def test_unreadable_credentials_are_named_and_left(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    path.write_text('{"username": "x"}', encoding="utf-8")
    with pytest.raises(SettingsError, match=r"credentials\.json does not hold API credentials"):
        credentials(path)
    assert path.read_text(encoding="utf-8") == '{"username": "x"}'


def test_a_taken_port_is_said_in_one_sentence() -> None:
    with socket.socket() as owner:
        owner.bind(("127.0.0.1", 0))
        owner.listen()
        port = owner.getsockname()[1]
        with pytest.raises(ProcessError, match=rf"port {port} for the API is taken"):
            claim_port(port, "the API")


def test_a_free_port_is_none_that_an_outgoing_connection_may_be_given() -> None:
    first, _ = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split())
    assert all(1024 <= claim_port(0, "the API") < first for _ in range(100))


def test_overlay_binds_loopback_and_keeps_trades_in_the_run(tmp_path: Path) -> None:
    overlay = bot_overlay(tmp_path, credentials(tmp_path / "c.json"), 8081, {})
    assert overlay["api_server"]["listen_ip_address"] == "127.0.0.1"
    assert overlay["db_url"] == f"sqlite:///{tmp_path / 'trades.sqlite'}"
    assert "exchange" not in overlay
    assert overlay["dry_run"] is True
