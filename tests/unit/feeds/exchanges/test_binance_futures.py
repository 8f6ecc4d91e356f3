"""What is Binance futures' own; its frames are in tests/frames/binance_futures.jsonl."""

from __future__ import annotations

import json

from squeezeflow_plugin.feeds.exchanges.binance_futures import BinanceFutures
from squeezeflow_plugin.market import Instrument, MarketKind

PERP = Instrument("BINANCE_FUTURES:btcusdt", "BTCUSDT", MarketKind.PERP, "BTC", "USDT", "USDT")
GOLD = Instrument("BINANCE_FUTURES:xauusdt", "XAUUSDT", MarketKind.PERP, "XAU", "USDT", "USDT")
DATED = Instrument(
    "BINANCE_FUTURES:btcusdt_260327", "BTCUSDT_260327", MarketKind.FUTURE, "BTC", "USDT", "USDT"
)
COIN = Instrument(
    "BINANCE_FUTURES:btcusd_perp", "BTCUSD_PERP", MarketKind.PERP, "BTC", "USD", "BTC", 100.0, True
)
COIN_DATED = Instrument(
    "BINANCE_FUTURES:ethusd_260327", "ETHUSD_260327", MarketKind.FUTURE, "ETH", "USD", "ETH", 10.0, True
)


def listed(instrument: Instrument, contract_type: str, status: str = "TRADING") -> dict[str, object]:
    described: dict[str, object] = {
        "symbol": instrument.symbol,
        "contractType": contract_type,
        "baseAsset": instrument.base,
        "quoteAsset": instrument.quote,
        "marginAsset": instrument.settle,
    }
    if instrument.inverse:
        return {**described, "contractStatus": status, "contractSize": int(instrument.contract_size)}
    return {**described, "status": status}


def test_instruments_of_both_kinds() -> None:
    adapter = BinanceFutures()
    usdm, coinm = adapter.instrument_requests()
    assert (usdm.url, coinm.url) == (
        "https://fapi.binance.com/fapi/v1/exchangeInfo",
        "https://dapi.binance.com/dapi/v1/exchangeInfo",
    )
    body = {
        "symbols": [
            listed(PERP, "PERPETUAL"),
            listed(GOLD, "TRADIFI_PERPETUAL"),
            listed(DATED, "CURRENT_QUARTER"),
            listed(DATED, "NEXT_QUARTER", "PENDING_TRADING"),
            listed(PERP, ""),
        ]
    }
    assert adapter.parse_instruments(json.dumps(body).encode(), usdm) == (PERP, GOLD, DATED)
    body = {"symbols": [listed(COIN, "PERPETUAL"), listed(COIN_DATED, "NEXT_QUARTER")]}
    body["symbols"].append(listed(COIN_DATED, "CURRENT_QUARTER DELIVERING", "DELIVERING"))
    assert adapter.parse_instruments(json.dumps(body).encode(), coinm) == (COIN, COIN_DATED)


def test_trades_and_liquidations_ride_where_each_is_served() -> None:
    plans = BinanceFutures().plan([PERP, COIN, DATED])
    assert [(plan.url, plan.markets) for plan in plans] == [
        ("wss://fstream.binance.com/public/ws", (PERP.market, DATED.market)),
        ("wss://fstream.binance.com/market/ws", ()),
        ("wss://dstream.binance.com/ws", (COIN.market,)),
    ]
    asked = [json.loads(plan.subscribe[0].text)["params"] for plan in plans]
    assert asked == [
        ["btcusdt@trade", "btcusdt_260327@trade"],
        ["btcusdt@forceOrder", "btcusdt_260327@forceOrder"],
        ["btcusd_perp@trade", "btcusd_perp@forceOrder"],
    ]


def test_contract_size_comes_from_the_instrument_where_there_is_one() -> None:
    adapter = BinanceFutures()
    frame = (
        '{"e":"trade","E":1767225600130,"T":1767225600125,"s":"ETHUSD_260327","t":1,"p":"4000.0","q":"3",'
        '"X":"MARKET","m":false}'
    )
    resized = Instrument(
        COIN_DATED.market, COIN_DATED.symbol, COIN_DATED.kind, "ETH", "USD", "ETH", 20.0, inverse=True
    )
    (plan,) = adapter.plan([resized])
    assert adapter.session(plan).parse(frame, 0).trades[0].quote == 60.0
    assert adapter.parse(frame, 0).trades[0].quote == 30.0
