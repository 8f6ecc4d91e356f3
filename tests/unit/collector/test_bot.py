"""What the health page knows of a bot: its decisions, and the reasons that stand now."""

from __future__ import annotations

from pathlib import Path

from squeezeflow_plugin.collector.bot import BotWatch
from squeezeflow_plugin.store.botstatus import STATUS_FILE, BotStatus, write_status
from squeezeflow_plugin.store.decisions import DecisionLog, LoggedDecision


def test_the_reason_that_stands_now_goes_before_the_one_that_was_decided(tmp_path: Path) -> None:
    path = tmp_path / "decisions.sqlite"
    watch = BotWatch(path)
    assert watch.look() is None
    log = DecisionLog(path, ("score",), "engine")
    log.append(
        LoggedDecision(pair, 100, 100, 0, 400.0, (4.5,), veto)
        for pair, veto in (("BTC/USDT", ""), ("ETH/USDT", "hole_spot_5m"))
    )
    log.close()
    found = watch.look()
    assert found is not None
    assert [pair.veto for pair in found.pairs] == ["", "hole_spot_5m"]
    write_status(
        tmp_path / STATUS_FILE, BotStatus(0, 101, 0.0, 0, {"BTC/USDT": "second 101 was not closed in time"})
    )
    found = watch.look()
    assert found is not None
    assert [(pair.veto, pair.score) for pair in found.pairs] == [
        ("second 101 was not closed in time", 4.5),
        ("hole_spot_5m", 4.5),
    ]
    watch.close()
