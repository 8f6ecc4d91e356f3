"""The state line and the summary say what the log says."""

from __future__ import annotations

from squeezeflow_plugin.store.decisions import LoggedDecision, TradeEvent
from squeezeflow_plugin.up import report

COLUMNS = (
    "regime", "setup", "reset", "score_reset", "score_absorption", "score_breakdown", "score_bias",
    "score_oi", "score", "entry", "ready",
)  # fmt: skip


def row(pair: str = "BTC/USDT", second: int = 3600, veto: str = "", **values: float) -> LoggedDecision:
    numbers = tuple({"ready": 1.0, **values}.get(column, 0.0) for column in COLUMNS)
    return LoggedDecision(pair, second, second, 0, 431.4, numbers, veto, COLUMNS, "engine")


def event(kind: str, pair: str, at_ns: int = 0) -> TradeEvent:
    return TradeEvent(kind, pair, 1, 3500, 1, "sf:5.6", 3501, at_ns, 100.0, 50.0)


def test_phase_is_the_furthest_reached() -> None:
    assert report.phase_of(row(ready=0.0), in_trade=False) == "warming up"
    assert report.phase_of(row(), in_trade=False) == "0 quiet"
    assert report.phase_of(row(regime=-1.0), in_trade=False) == "1 long squeeze"
    assert report.phase_of(row(regime=1.0, setup=1.0), in_trade=False) == "2 setup long"
    assert report.phase_of(row(setup=1.0, reset=2.0), in_trade=False) == "3 reset B"
    assert report.phase_of(row(setup=-1.0, reset=1.0, entry=-1.0), in_trade=False) == "4 entry short"
    assert report.phase_of(row(), in_trade=True) == "5 exit watch"


def test_state_line_names_phase_score_parts_veto_latency_and_trades() -> None:
    rows = [
        row(setup=1.0, score=3.5, score_reset=2.1, score_bias=1.4),
        row("ETH/USDT", veto="hole_spot_5m"),
    ]
    line = report.state_line(rows, {"SOL/USDT"})
    assert line == (
        "01:00:00 | BTC/USDT 2 setup long 3.5 (reset 2.1 bias 1.4) | ETH/USDT 0 quiet 0.0 veto hole_spot_5m"
        " | 431 ms | open: SOL/USDT"
    )


def test_a_trade_is_open_between_its_fills() -> None:
    events = [
        event("entry_fill", "BTC/USDT"),
        event("entry_fill", "ETH/USDT"),
        event("exit_fill", "BTC/USDT"),
    ]
    assert report.open_pairs(events) == {"ETH/USDT"}
