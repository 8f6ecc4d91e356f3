from __future__ import annotations

import pytest

from squeezeflow_plugin.market import MarketKind
from squeezeflow_plugin.simulator.dialect import Ask, Refused, Stock, read, spelled
from squeezeflow_plugin.simulator.peers import dialects, echoes
from squeezeflow_plugin.simulator.profiles import asset_profile
from tests.unit.simulator.markets import ORIGIN, venue_of

NOW_MS = (ORIGIN + 60) * 1000


def test_a_stock_finds_by_symbol_and_fit_and_shows_what_has_happened() -> None:
    venue = venue_of("BTC", echoes=echoes(["BYBIT"], [asset_profile("BTC")]))
    venue.extend(ORIGIN + 120)
    stock = Stock(venue.echoes, lambda market: venue.tapes[market].trades(NOW_MS), lambda: NOW_MS)
    spot = stock.find("BTCUSDT", lambda instrument: instrument.kind is MarketKind.SPOT)
    assert spot is not None
    assert (spot.market, stock.find("NO"), stock.now_ms) == ("BYBIT:BTCUSDT-SPOT", None, NOW_MS)
    past = stock.past(spot)
    assert past.at_ms[-1] <= NOW_MS
    newest = stock.newest(spot, 3)
    assert [row.number for row in newest] == past.ids[:-4:-1].tolist()
    assert stock.newest(spot, 0) == []
    between = stock.between(spot, int(past.ids[0]), int(past.ids[3]))
    assert between.ids.tolist() == past.ids[1:3].tolist()
    assert [float(row.price) for row in spelled(spot, past)] == past.price.tolist()


def test_a_number_that_is_none_is_refused() -> None:
    assert Ask("/", {"limit": "7"}).number("limit", 1) == 7
    assert Ask("/").number("limit", 1) == 1
    with pytest.raises(Refused, match="limit must be a number, was -1") as caught:
        Ask("/", {"limit": "-1"}).number("limit", 1)
    assert caught.value.status == 400


def test_what_is_no_json_is_none() -> None:
    assert (read("{"), read('{"a":1}'), read("\ud800")) == (None, {"a": 1}, None)


@pytest.mark.parametrize("name", sorted(dialects()))
def test_every_exchange_speaks_of_its_own_markets_alone(name: str) -> None:
    dialect = dialects()[name]
    markets = dialect.markets(asset_profile("ETH"))
    assert {market.instrument.exchange for market in markets} == {name}
    assert {market.instrument.kind for market in markets} == {MarketKind.SPOT, MarketKind.PERP}
    assert {market.instrument.base for market in markets} == {"ETH"}
    assert all(path.startswith("/") for path in dialect.sockets)
