"""What is MEXC's own; its frames are in tests/frames/mexc.jsonl."""

from __future__ import annotations

import msgspec

from squeezeflow_plugin.feeds.exchanges.mexc import Mexc
from tests.unit.feeds.exchanges.asking import asked, named, told

SPOT, OTHER_SPOT, LINEAR, INVERSE = named("MEXC:BTCUSDT", "MEXC:ETHUSDT", "MEXC:BTC_USDT", "MEXC:BTC_USD")
TOPIC = "spot@public.aggre.deals.v3.api.pb@100ms@"


def test_instruments_of_spot_and_futures() -> None:
    symbol = {"symbol": "BTCUSDT", "status": "1", "baseAsset": "BTC", "quoteAsset": "USDT"}
    assert told(Mexc(), 0, {"symbols": [symbol, {**symbol, "status": "3"}]}) == (SPOT,)
    coins = {"baseCoin": "BTC", "quoteCoin": "USDT", "settleCoin": "USDT"}
    contract = {"symbol": "BTC_USDT", **coins, "contractSize": 0.0002, "state": 0}
    inverse = {"symbol": "BTC_USD", "baseCoin": "BTC", "quoteCoin": "USD", "settleCoin": "BTC"}
    others = [{**contract, "state": 4}, {**inverse, "contractSize": 100, "state": 0}]
    resized = msgspec.structs.replace(LINEAR, contract_size=0.0002)
    assert told(Mexc(), 1, {"success": True, "data": [contract, *others]}) == (resized, INVERSE)


def test_a_spot_answer_names_its_topics() -> None:
    adapter = Mexc()
    (plan,) = adapter.plan([SPOT, OTHER_SPOT])
    assert [request["params"] for request in asked(plan)] == [[f"{TOPIC}BTCUSDT"], [f"{TOPIC}ETHUSDT"]]
    session = adapter.session(plan)
    answer = f'{{"id":0,"code":0,"msg":"{TOPIC}ETHUSDT,{TOPIC}BTCUSDT"}}'
    assert session.parse(answer, 0).subscribed == (OTHER_SPOT.market, SPOT.market)
    refusal = f'{{"id":0,"code":0,"msg":"Not Subscribed successfully! [{TOPIC}BTCUSDT]. Reason: Blocked!"}}'
    parsed = session.parse(refusal, 0)
    assert parsed.refused[0].markets == (SPOT.market,)
    assert not parsed.subscribed


def test_futures_answer_in_the_order_of_the_requests() -> None:
    adapter = Mexc()
    (plan,) = adapter.plan([LINEAR, INVERSE])
    assert [request["param"]["symbol"] for request in asked(plan)] == ["BTC_USDT", "BTC_USD"]
    session = adapter.session(plan)
    assert session.parse('{"channel":"pong","data":1}', 0).other == "pong"
    refused = session.parse('{"channel":"rs.error","data":"Contract doesn\'t exist!"}', 0).refused
    assert refused[0].markets == (LINEAR.market,)
    assert session.parse('{"channel":"rs.sub.deal","data":"success"}', 0).subscribed == (INVERSE.market,)


def test_spot_and_futures_have_a_host_each() -> None:
    spot, futures = Mexc().plan([LINEAR, SPOT])
    assert (spot.url, futures.url) == ("wss://wbs-api.mexc.com/ws", "wss://contract.mexc.com/edge")
    assert (spot.ping, futures.ping) == ('{"method":"PING"}', '{"method":"ping"}')
