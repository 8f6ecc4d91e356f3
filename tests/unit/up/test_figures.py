"""Figures are counted from what was logged and sampled, and nothing is judged on too little."""

from __future__ import annotations

from squeezeflow_plugin.market import NS_PER_SECOND, ClosingRecord
from squeezeflow_plugin.store.decisions import LoggedDecision, TradeEvent
from squeezeflow_plugin.store.memory import MemoryBarStore
from squeezeflow_plugin.up import figures
from squeezeflow_plugin.up.figures import Sample

MS = 1_000_000


def row(pair: str, second: int) -> LoggedDecision:
    return LoggedDecision(pair, second, second, 0, 431.4, ())


def event(kind: str, second: int, at_ms: int, decision_second: int = 99) -> TradeEvent:
    return TradeEvent(kind, "BTC/USDT", 1, decision_second, 1, "sf:5.60", second, at_ms * MS, 100.0, 50.0)


def test_a_second_that_one_pair_lacks_is_missed() -> None:
    rows = [row("BTC/USDT", s) for s in range(10, 15)] + [row("ETH/USDT", s) for s in (10, 11, 13, 14)]
    scored, missed = figures.coverage(rows, ("BTC/USDT", "ETH/USDT"), 10, 15)
    assert (dict(scored), missed) == ({"BTC/USDT": 5, "ETH/USDT": 4}, frozenset({12}))


def test_latency_of_nothing_is_unknown() -> None:
    assert figures.latency([]) is None


def test_an_order_is_measured_from_the_close_that_caused_it() -> None:
    store = MemoryBarStore()
    store.append(ClosingRecord("main", s, (s + 1) * NS_PER_SECOND + 400 * MS) for s in (100, 101))
    events = [
        event("entry_order", 100, 101_450),
        event("entry_fill", 100, 101_500),
        event("entry_order", 101, 102_900),
        event("entry_order", 100, 101_450, decision_second=0),
    ]
    assert figures.order_delays(events, store, "entry_order") == [50.0, 500.0]
    assert figures.order_delays(events, store, "exit_order") == []


def test_growth_is_the_slope_of_the_settled_part() -> None:
    warming = [Sample(at * NS_PER_SECOND, 100.0 + at, 0.0) for at in range(1200)]
    settled = [Sample(at * NS_PER_SECOND, 1300.0, 0.0) for at in range(1200, 3600)]
    assert figures.memory_growth(warming + settled) == 0.0
    assert figures.memory_growth(warming[:100]) is None
    assert figures.memory_growth([]) is None


def test_cpu_needs_two_samples() -> None:
    assert figures.cpu_share([Sample(0, 1.0, 1.0)]) == 0.0
