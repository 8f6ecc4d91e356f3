"""What is OKX' own; its frames are in tests/frames/okx.jsonl."""

from __future__ import annotations

import json

import msgspec

from squeezeflow_plugin.feeds.exchanges.okx import Okx
from tests.unit.feeds.exchanges.asking import T, asked, named, told

SPOT, SWAP, INVERSE = named("OKEX:BTC-USDT", "OKEX:BTC-USDT-SWAP", "OKEX:BTC-USD-SWAP")


def test_instruments_of_spot_and_swaps() -> None:
    spot = {"instId": "BTC-USDT", "instType": "SPOT", "state": "live", "baseCcy": "BTC", "quoteCcy": "USDT"}
    assert told(Okx(), 0, {"data": [spot, {**spot, "instId": "X", "state": "suspend"}]}) == (SPOT,)
    swap = {
        "instId": "BTC-USD-SWAP",
        "instType": "SWAP",
        "state": "live",
        "uly": "BTC-USD",
        "settleCcy": "BTC",
        "ctType": "inverse",
        "ctVal": "100",
        "ctMult": "1",
    }
    unknown = [{**swap, "uly": ""}, {**swap, "ctVal": "many"}, {**swap, "ctType": ""}]
    assert told(Okx(), 1, {"data": [swap, *unknown]}) == (INVERSE,)


def test_liquidations_have_a_connection_without_coverage() -> None:
    trades, liquidations = Okx().plan([SPOT, SWAP])
    assert trades.markets == (SPOT.market, SWAP.market)
    assert asked(trades)[0]["args"][0] == {"channel": "trades", "instId": "BTC-USDT"}
    assert liquidations.markets == ()
    assert asked(liquidations)[0]["args"] == [{"channel": "liquidation-orders", "instType": "SWAP"}]
    assert [plan.ping for plan in (trades, liquidations)] == ["ping", "ping"]
    assert len(Okx().plan([SPOT])) == 1


def test_answers_name_their_market() -> None:
    adapter = Okx()
    session = adapter.session(adapter.plan([SPOT])[0])
    accepted = {"event": "subscribe", "arg": {"channel": "trades", "instId": "BTC-USDT"}, "connId": "c"}
    assert session.parse(json.dumps(accepted), 0).subscribed == (SPOT.market,)
    message = "Wrong URL or channel:trades,instId:BTC-USDT doesn't exist."
    refused = {"event": "error", "code": "60018", "msg": message, "connId": "c"}
    assert session.parse(json.dumps(refused), 0).refused[0].markets == (SPOT.market,)


def test_contract_sizes_come_from_the_instruments() -> None:
    adapter = Okx()
    resized = msgspec.structs.replace(SWAP, contract_size=0.5)
    trade = {"instId": SWAP.symbol, "tradeId": "7", "px": "2", "sz": "3", "side": "buy", "ts": str(T)}
    frame = json.dumps({"arg": {"channel": "trades", "instId": SWAP.symbol}, "data": [trade]})
    assert adapter.session(adapter.plan([resized])[0]).parse(frame, 0).trades[0].size == 1.5
    assert adapter.parse(frame, 0).trades[0].size == 0.03


def test_of_all_liquidations_those_of_the_plan_are_taken() -> None:
    adapter = Okx()
    detail = {"side": "buy", "bkPx": "2", "sz": "100", "ts": str(T)}
    rows = [{"instId": name, "details": [detail]} for name in ("BTC-USDT-SWAP", "ETH-USDT-SWAP")]
    frame = json.dumps({"arg": {"channel": "liquidation-orders", "instType": "SWAP"}, "data": rows})
    session = adapter.session(adapter.plan([SWAP])[1])
    assert [trade.market for trade in session.parse(frame, 0).trades] == [SWAP.market]
    assert len(adapter.parse(frame, 0).trades) == 2
