"""A bot's status is read as it was written."""

from __future__ import annotations

from pathlib import Path

from squeezeflow_plugin.jsonfile import read_json, replace_json
from squeezeflow_plugin.store.botstatus import STATUS_FILE, BotStatus, OpenPosition


def test_what_is_written_is_read(tmp_path: Path) -> None:
    status = BotStatus(1, 2, -3.5, 0, {"BTC/USDT": ""}, (OpenPosition("BTC/USDT", 1, -1, 0, "range_break"),))
    replace_json(tmp_path / STATUS_FILE, status)
    assert read_json(tmp_path / STATUS_FILE, BotStatus) == status
