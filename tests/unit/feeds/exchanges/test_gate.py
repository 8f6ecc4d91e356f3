"""What is Gate's own; its frames are in tests/frames/gate.jsonl."""

from __future__ import annotations

import json

import msgspec

from squeezeflow_plugin.feeds.exchanges.gate import Gate
from tests.unit.feeds.exchanges.asking import asked, named, told

SPOT, LINEAR, INVERSE = named("GATEIO:BTC_USDT-SPOT", "GATEIO:BTC_USDT", "GATEIO:BTC_USD")


def test_instruments_of_spot_and_perpetuals() -> None:
    pair = {"id": "BTC_USDT", "base": "BTC", "quote": "USDT", "trade_status": "tradable"}
    assert told(Gate(), 0, [pair, {**pair, "trade_status": "untradable"}]) == (SPOT,)
    contract = {"name": "BTC_USDT", "quanto_multiplier": "0.0002", "type": "direct"}
    resized = msgspec.structs.replace(LINEAR, contract_size=0.0002)
    assert told(Gate(), 1, [contract, {**contract, "in_delisting": True}, {**contract, "name": "X"}]) == (
        resized,
    )
    assert told(Gate(), 2, [{"name": "BTC_USD", "quanto_multiplier": "0", "type": "inverse"}]) == (INVERSE,)


def test_futures_ask_for_decimal_sizes() -> None:
    spot, linear, inverse = Gate().plan([INVERSE, LINEAR, SPOT])
    assert (spot.headers, linear.headers) == ((), (("X-Gate-Size-Decimal", "1"),))
    assert [plan.url.rpartition("/ws")[2] for plan in (linear, inverse)] == ["/usdt", "/btc"]
    assert asked(linear)[0]["payload"] == ["BTC_USDT"]
    assert [json.loads(plan.ping)["channel"] for plan in (spot, linear)] == ["spot.ping", "futures.ping"]


def test_answers_name_the_markets_of_the_request() -> None:
    adapter = Gate()
    (plan,) = adapter.plan([SPOT])
    session = adapter.session(plan)
    answer = {"time": 1, "id": 1, "channel": "spot.trades", "event": "subscribe", "error": None}
    assert session.parse(json.dumps(answer), 0).subscribed == (SPOT.market,)
    failed = {**answer, "error": {"code": 2, "message": "no"}}
    assert session.parse(json.dumps(failed), 0).refused[0].markets == (SPOT.market,)
    assert session.parse(json.dumps({**answer, "error": "odd"}), 0).refused[0].reason == "odd"
