from __future__ import annotations

import msgspec

from squeezeflow_plugin.feeds.exchanges.binance import BinanceSpot
from squeezeflow_plugin.feeds.exchanges.binance_futures import BinanceFutures
from squeezeflow_plugin.simulator import exchange_info
from squeezeflow_plugin.simulator.profiles import DEFAULT_ASSETS, asset_profiles

PROFILES = asset_profiles(DEFAULT_ASSETS)


def test_the_adapters_read_the_instruments_that_are_simulated() -> None:
    spot, futures = BinanceSpot(), BinanceFutures()
    (request,) = spot.instrument_requests()
    body = msgspec.json.encode(exchange_info.spot([p.spot for p in PROFILES], 5))
    assert spot.parse_instruments(body, request) == tuple(p.spot.instrument for p in PROFILES)
    usdm, coinm = futures.instrument_requests()
    body = msgspec.json.encode(exchange_info.usdm([p.perp for p in PROFILES], 5))
    assert futures.parse_instruments(body, usdm) == tuple(p.perp.instrument for p in PROFILES)
    assert futures.parse_instruments(msgspec.json.encode(exchange_info.coinm(5)), coinm) == ()


def test_filters_state_tick_and_lot_as_each_side_spells_them() -> None:
    btc = PROFILES[0]
    spot = {f["filterType"]: f for f in exchange_info.spot([btc.spot], 0)["symbols"][0]["filters"]}
    perp = {f["filterType"]: f for f in exchange_info.usdm([btc.perp], 0)["symbols"][0]["filters"]}
    assert (spot["PRICE_FILTER"]["tickSize"], spot["LOT_SIZE"]["stepSize"]) == ("0.01000000", "0.00001000")
    assert (perp["PRICE_FILTER"]["tickSize"], perp["LOT_SIZE"]["stepSize"]) == ("0.1", "0.001")
    assert perp["MIN_NOTIONAL"] == {"filterType": "MIN_NOTIONAL", "notional": "5"}
