from __future__ import annotations

from tests.unit.simulator.exchanges.talking import ROW, Talk

PERP = "HYPERLIQUID:BTC"


def test_a_subscription_begins_with_the_last_ten_trades() -> None:
    talk = Talk("HYPERLIQUID")
    asked = {"method": "subscribe", "subscription": {"type": "trades", "coin": "BTC"}}
    answer, replayed = talk.says("/ws", asked)
    assert answer == {"channel": "subscriptionResponse", "data": asked}
    assert (len(replayed["data"]), talk.topics) == (10, {PERP})
    assert talk.says("/ws", '{"method":"ping"}') == [{"channel": "pong"}]


def test_an_error_quotes_what_was_asked() -> None:
    talk = Talk("HYPERLIQUID")
    asked = {"method": "subscribe", "subscription": {"type": "trades", "coin": "NO"}}
    (answer,) = talk.says("/ws", asked)
    assert (answer["channel"], '"coin":"NO"' in answer["data"]) == ("error", True)
    assert talk.says("/ws", "{")[0]["channel"] == "error"


def test_sides_are_letters() -> None:
    (frame,) = Talk("HYPERLIQUID").trades(PERP, ROW)
    assert (frame["data"][0]["side"], frame["data"][0]["tid"]) == ("A", 7)


def test_rest_knows_the_newest_ten() -> None:
    talk = Talk("HYPERLIQUID")
    assert len(talk.tells("/info", {"type": "recentTrades", "coin": "BTC"})) == 10
    assert talk.tells("/info", {"type": "recentTrades", "coin": "NO"}) == []
    assert (talk.tells("/info", {"type": "other"}), talk.tells("/no")) == (422, 404)
