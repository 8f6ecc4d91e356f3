from __future__ import annotations

import msgspec

from tests.unit.simulator.exchanges.talking import ROW, Talk

SPOT, SWAP = "OKEX:BTC-USDT", "OKEX:BTC-USDT-SWAP"


def test_each_argument_is_answered_by_itself() -> None:
    talk = Talk("OKEX")
    args = [
        {"channel": "trades", "instId": "BTC-USDT"},
        {"channel": "trades", "instId": "NO-USDT"},
        {"channel": "liquidation-orders", "instType": "SWAP"},
    ]
    answers = talk.says("/ws/v5/public", {"op": "subscribe", "args": args})
    assert [answer["event"] for answer in answers] == ["subscribe", "error", "subscribe"]
    assert "instId:NO-USDT" in answers[1]["msg"]
    assert talk.topics == {SPOT, "liquidations of SWAP"}
    assert talk.says("/ws/v5/public", "ping") == ["pong"]
    assert talk.says("/ws/v5/public", "{")[0]["event"] == "error"


def test_fills_of_one_order_at_one_price_are_one_push() -> None:
    rows = [
        ROW,
        msgspec.structs.replace(ROW, number=8, size="0.5"),
        msgspec.structs.replace(ROW, number=9, side=1),
    ]
    first, second = (frame["data"][0] for frame in Talk("OKEX").trades(SPOT, *rows))
    assert (first["tradeId"], first["sz"], first["count"], first["side"]) == ("8", "2.5", "2", "sell")
    assert (second["tradeId"], second["count"], second["side"]) == ("9", "1", "buy")


def test_ids_that_do_not_follow_each_other_are_not_summed() -> None:
    frames = Talk("OKEX").trades(SPOT, ROW, msgspec.structs.replace(ROW, number=9))
    assert [frame["data"][0]["count"] for frame in frames] == ["1", "1"]


def test_liquidations_come_for_a_whole_type() -> None:
    (frame,) = Talk("OKEX").forced(SWAP, ROW)
    (detail,) = frame["data"][0]["details"]
    assert (detail["side"], detail["posSide"], frame["arg"]["instType"]) == ("sell", "long", "SWAP")


def test_rest_pages_single_fills_into_the_past() -> None:
    talk, path = Talk("OKEX"), "/api/v5/market/history-trades"
    newest = talk.tells(path, instId="BTC-USDT")["data"]
    assert len(newest) == 100
    assert newest[0]["tradeId"] == str(talk.newest_id(SPOT))
    older = talk.tells(path, instId="BTC-USDT", type="1", after=newest[-1]["tradeId"], limit="5")["data"]
    assert [int(fill["tradeId"]) for fill in older] == [int(newest[-1]["tradeId"]) - n for n in range(1, 6)]
    newer = talk.tells(path, instId="BTC-USDT", before=newest[2]["tradeId"])["data"]
    assert newer == newest[:2]
    by_time = talk.tells(path, instId="BTC-USDT", type="2", after=newest[-1]["ts"])["data"]
    assert all(int(fill["ts"]) < int(newest[-1]["ts"]) for fill in by_time)
    assert len(talk.tells("/api/v5/market/trades", instId="BTC-USDT", limit="500")["data"]) > 100
    assert talk.tells(path, instId="NO")["code"] == "51001"
    assert talk.tells("/api/v5/nothing") == 404
