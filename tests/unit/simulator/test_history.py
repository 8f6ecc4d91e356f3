from __future__ import annotations

from squeezeflow_plugin.bars.builder import BarBuilder
from squeezeflow_plugin.market import Bar, Trade
from squeezeflow_plugin.simulator.history import COLLECTOR, write_history
from squeezeflow_plugin.simulator.tape import Tape
from squeezeflow_plugin.simulator.venue import Venue
from squeezeflow_plugin.store.memory import MemoryBarStore
from tests.unit.simulator.markets import ORIGIN, venue_of

SECONDS = 150


def wire_trades(tape: Tape, start: int, stop: int) -> list[Trade]:
    """The tape's trades as a collector would have received them."""
    made = []
    for forced, trades in enumerate(tape.span(start * 1000, stop * 1000)):
        columns = (trades.at_ms, trades.ids, trades.price.tolist(), trades.size.tolist(), trades.side)
        made += [
            Trade(
                tape.profile.market,
                int(at) * 10**6,
                str(number),
                price,
                size,
                price * size,
                int(side),
                liquidation=bool(forced),
            )
            for at, number, price, size, side in zip(*columns, strict=True)
        ]
    return made


def built(venue: Venue) -> dict[int, list[Bar]]:
    """The bars that the live builder makes of the same trades."""
    builder = BarBuilder(10_000)
    builder.begin(ORIGIN)
    for tape in venue.tapes.values():
        for trade in wire_trades(tape, ORIGIN, ORIGIN + SECONDS):
            builder.add(trade)
    return {second: list(builder.close(second).bars) for second in range(ORIGIN, ORIGIN + SECONDS)}


def test_history_is_what_the_collector_would_have_written() -> None:
    store, venue = MemoryBarStore(), venue_of("SOL", "BTC")
    write_history(store, venue, ORIGIN, ORIGIN + SECONDS)
    bars = built(venue)
    records = list(store.records(ORIGIN, ORIGIN + SECONDS))
    assert [record.second for record in records] == list(range(ORIGIN, ORIGIN + SECONDS))
    for record in records:
        # compared as text, because NaN prices (liquidations alone) equal nothing
        assert list(map(str, record.bars)) == list(map(str, bars[record.second]))
        assert record.collector == COLLECTOR
        assert record.covered == tuple(sorted(venue.tapes))
        assert record.closed_ns > (record.second + 1) * 10**9


def test_going_on_inside_a_minute_gives_what_one_call_gives() -> None:
    at_once, in_parts = MemoryBarStore(), MemoryBarStore()
    write_history(at_once, venue_of("SOL"), ORIGIN, ORIGIN + SECONDS)
    venue = venue_of("SOL")
    write_history(in_parts, venue, ORIGIN, ORIGIN + 97)
    write_history(in_parts, venue, ORIGIN + 97, ORIGIN + SECONDS)
    span = (ORIGIN, ORIGIN + SECONDS)
    assert list(at_once.records(*span)) == list(in_parts.records(*span))


def test_the_store_learns_what_the_markets_are() -> None:
    store = MemoryBarStore()
    write_history(store, venue_of("SOL"), ORIGIN, ORIGIN + 5)
    assert [i.market for i in store.instruments()] == ["BINANCE:solusdt", "BINANCE_FUTURES:solusdt"]
