from __future__ import annotations

import msgspec

from tests.unit.simulator.exchanges.talking import NOW_MS, ROW, Talk

SPOT, FLEXIBLE = "KRAKEN:XBT/USD", "KRAKEN:PF_XBTUSD"


def test_spot_answers_each_symbol_and_replays_nothing() -> None:
    talk = Talk("KRAKEN")
    params = {"channel": "trade", "symbol": ["BTC/USD", "NO/USD"], "snapshot": False}
    good, bad = talk.says("/v2", {"method": "subscribe", "params": params, "req_id": 1})
    assert (good["success"], bad["success"], bad["symbol"]) == (True, False, "NO/USD")
    assert talk.topics == {SPOT}
    assert talk.says("/v2", {"method": "ping", "req_id": 4})[0] == {"method": "pong", "req_id": 4}
    assert not talk.says("/v2", "{")[0]["success"]


def test_futures_begin_with_a_snapshot_and_refuse_all_for_one() -> None:
    talk = Talk("KRAKEN")
    asked = {"event": "subscribe", "feed": "trade", "product_ids": ["PF_XBTUSD"]}
    answer, snapshot = talk.says("/ws/v1", asked)
    assert (answer["event"], snapshot["feed"]) == ("subscribed", "trade_snapshot")
    assert talk.topics == {FLEXIBLE}
    (refused,) = talk.says("/ws/v1", asked | {"product_ids": ["PF_XBTUSD", "NO"]})
    assert (refused["event"], talk.topics) == ("error", set())
    assert talk.says("/ws/v1", "{")[0]["event"] == "error"


def test_numbers_are_numbers_and_a_trade_may_be_a_liquidation() -> None:
    talk = Talk("KRAKEN")
    (frame,) = talk.trades(SPOT, ROW)
    assert (frame["data"][0]["price"], frame["data"][0]["qty"]) == (65000.5, 2)
    kinds = [talk.trades(FLEXIBLE, msgspec.structs.replace(ROW, number=n))[0]["type"] for n in (7, 211)]
    assert kinds == ["fill", "liquidation"]


def test_spot_says_that_it_lives_once_it_is_listened_to() -> None:
    talk = Talk("KRAKEN")
    assert talk.dialect.heartbeat("/v2", frozenset({SPOT}), NOW_MS) == ['{"channel":"heartbeat"}']
    assert not talk.dialect.heartbeat("/v2", frozenset(), NOW_MS)


def test_rest_shows_spot_from_a_time_on_and_futures_before_one() -> None:
    talk = Talk("KRAKEN")
    since = (NOW_MS - 20_000) * 1_000_000
    page = talk.tells("/0/public/Trades", pair="XBTUSD", since=str(since), count="5")["result"]
    rows = page["XBTUSD"]
    assert len(rows) == 5
    assert all(row[2] * 1e9 > since for row in rows)
    onward = talk.tells("/0/public/Trades", pair="XBT/USD", since=page["last"])["result"]["XBTUSD"]
    assert onward[0][6] > rows[-1][6]
    newest = talk.tells("/derivatives/api/v3/history", symbol="PF_XBTUSD")["history"]
    assert len(newest) == 100
    older = talk.tells("/derivatives/api/v3/history", symbol="PF_XBTUSD", lastTime=newest[-1]["time"])[
        "history"
    ]
    assert older[0]["time"] < newest[-1]["time"]
    assert talk.tells("/0/public/Trades", pair="NO")["error"]
    assert talk.tells("/derivatives/api/v3/history", symbol="NO")["result"] == "error"
    assert talk.tells("/derivatives/api/v3/history", symbol="PF_XBTUSD", lastTime="x")["result"] == "error"
    assert talk.tells("/no") == 404
