"""What is Binance spot's own; its frames are in tests/frames/binance.jsonl."""

from __future__ import annotations

import json

import msgspec

from squeezeflow_plugin.feeds.exchanges.binance import BinanceSpot
from squeezeflow_plugin.market import Instrument, MarketKind


def symbol(name: str, base: str, quote: str, status: str = "TRADING") -> dict[str, object]:
    return {"symbol": name, "status": status, "baseAsset": base, "quoteAsset": quote, "filters": []}


def test_instruments_are_the_symbols_that_trade() -> None:
    adapter = BinanceSpot()
    (request,) = adapter.instrument_requests()
    listed = [symbol("BTCUSDT", "BTC", "USDT"), symbol("LUNAUSDT", "LUNA", "USDT", "BREAK")]
    found = adapter.parse_instruments(json.dumps({"symbols": listed}).encode(), request)
    assert found == (Instrument("BINANCE:btcusdt", "BTCUSDT", MarketKind.SPOT, "BTC", "USDT", "USDT"),)


def test_many_markets_are_spread_over_frames_and_connections() -> None:
    instruments = [
        Instrument(f"BINANCE:a{i}usdt", f"A{i}USDT", MarketKind.SPOT, f"A{i}", "USDT", "USDT")
        for i in range(1100)
    ]
    plans = BinanceSpot().plan(instruments)
    assert [len(plan.markets) for plan in plans] == [1024, 76]
    assert all(plan.url == "wss://data-stream.binance.vision/ws" for plan in plans)
    assert all(1 / plan.control_interval_s < 5 for plan in plans)
    requests = [msgspec.json.decode(each.text) for each in plans[0].subscribe]
    assert [len(request["params"]) for request in requests] == [100] * 10 + [24]
    assert [request["id"] for request in requests] == list(range(1, 12))
    assert requests[0]["method"] == "SUBSCRIBE"
    assert requests[0]["params"][0] == "a0usdt@trade"


def test_answers_name_the_markets_of_the_control_frame() -> None:
    instruments = [
        Instrument(f"BINANCE:a{i}usdt", f"A{i}USDT", MarketKind.SPOT, f"A{i}", "USDT", "USDT")
        for i in range(101)
    ]
    adapter = BinanceSpot()
    (plan,) = adapter.plan(instruments)
    session = adapter.session(plan)
    assert session.parse('{"result":null,"id":2}', 0).subscribed == ("BINANCE:a100usdt",)
    assert len(session.parse('{"result":null,"id":1}', 0).subscribed) == 100
    assert session.parse('{"result":null,"id":3}', 0).subscribed == ()
    assert session.parse('{"result":null,"id":"1"}', 0).subscribed == ()
    (refusal,) = session.parse('{"error":{"code":3,"msg":"Invalid JSON"},"id":2}', 0).refused
    assert (refusal.markets, refusal.reason) == (("BINANCE:a100usdt",), "Invalid JSON (code 3)")
