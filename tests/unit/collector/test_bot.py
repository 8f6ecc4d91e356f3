"""What the health page knows of a bot: its decisions, and the reasons that stand now."""

from __future__ import annotations

from pathlib import Path

import pytest

from squeezeflow_plugin.collector.bot import BotWatch
from squeezeflow_plugin.jsonfile import replace_json
from squeezeflow_plugin.store.botstatus import STATUS_FILE, BotStatus
from squeezeflow_plugin.store.decisions import DecisionLog, LoggedDecision, TradeEvent


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
    replace_json(
        tmp_path / STATUS_FILE, BotStatus(0, 101, 0.0, 0, {"BTC/USDT": "second 101 was not closed in time"})
    )
    found = watch.look()
    assert found is not None
    assert [(pair.veto, pair.score) for pair in found.pairs] == [
        ("second 101 was not closed in time", 4.5),
        ("hole_spot_5m", 4.5),
    ]
    assert [(pair.phase, pair.entries) for pair in found.pairs] == [(None, 0), (None, 0)]
    watch.close()


@pytest.mark.parametrize(
    ("numbers", "phase"),
    [
        ((0.0, 0.0, 0.0, 0.0), 0),
        ((-1.0, 0.0, 0.0, 0.0), -1),
        ((1.0, -1.0, 0.0, 0.0), -2),
        ((1.0, 1.0, 2.0, 0.0), 3),
        ((0.0, -1.0, 1.0, -1.0), -4),
    ],
)
def test_the_furthest_phase_and_the_trades_entered_come_from_the_log(
    tmp_path: Path, numbers: tuple[float, ...], phase: float
) -> None:
    path = tmp_path / "decisions.sqlite"
    log = DecisionLog(path, ("regime", "setup", "reset_active", "entry"), "engine")
    events = [
        TradeEvent(kind, "BTC/USDT", trade, 100, 1, "t", 100, at_ns, 1.0, 2.0)
        for at_ns, (kind, trade) in enumerate(
            (("entry_fill", 1), ("entry_fill", 1), ("exit_fill", 1), ("entry_fill", 2), ("entry_order", 3))
        )
    ]
    log.append([LoggedDecision(pair, 100, 100, 0, 1.0, numbers) for pair in ("BTC/USDT", "ETH/USDT")], events)
    log.close()
    watch = BotWatch(path)
    found = watch.look()
    watch.close()
    assert found is not None
    assert [(pair.phase, pair.entries) for pair in found.pairs] == [(phase, 2), (phase, 0)]
