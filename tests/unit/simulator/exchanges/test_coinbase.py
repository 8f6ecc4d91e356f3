from __future__ import annotations

from tests.unit.simulator.exchanges.talking import NOW_MS, ROW, Talk

SPOT, PERP = "COINBASE:BTC-USD", "COINBASE:BTC-PERP-INTX"


def test_exchange_and_advanced_trade_share_the_path_and_replay_the_last_trades() -> None:
    talk = Talk("COINBASE")
    channels = [{"name": "matches", "product_ids": ["BTC-USD"]}]
    answer, last = talk.says("/", {"type": "subscribe", "channels": channels})
    assert answer["channels"][0]["product_ids"] == ["BTC-USD"]
    assert (last["type"], last["trade_id"], talk.topics) == ("last_match", talk.newest_id(SPOT), {SPOT})
    asked = {"type": "subscribe", "channel": "market_trades", "product_ids": ["BTC-PERP-INTX"]}
    answer, snapshot = talk.says("/", asked)
    assert answer["events"] == [{"subscriptions": {"market_trades": ["BTC-PERP-INTX"]}}]
    assert snapshot["events"][0]["type"] == "snapshot"
    assert talk.topics == {PERP}


def test_what_is_not_known_is_refused() -> None:
    talk = Talk("COINBASE")
    unknown = {"type": "subscribe", "channels": [{"name": "matches", "product_ids": ["NO-USD"]}]}
    assert "NO-USD" in talk.says("/", unknown)[0]["reason"]
    assert talk.says("/", {"type": "subscribe", "channels": ["level2"]})[0]["type"] == "error"
    assert talk.says("/", "{")[0]["type"] == "error"
    assert talk.topics == set()


def test_the_side_is_the_makers() -> None:
    talk = Talk("COINBASE")
    assert talk.trades(SPOT, ROW)[0]["side"] == "buy"
    assert talk.trades(PERP, ROW)[0]["events"][0]["trades"][0]["side"] == "BUY"


def test_heartbeats_come_where_they_were_asked_for() -> None:
    talk = Talk("COINBASE")
    talk.says("/", {"type": "subscribe", "channel": "heartbeats"})
    assert talk.dialect.heartbeat("/", frozenset(talk.topics), NOW_MS)
    assert not talk.dialect.heartbeat("/", frozenset({SPOT}), NOW_MS)


def test_rest_pages_by_id_and_by_time() -> None:
    talk, path = Talk("COINBASE"), "/products/BTC-USD/trades"
    newest = talk.tells(path, limit="3")
    assert [trade["trade_id"] for trade in newest] == [talk.newest_id(SPOT) - n for n in range(3)]
    older = talk.tells(path, after=str(newest[-1]["trade_id"]), limit="2")
    assert [trade["trade_id"] for trade in older] == [newest[-1]["trade_id"] - n for n in (1, 2)]
    assert talk.tells(path, before=str(newest[1]["trade_id"])) == newest[:1]
    ticker = "/api/v3/brokerage/market/products/BTC-PERP-INTX/ticker"
    whole = talk.tells(ticker, limit="1000")["trades"]
    second = NOW_MS // 1000 - 30
    assert 0 < len(talk.tells(ticker, limit="1000", end=str(second))["trades"]) < len(whole)
    assert (talk.tells("/products/NO/trades"), talk.tells("/no"), talk.tells(path, limit="x")) == (
        404,
        404,
        400,
    )
