"""What is Phemex's own; its frames are in tests/frames/phemex.jsonl."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from squeezeflow_plugin.feeds.exchanges.phemex import Phemex
from tests.unit.feeds.exchanges.asking import asked, named, told

SPOT, PERP, INVERSE, LINEAR = named("PHEMEX:sBTCUSDT", "PHEMEX:BTCUSDT", "PHEMEX:BTCUSD", "PHEMEX:LINKUSD")
OLD = {"type": "Perpetual", "status": "Listed", "quoteCurrency": "USD", "priceScale": 4}
BTCUSD = {**OLD, "symbol": "BTCUSD", "settleCurrency": "BTC", "contractSize": 1.0}
LINKUSD = {**OLD, "symbol": "LINKUSD", "settleCurrency": "USD", "contractSize": "0.5 LINK"}
SBTCUSDT = {
    **OLD,
    "symbol": "sBTCUSDT",
    "type": "Spot",
    "baseCurrency": "BTC",
    "quoteCurrency": "USDT",
    "priceScale": 8,
}
BTCUSDT = {
    **OLD,
    "symbol": "BTCUSDT",
    "type": "PerpetualV2",
    "quoteCurrency": "USDT",
    "settleCurrency": "USDT",
    "priceScale": 0,
}


def listed(products: list[dict[str, Any]], scale: int = 8) -> Any:
    currencies = [{"currency": "BTC", "valueScale": scale}]
    return told(Phemex(), 0, {"data": {"products": products, "perpProductsV2": [], "currencies": currencies}})


def test_instruments_of_all_kinds() -> None:
    body = {"data": {"products": [BTCUSD, SBTCUSDT], "perpProductsV2": [BTCUSDT], "currencies": []}}
    assert told(Phemex(), 0, body) == (INVERSE, SPOT, PERP)


def test_contract_sizes_and_scales_come_from_the_metadata() -> None:
    assert listed([LINKUSD]) == (msgspec.structs.replace(LINEAR, contract_size=0.5),)
    (thousandths,) = listed([SBTCUSDT], scale=3)
    frame = {
        "symbol": "sBTCUSDT",
        "trades": [[1767225600123456789, "Buy", 200_000_000, 500]],
        "type": "incremental",
    }
    adapter = Phemex()
    (plan,) = adapter.plan([thousandths])
    (trade,) = adapter.session(plan).parse(json.dumps(frame), 0).trades
    assert (trade.price, trade.size) == (2.0, 0.5)


def test_what_is_scaled_otherwise_or_unknown_is_left_out() -> None:
    for product in (BTCUSD, SBTCUSDT):
        assert listed([{**product, "priceScale": 6}]) == ()
    assert listed([SBTCUSDT], scale=17) == ()
    assert listed([{**BTCUSD, "status": "Delisted"}]) == ()
    assert listed([{**BTCUSD, "settleCurrency": "ETH"}]) == ()
    assert listed([{**BTCUSD, "contractSize": "one"}, {**BTCUSD, "type": "Perpetual?"}]) == ()
    assert listed([{**BTCUSD, "symbol": "sBTCUSD"}, {**SBTCUSDT, "symbol": "?"}]) == ()


def test_answers_name_the_market_of_the_request() -> None:
    adapter = Phemex()
    (plan,) = adapter.plan([SPOT, PERP, INVERSE])
    methods = ["trade.subscribe", "trade_p.subscribe", "trade.subscribe"]
    assert [request["method"] for request in asked(plan)] == methods
    session = adapter.session(plan)
    accepted = {"error": None, "id": 2, "result": {"status": "success"}}
    assert session.parse(json.dumps(accepted), 0).subscribed == (PERP.market,)
    failed = {"error": {"code": 6001, "message": "no"}, "id": 3, "result": None}
    assert session.parse(json.dumps(failed), 0).refused[0].markets == (INVERSE.market,)
    assert session.parse(json.dumps({**failed, "error": "odd"}), 0).refused[0].reason == "odd"
