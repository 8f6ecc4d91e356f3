"""What is Hyperliquid's own; its frames are in tests/frames/hyperliquid.jsonl."""

from __future__ import annotations

import json

from squeezeflow_plugin.feeds.exchanges.hyperliquid import Hyperliquid
from squeezeflow_plugin.market import Instrument, MarketKind
from tests.unit.feeds.exchanges.asking import T, asked, named, told

BTC, ETH = named("HYPERLIQUID:BTC", "HYPERLIQUID:ETH")


def trades(*ids: int, coin: str = "BTC") -> str:
    items = [{"coin": coin, "side": "B", "px": "2", "sz": "1", "time": T, "tid": tid} for tid in ids]
    return json.dumps({"channel": "trades", "data": items})


def test_instruments_of_perpetuals_and_spot() -> None:
    coins = [{"name": "BTC"}, {"name": "OLD", "isDelisted": True}, {"name": "ETH", "isDelisted": None}]
    assert told(Hyperliquid(), 0, {"universe": coins}) == (BTC, ETH)
    tokens = [{"name": "USDC", "index": 0}, {"name": "HYPE", "index": 150}]
    pairs = [{"name": "@107", "tokens": [150, 0]}, {"name": "@108", "tokens": [151, 0]}]
    (spot,) = told(Hyperliquid(), 1, {"tokens": tokens, "universe": pairs})
    assert spot == Instrument("HYPERLIQUID:@107", "@107", MarketKind.SPOT, "HYPE", "USDC", "USDC")


def test_what_a_subscription_begins_with_is_a_replay_of_each_coin_once() -> None:
    adapter = Hyperliquid()
    (plan,) = adapter.plan([BTC, ETH])
    session = adapter.session(plan)
    assert [trade.trade_id for trade in session.parse(trades(1, 2), 0).replayed] == ["1", "2"]
    assert [trade.trade_id for trade in session.parse(trades(3), 0).trades] == ["3"]
    assert session.parse(trades(4, coin="ETH"), 0).replayed
    assert session.parse(trades(5, coin="ETH"), 0).trades
    assert adapter.session().parse(trades(1, 2), 0).trades  # nobody says what a recording begins with


def test_one_subscription_a_coin_and_its_answers() -> None:
    adapter = Hyperliquid()
    (plan,) = adapter.plan([BTC, ETH])
    subscription = {"type": "trades", "coin": "BTC"}
    assert asked(plan)[0] == {"method": "subscribe", "subscription": subscription}
    answer = {
        "channel": "subscriptionResponse",
        "data": {"method": "subscribe", "subscription": subscription},
    }
    assert adapter.session(plan).parse(json.dumps(answer), 0).subscribed == (BTC.market,)
    error = {"channel": "error", "data": f"Invalid subscription {json.dumps(subscription)}"}
    assert adapter.session(plan).parse(json.dumps(error), 0).refused[0].markets == (BTC.market,)
