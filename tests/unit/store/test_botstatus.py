"""A bot's status is read as a whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from squeezeflow_plugin.store.botstatus import BotStatus, OpenPosition, read_status, write_status


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bot.json"
    assert read_status(path) is None
    status = BotStatus(1, 2, -3.5, 0, {"BTC/USDT": ""}, (OpenPosition("BTC/USDT", 1, -1, 0, "range_break"),))
    write_status(path, status)
    assert read_status(path) == status
    assert [item.name for item in tmp_path.iterdir()] == ["bot.json"]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"at_ns": "soon"}'])
def test_another_versions_file_is_none(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "bot.json"
    path.write_bytes(body)
    assert read_status(path) is None
