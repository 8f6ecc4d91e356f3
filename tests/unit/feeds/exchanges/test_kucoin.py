"""What is KuCoin's own; its frames are in tests/frames/kucoin.jsonl."""

from __future__ import annotations

import msgspec

from squeezeflow_plugin.feeds.exchanges.kucoin import Kucoin
from tests.unit.feeds.exchanges.asking import asked, named, told

SPOT, LINEAR, INVERSE = named("KUCOIN:BTC-USDT", "KUCOIN:XBTUSDTM", "KUCOIN:XBTUSDM")


def test_instruments_of_both_hosts() -> None:
    symbol = {"symbol": "BTC-USDT", "baseCurrency": "BTC", "quoteCurrency": "USDT", "enableTrading": True}
    assert told(Kucoin(), 0, {"data": [symbol, {**symbol, "enableTrading": False}]}) == (SPOT,)
    contract = {
        "symbol": "XBTUSDTM",
        "type": "FFWCSX",
        "baseCurrency": "XBT",
        "quoteCurrency": "USDT",
        "settleCurrency": "USDT",
        "multiplier": 0.002,
        "status": "Open",
    }
    inverse = {
        **contract,
        "symbol": "XBTUSDM",
        "quoteCurrency": "USD",
        "settleCurrency": "XBT",
        "multiplier": -1,
    }
    closed = {**contract, "status": "Paused"}
    resized = msgspec.structs.replace(LINEAR, contract_size=0.002)
    assert told(Kucoin(), 1, {"data": [contract, inverse, closed]}) == (resized, INVERSE)


def test_each_market_is_asked_for_by_itself() -> None:
    adapter = Kucoin()
    spot, futures = adapter.plan([LINEAR, SPOT, INVERSE])
    assert [(a["tradeType"], a["symbol"]) for a in asked(spot) + asked(futures)] == [
        ("SPOT", "BTC-USDT"),
        ("FUTURES", "XBTUSDTM"),
        ("FUTURES", "XBTUSDM"),
    ]
    session = adapter.session(futures)
    assert session.parse('{"id":"2","result":true}', 0).subscribed == (INVERSE.market,)
    assert session.parse('{"id":"1","result":false,"msg":"no"}', 0).refused[0].markets == (LINEAR.market,)
    assert session.parse('{"id":"x","result":true}', 0).subscribed == ()
