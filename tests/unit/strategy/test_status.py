"""The bot's own file: what holds now, and what it counted since its start."""

from __future__ import annotations

from pathlib import Path

import pytest

from squeezeflow_plugin.jsonfile import read_json
from squeezeflow_plugin.store.botstatus import STATUS_FILE, BotStatus, OpenPosition
from squeezeflow_plugin.strategy.status import StatusFile


def test_vetoes_are_counted_by_reason_and_durations_by_size(tmp_path: Path) -> None:
    status = StatusFile(tmp_path)
    status.decided(3_000_000)
    status.decided(40_000_000)
    position = OpenPosition("BTC/USDT", 1, 1, 100)
    for second, reason in enumerate(("warming_up", "second 101 ended 2.4 s ago", "second 102 ended 3 s ago")):
        status.tell(second, 101 + second, 0.5, 0, {"BTC/USDT": reason, "ETH/USDT": ""}, [position])
    told = read_json(tmp_path / STATUS_FILE, BotStatus)
    assert told is not None
    assert told.vetoes == {"BTC/USDT": "second 102 ended 3 s ago", "ETH/USDT": ""}
    assert told.positions == (position,)
    assert told.vetoed == {"BTC/USDT": {"warming_up": 1, "second N ended N s ago": 2}}
    assert told.deciding is not None
    found = dict(told.deciding.cumulative())
    assert (found["0.0025"], found["0.005"], found["0.05"], found["+Inf"]) == (0, 1, 2, 2)
    assert told.deciding.total_s == pytest.approx(0.043)


def test_a_disk_that_refuses_does_not_stop_the_bot(tmp_path: Path) -> None:
    StatusFile(tmp_path / "absent").tell(0, 1, 0.0, 0, {}, [])
    assert list(tmp_path.iterdir()) == []
