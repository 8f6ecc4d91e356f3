"""What is dYdX's own; its frames are in tests/frames/dydx.jsonl."""

from __future__ import annotations

import json
from typing import Any

from squeezeflow_plugin.feeds.exchanges.dydx import Dydx
from tests.unit.feeds.exchanges.asking import asked, named, told

BTC, ETH = named("DYDX:BTC-USD", "DYDX:ETH-USD")


def subscribed(*kinds: str) -> str:
    trade: dict[str, Any] = {"size": "1", "price": "2", "side": "BUY", "createdAt": "2026-01-01T00:00:00Z"}
    trades = [{**trade, "id": f"0{position}", "type": kind} for position, kind in enumerate(kinds)]
    frame = {"type": "subscribed", "channel": "v4_trades", "id": "ETH-USD", "contents": {"trades": trades}}
    return json.dumps(frame)


def test_active_markets() -> None:
    markets = {
        "BTC-USD": {"ticker": "BTC-USD", "status": "ACTIVE"},
        "ETH-USD": {"ticker": "ETH-USD", "status": "FINAL_SETTLEMENT"},
    }
    assert told(Dydx(), 0, {"markets": markets}) == (BTC,)


def test_the_answer_to_a_subscription_holds_older_trades() -> None:
    adapter = Dydx()
    (plan,) = adapter.plan([BTC, ETH])
    assert [request["id"] for request in asked(plan)] == ["BTC-USD", "ETH-USD"]
    parsed = adapter.session(plan).parse(subscribed("LIMIT", "LIQUIDATED", "DELEVERAGED"), 0)
    assert parsed.subscribed == (ETH.market,)
    assert [(trade.trade_id, trade.liquidation) for trade in parsed.replayed] == [
        ("00", False),
        ("01", False),
        ("01", True),
    ]
    assert not parsed.trades
    assert not parsed.left_out


def test_an_error_that_names_its_market_refuses_it() -> None:
    adapter = Dydx()
    (plan,) = adapter.plan([BTC])
    error = {"type": "error", "message": "no", "channel": "v4_trades", "id": "BTC-USD"}
    assert adapter.session(plan).parse(json.dumps(error), 0).refused[0].markets == (BTC.market,)


def test_a_connection_holds_32_subscriptions() -> None:
    assert [len(plan.markets) for plan in Dydx().plan([BTC] * 40)] == [32, 8]
