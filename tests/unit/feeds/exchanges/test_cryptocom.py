"""What is Crypto.com's own; its frames are in tests/frames/cryptocom.jsonl."""

from __future__ import annotations

import json

from squeezeflow_plugin.feeds.exchanges.cryptocom import CryptoCom
from tests.unit.feeds.exchanges.asking import T, asked, named, told

SPOT, PERP = named("CRYPTOCOM:BTC_USDT", "CRYPTOCOM:BTCUSD-PERP")


def push(tid: int) -> str:
    item = {"d": str(tid), "t": T, "p": "2", "q": "1", "s": "BUY", "i": "BTC_USDT"}
    return json.dumps(
        {"id": -1, "method": "subscribe", "code": 0, "result": {"channel": "trade", "data": [item]}}
    )


def test_instruments_of_all_kinds() -> None:
    spot = {"symbol": "BTC_USDT", "inst_type": "CCY_PAIR", "base_ccy": "BTC", "quote_ccy": "USDT"}
    perp = {"symbol": "BTCUSD-PERP", "inst_type": "PERPETUAL_SWAP", "base_ccy": "BTC", "quote_ccy": "USD"}
    others = [{**spot, "tradable": False}, {**spot, "inst_type": "WARRANT"}]
    assert told(CryptoCom(), 0, {"result": {"data": [spot, perp, *others]}}) == (SPOT, PERP)


def test_answers_and_the_replay_that_follows_them() -> None:
    adapter = CryptoCom()
    (plan,) = adapter.plan([SPOT, PERP])
    assert asked(plan)[0]["params"] == {"channels": ["trade.BTC_USDT", "trade.BTCUSD-PERP"]}
    session = adapter.session(plan)
    assert session.parse('{"id":1,"method":"subscribe","code":0}', 0).subscribed == plan.markets
    assert session.parse(push(1), 0).replayed
    assert session.parse(push(2), 0).trades
    refused = session.parse('{"id":1,"method":"subscribe","code":40003,"message":"no"}', 0).refused
    assert refused[0].markets == plan.markets
