"""The collector's counts as a file."""

from __future__ import annotations

from pathlib import Path

from squeezeflow_plugin.bars.outcomes import Counts
from squeezeflow_plugin.collector.stats import Stats, Tally
from squeezeflow_plugin.jsonfile import read_json, replace_json
from squeezeflow_plugin.market import Trade


def snapshot(tally: Tally) -> Stats:
    return tally.snapshot(
        collector="main",
        last_second=7,
        markets=2,
        counts=Counts(10, 1, 2, 3, 4, 5),
        reconnects={"broken": 4, "silent": 2},
        pending_records=8,
        offsets_ns={"BINANCE": -1_261_000_000},
        skew_ns=-1_261_000_000,
    )


def test_the_file_says_what_was_counted(tmp_path: Path) -> None:
    tally = Tally()
    tally.bars, tally.revisions = 3, 1
    tally.received.update({"BINANCE": 8, "OKEX": 1})
    tally.rejected["BINANCE: broken"] += 2
    for delay in (410.0, 430.0, 420.0):
        tally.stored(delay)
    path = tmp_path / "collector.json"
    replace_json(path, snapshot(tally), indented=True)
    stats = read_json(path, Stats)
    assert stats is not None
    assert (stats.bars, stats.trades_received, stats.revisions, stats.late, stats.ahead) == (3, 9, 1, 1, 5)
    assert stats.rejected == {"BINANCE: broken": 2}
    assert stats.closing_delay_ms == (420.0, 430.0)
    assert stats.skew_ms == -1261.0


def test_what_a_frame_brought_is_counted_by_exchange_with_its_lag() -> None:
    tally = Tally()
    for exchange, lag_ms, liquidations in (("OKEX", 30, 0), ("OKEX", 700, 2), ("BYBIT", -5, 1)):
        trades = [
            Trade(
                f"{exchange}:BTC", 10**9, str(n), 1.0, 1.0, 1.0, 1,
                liquidation=n < liquidations, received_ns=10**9 + lag_ms * 10**6,
            )
            for n in range(3)
        ]  # fmt: skip
        tally.arrived(trades)
    stats = snapshot(tally)
    assert (stats.received, stats.liquidations) == ({"OKEX": 6, "BYBIT": 3}, {"OKEX": 2, "BYBIT": 1})
    assert (stats.trades_received, stats.reconnects) == (9, 6)
    lags = dict(tally.lags["OKEX"].buckets().cumulative())
    assert (lags["0.025"], lags["0.05"], lags["0.5"], lags["1.0"]) == (0, 1, 1, 2)
    assert tally.lags["BYBIT"].buckets().total_s == 0.0  # our clock is behind


def test_nothing_stored_is_no_delay() -> None:
    assert snapshot(Tally()).closing_delay_ms is None
