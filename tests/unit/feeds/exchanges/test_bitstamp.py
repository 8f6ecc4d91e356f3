"""What is Bitstamp's own; its frames are in tests/frames/bitstamp.jsonl."""

from __future__ import annotations

import json

from squeezeflow_plugin.feeds.exchanges.bitstamp import Bitstamp
from tests.unit.feeds.exchanges.asking import asked, named, told

SPOT, PERP = named("BITSTAMP:btcusd", "BITSTAMP:btcusd-perp")


def test_instruments_of_both_kinds() -> None:
    market = {
        "market_symbol": "btcusd",
        "base_currency": "BTC",
        "counter_currency": "USD",
        "trading": "Enabled",
    }
    perpetual = {**market, "market_symbol": "btcusd-perp", "market_type": "PERPETUAL"}
    others = [{**market, "trading": "Disabled"}, {**market, "market_type": "LOTTERY"}]
    assert told(Bitstamp(), 0, [market, perpetual, *others]) == (SPOT, PERP)


def test_one_channel_a_market_and_its_answers() -> None:
    adapter = Bitstamp()
    (plan,) = adapter.plan([SPOT, PERP])
    assert [request["data"]["channel"] for request in asked(plan)] == [
        "live_trades_btcusd",
        "live_trades_btcusd-perp",
    ]
    session = adapter.session(plan)
    accepted = {"event": "bts:subscription_succeeded", "channel": "live_trades_btcusd-perp", "data": {}}
    assert session.parse(json.dumps(accepted), 0).subscribed == (PERP.market,)
    refused = {"event": "bts:error", "channel": "live_trades_btcusd", "data": {}}
    assert session.parse(json.dumps(refused), 0).refused[0].markets == (SPOT.market,)
