"""What is Bybit's own; its frames are in tests/frames/bybit.jsonl."""

from __future__ import annotations

import json

from squeezeflow_plugin.feeds.exchanges.bybit import Bybit
from squeezeflow_plugin.market import Instrument, MarketKind
from tests.unit.feeds.exchanges.asking import T, asked, named, told

SPOT, LINEAR, INVERSE = named("BYBIT:BTCUSDT-SPOT", "BYBIT:BTCUSDT", "BYBIT:BTCUSD")


def listed(symbol: str, quote: str, status: str = "Trading", **more: str) -> dict[str, str]:
    return {"symbol": symbol, "status": status, "baseCoin": "BTC", "quoteCoin": quote, **more}


def test_instruments_of_each_category() -> None:
    adapter = Bybit()
    assert [dict(request.params)["category"] for request in adapter.instrument_requests()] == [
        "spot",
        "linear",
        "inverse",
    ]
    body = {"result": {"list": [listed("BTCUSDT", "USDT"), listed("BTCUSDC", "USDC", "PreLaunch")]}}
    assert told(adapter, 0, body) == (SPOT,)
    perpetual = {"settleCoin": "USDT", "contractType": "LinearPerpetual"}
    dated = {"settleCoin": "USDC", "contractType": "LinearFutures"}
    strange = {"settleCoin": "USDT", "contractType": "Curved"}
    entries = [
        listed("BTCUSDT", "USDT", **perpetual),
        listed("BTC-27MAR26", "USDC", **dated),
        listed("BTCXUSDT", "USDT", **strange),
    ]
    future = Instrument("BYBIT:BTC-27MAR26", "BTC-27MAR26", MarketKind.FUTURE, "BTC", "USDC", "USDC")
    assert told(adapter, 1, {"result": {"list": entries}}) == (LINEAR, future)
    inverse = {"settleCoin": "BTC", "contractType": "InversePerpetual"}
    assert told(adapter, 2, {"result": {"list": [listed("BTCUSD", "USD", **inverse)]}}) == (INVERSE,)


def test_each_category_has_its_connection_and_contracts_have_liquidations() -> None:
    plans = Bybit().plan([LINEAR, SPOT, INVERSE])
    assert [plan.url.rpartition("/")[2] for plan in plans] == ["spot", "linear", "inverse"]
    assert [asked(plan)[0]["args"] for plan in plans] == [
        ["publicTrade.BTCUSDT"],
        ["publicTrade.BTCUSDT", "allLiquidation.BTCUSDT"],
        ["publicTrade.BTCUSD", "allLiquidation.BTCUSD"],
    ]


def test_the_connection_tells_spot_and_linear_apart() -> None:
    trade = {"T": T, "s": "BTCUSDT", "S": "Buy", "v": "1", "p": "2", "i": "7", "BT": False}
    frame = json.dumps({"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": T, "data": [trade]})
    adapter = Bybit()
    spot, linear = adapter.plan([SPOT, LINEAR])
    assert adapter.session(spot).parse(frame, 0).trades[0].market == SPOT.market
    assert adapter.session(linear).parse(frame, 0).trades[0].market == LINEAR.market
    assert adapter.parse(frame, 0).trades[0].market == SPOT.market


def test_answers_name_the_markets_of_the_request() -> None:
    adapter = Bybit()
    (plan,) = adapter.plan([LINEAR])
    session = adapter.session(plan)
    answer = {"success": True, "ret_msg": "", "req_id": "1", "op": "subscribe"}
    assert session.parse(json.dumps(answer), 0).subscribed == (LINEAR.market,)
    (refusal,) = session.parse(json.dumps({**answer, "success": False, "ret_msg": "no"}), 0).refused
    assert (refusal.markets, refusal.reason) == ((LINEAR.market,), "no")


def test_liquidations_of_markets_that_are_not_in_the_plan_are_left_alone() -> None:
    adapter = Bybit()
    (plan,) = adapter.plan([LINEAR])
    item = {"T": T, "s": "ETHUSDT", "S": "Buy", "v": "1", "p": "2"}
    frame = json.dumps({"topic": "allLiquidation.ETHUSDT", "data": [item]})
    assert adapter.session(plan).parse(frame, 0).other == "allLiquidation"
    assert adapter.parse(frame, 0).trades[0].market == "BYBIT:ETHUSDT"
