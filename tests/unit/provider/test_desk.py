"""Pairs to markets, and desks that start anywhere deciding what one that ran all along decides."""

from __future__ import annotations

import msgspec
import pytest

from squeezeflow_plugin.errors import SettingsError, StoreEmptyError, UnknownInstrumentError
from squeezeflow_plugin.phases.decision import Decision
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.provider.closings import closed_seconds
from squeezeflow_plugin.provider.desk import Desk, Watched, open_desk, pair_markets, spec_of
from squeezeflow_plugin.provider.timeline import TimelineSpec
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.memory import MemoryBarStore
from tests.reference.flows import Episode, scripted_frame
from tests.unit.provider.records import INSTRUMENTS, MARKETS, script

PAIRS = {"BTC/USDT": MARKETS}
SPEC = TimelineSpec(Params(), hold_rows=7_800, horizon_s=600)


@pytest.fixture(scope="module")
def store() -> MemoryBarStore:
    told = script(scripted_frame(8, 13_500, (Episode(10_400, 1),)), seed=8, late=0.02)
    store = MemoryBarStore()
    store.put_instruments(INSTRUMENTS)
    store.append(told.records)
    return store


def span_of(store: MemoryBarStore) -> tuple[int, int]:
    span = store.span()
    assert span is not None
    return span


def run(desk: Desk, store: MemoryBarStore, stop: int) -> list[Decision]:
    start = desk.next_second
    return [item.decision for closed in closed_seconds(store, start, stop) for item in desk.push(closed)]


def test_a_desk_that_starts_later_decides_the_same_to_the_bit(store: MemoryBarStore) -> None:
    _, stop = span_of(store)
    begin = stop - 1_700
    early = open_desk(store, PAIRS, SPEC, begin)
    decided = run(early, store, stop)
    assert len(decided) == 1_700
    assert any(decision.event for decision in decided)
    for start in (begin + 500, stop - 100):
        late = open_desk(store, PAIRS, SPEC, start)
        again = run(late, store, stop)
        assert [msgspec.structs.astuple(d) for d in again] == [
            msgspec.structs.astuple(d) for d in decided[start - begin :]
        ]


def test_a_desk_reads_from_a_full_hour_and_knows_what_was_traded_before(store: MemoryBarStore) -> None:
    first, stop = span_of(store)
    small = TimelineSpec(Params(), hold_rows=7_800, horizon_s=600)
    begin = first + 12_900  # so that the oldest row needed lies behind the store's second full hour
    desk = open_desk(store, PAIRS, small, begin)
    rows = desk.timelines["BTC/USDT"].rows
    assert rows.first % 3_600 == 0
    assert rows.first > first
    whole = open_desk(store, PAIRS, TimelineSpec(Params(), 14_000, 600), begin)
    assert whole.timelines["BTC/USDT"].rows.first == first
    for one, other in zip(run(desk, store, stop), run(whole, store, stop), strict=True):
        assert msgspec.structs.astuple(one) == msgspec.structs.astuple(other)


def test_a_trade_that_is_open_is_watched_from_its_entry_on(store: MemoryBarStore) -> None:
    _, stop = span_of(store)
    begin = stop - 1_700
    decided = run(open_desk(store, PAIRS, SPEC, begin), store, stop)
    event = next(decision for decision in decided if decision.event)
    watched = Watched("BTC/USDT", 4, event.second, event.event)
    desk = open_desk(
        store, PAIRS, SPEC, event.second + 40, [watched, Watched("ETH/USDT", 5, event.second, 1)]
    )
    assert desk.timelines["BTC/USDT"].watched == {4}


def test_an_empty_store_is_named(store: MemoryBarStore) -> None:
    with pytest.raises(StoreEmptyError, match="before second 100"):
        open_desk(store, PAIRS, SPEC, 100)
    with pytest.raises(StoreEmptyError):
        open_desk(MemoryBarStore(), PAIRS, SPEC, 100)


def test_pairs_find_their_markets() -> None:
    assert pair_markets(INSTRUMENTS, "binance", "BTC/USDT", ("USDT", "USDC")) == MARKETS
    futures = pair_markets(INSTRUMENTS, "binance", "BTC/USDT:USDT", ("USDT", "USDC"))
    assert futures.reference == "BINANCE_FUTURES:btcusdt"
    with pytest.raises(UnknownInstrumentError, match="ETH/USDT"):
        pair_markets(INSTRUMENTS, "binance", "ETH/USDT", ("USDT",))
    with pytest.raises(SettingsError, match="'BTCUSDT' is not of the form"):
        pair_markets(INSTRUMENTS, "binance", "BTCUSDT", ("USDT",))


def test_a_desk_serves_candles_of_its_pairs(store: MemoryBarStore) -> None:
    desk = open_desk(store, PAIRS, SPEC, span_of(store)[1])
    assert list(desk.pairs) == ["BTC/USDT"]
    assert len(desk.candles("BTC/USDT", 300)) > 20


def test_the_settings_say_the_measures() -> None:
    spec = spec_of(Settings(lookback_hours=3, revision_horizon_s=300, params={"setup_ttl": 2400}))
    assert (spec.hold_rows, spec.horizon_s, spec.rerun_rows) == (10_800, 300, 8_100)
