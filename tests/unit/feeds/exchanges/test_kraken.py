"""What is Kraken's own; its frames are in tests/frames/kraken.jsonl."""

from __future__ import annotations

import json

from squeezeflow_plugin.feeds.exchanges.kraken import Kraken
from tests.unit.feeds.exchanges.asking import asked, named, told

SPOT, INVERSE, FLEXIBLE = named("KRAKEN:XBT/USD", "KRAKEN:PI_XBTUSD", "KRAKEN:PF_XBTUSD")


def test_instruments_of_both_hosts() -> None:
    pairs = {
        "XXBTZUSD": {"wsname": "XBT/USD", "status": "online"},
        "OLD": {"wsname": "OLD/USD", "status": "cancel_only"},
        "DARK": {"status": "online"},
    }
    assert told(Kraken(), 0, {"error": [], "result": pairs}) == (SPOT,)
    future = {"symbol": "PI_XBTUSD", "type": "futures_inverse", "tradeable": True, "contractSize": 1}
    entries = [
        future,
        {**future, "symbol": "PF_XBTUSD", "type": "flexible_futures", "base": "BTC", "quote": "USD"},
        {**future, "symbol": "FI_XBTUSD_260327", "tradeable": False},
        {"symbol": "in_xbtusd", "type": "spot index", "tradeable": True},
    ]
    assert told(Kraken(), 1, {"instruments": entries}) == (INVERSE, FLEXIBLE)


def test_the_second_version_is_asked_by_its_own_names() -> None:
    spot, futures = Kraken().plan([FLEXIBLE, SPOT])
    assert asked(spot)[0]["params"] == {"channel": "trade", "symbol": ["BTC/USD"], "snapshot": False}
    assert asked(futures) == [{"event": "subscribe", "feed": "trade", "product_ids": ["PF_XBTUSD"]}]


def test_answers_name_their_market() -> None:
    adapter = Kraken()
    spot, futures = adapter.plan([FLEXIBLE, SPOT])
    accepted = {"method": "subscribe", "success": True, "result": {"channel": "trade", "symbol": "BTC/USD"}}
    assert adapter.session(spot).parse(json.dumps(accepted), 0).subscribed == (SPOT.market,)
    refused = {"method": "subscribe", "success": False, "error": "no", "symbol": "BTC/USD"}
    assert adapter.session(spot).parse(json.dumps(refused), 0).refused[0].markets == (SPOT.market,)
    accepted = {"event": "subscribed", "feed": "trade", "product_ids": ["PF_XBTUSD"]}
    assert adapter.session(futures).parse(json.dumps(accepted), 0).subscribed == (FLEXIBLE.market,)
