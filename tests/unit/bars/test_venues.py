"""Every exchange that FreqTrade trades has its venues."""

from __future__ import annotations

import pytest
from freqtrade.exchange.common import SUPPORTED_EXCHANGES

from squeezeflow_plugin.bars.flow import asset_markets, reference_market
from squeezeflow_plugin.bars.venues import VENUES, asset_of, venues_of
from squeezeflow_plugin.feeds import registry
from squeezeflow_plugin.market import Instrument, MarketKind

ALIKE = {"BINANCE_US", "BINGX", "BITMART"}  # venues without an adapter here: read from another collector


def test_every_exchange_that_freqtrade_supports_is_in_the_table() -> None:
    assert set(SUPPORTED_EXCHANGES) <= set(VENUES)


def test_every_venue_is_one_that_can_be_collected_or_is_named() -> None:
    venues = {venue for names in VENUES.values() for venue in names}
    assert venues - set(registry.names()) == ALIKE


@pytest.mark.parametrize("exchange", sorted(VENUES))
def test_a_pair_of_each_exchange_finds_its_market(exchange: str) -> None:
    venue = venues_of(exchange)[0]
    spot = Instrument(f"{venue}:x", "X", MarketKind.SPOT, "BTC", "USDT", "USDT")
    other = Instrument("ELSEWHERE:x", "X", MarketKind.SPOT, "BTC", "USDT", "USDT")
    assert reference_market([other, spot], exchange, "BTC", "USDT", MarketKind.SPOT) == spot


def test_a_thousand_units_are_the_same_asset() -> None:
    spot = Instrument("BINANCE:pepeusdt", "PEPEUSDT", MarketKind.SPOT, "PEPE", "USDT", "USDT")
    perp = Instrument("BINANCE_FUTURES:1000pepeusdt", "X", MarketKind.PERP, "1000PEPE", "USDT", "USDT")
    found = asset_markets([spot, perp], perp, ["USDT"])
    assert (found.asset, found.spot, found.perp) == ("PEPE", (spot.market,), (perp.market,))


@pytest.mark.parametrize("name", ["1INCH", "K", "KAVA", "100X", "MBTC"])
def test_names_that_only_look_so_stay(name: str) -> None:
    assert asset_of(name) == name
