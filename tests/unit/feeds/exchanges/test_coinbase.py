"""What is Coinbase's own; its frames are in tests/frames/coinbase.jsonl."""

from __future__ import annotations

import json

from squeezeflow_plugin.feeds.exchanges.coinbase import Coinbase
from tests.unit.feeds.exchanges.asking import asked, named, told

SPOT, PERP = named("COINBASE:BTC-USD", "COINBASE:BTC-PERP-INTX")


def test_instruments_of_both_venues() -> None:
    product = {"id": "BTC-USD", "base_currency": "BTC", "quote_currency": "USD", "status": "online"}
    products = [
        product,
        {**product, "id": "X-USD", "status": "delisted"},
        {**product, "trading_disabled": True},
    ]
    assert told(Coinbase(), 0, products) == (SPOT,)
    perpetual = {
        "product_id": "BTC-PERP-INTX",
        "quote_currency_id": "USDC",
        "future_product_details": {"contract_root_unit": "BTC"},
    }
    dated = {**perpetual, "product_id": "BIP-20DEC30-CDE"}
    assert told(Coinbase(), 1, {"products": [perpetual, dated]}) == (PERP,)


def test_each_venue_has_its_feed() -> None:
    spot, perps = Coinbase().plan([PERP, SPOT])
    assert (spot.markets, perps.markets) == ((SPOT.market,), (PERP.market,))
    assert asked(spot) == [
        {"type": "subscribe", "channels": [{"name": "matches", "product_ids": ["BTC-USD"]}]}
    ]
    assert [request["channel"] for request in asked(perps)] == ["market_trades", "heartbeats"]


def test_answers_list_what_is_served() -> None:
    adapter = Coinbase()
    spot, perps = adapter.plan([PERP, SPOT])
    channels = [{"name": "matches", "product_ids": ["BTC-USD", "NO-USD"]}, {"name": "heartbeat"}]
    frame = json.dumps({"type": "subscriptions", "channels": channels})
    assert adapter.session(spot).parse(frame, 0).subscribed == (SPOT.market,)
    events = [{"subscriptions": {"market_trades": ["BTC-PERP-INTX"]}}]
    frame = json.dumps({"channel": "subscriptions", "events": events})
    assert adapter.session(perps).parse(frame, 0).subscribed == (PERP.market,)
    reason = "BTC-USD is not a valid product"
    frame = json.dumps({"type": "error", "message": "Failed to subscribe", "reason": reason})
    assert adapter.session(spot).parse(frame, 0).refused[0].markets == (SPOT.market,)
