"""What is Bitget's own; its frames are in tests/frames/bitget.jsonl."""

from __future__ import annotations

import json

from squeezeflow_plugin.feeds.exchanges.bitget import Bitget
from tests.unit.feeds.exchanges.asking import T, asked, named, told

SPOT, LINEAR, COIN = named("BITGET:BTCUSDT-SPOT", "BITGET:BTCUSDT", "BITGET:BTCUSD")


def test_instruments_of_all_kinds() -> None:
    symbol = {"symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "status": "online"}
    assert told(Bitget(), 0, {"data": [symbol, {**symbol, "status": "offline"}]}) == (SPOT,)
    contract = {
        "symbol": "BTCUSDT",
        "baseCoin": "BTC",
        "quoteCoin": "USDT",
        "symbolType": "perpetual",
        "symbolStatus": "normal",
    }
    assert told(Bitget(), 1, {"data": [contract, {**contract, "symbolStatus": "off"}]}) == (LINEAR,)
    assert told(Bitget(), 2, {"data": [{**contract, "symbol": "BTCUSD", "quoteCoin": "USD"}]}) == (COIN,)


def test_kinds_that_share_a_symbol_ride_together() -> None:
    adapter = Bitget()
    trades, liquidations = adapter.plan([SPOT, LINEAR, COIN])
    assert [(a["instType"], a["symbol"]) for a in asked(trades)[0]["args"]] == [
        ("spot", "BTCUSDT"),
        ("usdt-futures", "BTCUSDT"),
        ("coin-futures", "BTCUSD_CM"),
    ]
    assert liquidations.markets == ()
    assert [a["instType"] for a in asked(liquidations)[0]["args"]] == ["coin-futures", "usdt-futures"]
    session = adapter.session(trades)
    item = {"i": "7", "p": "2", "v": "1", "S": "buy", "T": str(T)}
    for instrument, argument in zip((SPOT, LINEAR, COIN), asked(trades)[0]["args"], strict=True):
        frame = json.dumps({"action": "update", "arg": argument, "data": [item]})
        assert session.parse(frame, 0).trades[0].market == instrument.market
        accepted = json.dumps({"event": "subscribe", "arg": argument})
        assert session.parse(accepted, 0).subscribed == (instrument.market,)
        refused = json.dumps({"event": "error", "arg": argument, "code": "30001", "msg": "no"})
        assert session.parse(refused, 0).refused[0].markets == (instrument.market,)


def test_of_all_liquidations_those_of_the_plan_are_taken() -> None:
    adapter = Bitget()
    rows = [
        {"symbol": name, "side": "buy", "price": "2", "amount": "4", "ts": str(T)}
        for name in ("BTCUSDT", "XUSDT")
    ]
    argument = {"instType": "usdt-futures", "topic": "liquidation"}
    frame = json.dumps({"action": "update", "arg": argument, "data": rows})
    session = adapter.session(adapter.plan([LINEAR])[1])
    assert [(trade.market, trade.size) for trade in session.parse(frame, 0).trades] == [(LINEAR.market, 2.0)]
