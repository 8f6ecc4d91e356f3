"""What is Deribit's own; its frames are in tests/frames/deribit.jsonl."""

from __future__ import annotations

import json

from squeezeflow_plugin.feeds.exchanges.deribit import Deribit
from tests.unit.feeds.exchanges.asking import asked, named, told

PERP, SPOT = named("DERIBIT:BTC-PERPETUAL", "DERIBIT:BTC_USDC")


def test_instruments_of_futures_and_spot() -> None:
    future = {
        "instrument_name": "BTC-PERPETUAL",
        "kind": "future",
        "base_currency": "BTC",
        "quote_currency": "USD",
        "settlement_currency": "BTC",
        "settlement_period": "perpetual",
        "instrument_type": "reversed",
    }
    entries = [future, {**future, "is_active": False}, {**future, "kind": "future_combo"}]
    assert told(Deribit(), 0, {"result": entries}) == (PERP,)
    spot = {"instrument_name": "BTC_USDC", "kind": "spot", "base_currency": "BTC", "quote_currency": "USDC"}
    assert told(Deribit(), 1, {"result": [spot]}) == (SPOT,)


def test_an_answer_lists_the_channels_served_and_the_others_are_refused() -> None:
    adapter = Deribit()
    (plan,) = adapter.plan([PERP, SPOT])
    subscribe, heartbeat = asked(plan)
    assert subscribe["params"]["channels"] == ["trades.BTC-PERPETUAL.100ms", "trades.BTC_USDC.100ms"]
    assert heartbeat["method"] == "public/set_heartbeat"
    answer = {"jsonrpc": "2.0", "id": 1, "result": ["trades.BTC-PERPETUAL.100ms", 5]}
    parsed = adapter.session(plan).parse(json.dumps(answer), 0)
    assert parsed.subscribed == (PERP.market,)
    assert parsed.refused[0].markets == (SPOT.market,)
    failed = {"jsonrpc": "2.0", "id": 1, "error": {"message": "no", "code": 1}}
    assert adapter.session(plan).parse(json.dumps(failed), 0).refused[0].markets == (PERP.market, SPOT.market)
    assert not adapter.session(plan).parse('{"id":0,"result":"ok"}', 0).subscribed
