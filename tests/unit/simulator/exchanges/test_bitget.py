from __future__ import annotations

from tests.unit.simulator.exchanges.talking import ROW, Talk

SPOT, COIN = "BITGET:BTCUSDT-SPOT", "BITGET:BTCUSD"
PATH = "/v3/ws/public"


def test_the_kind_is_part_of_the_name_and_a_snapshot_comes_first() -> None:
    talk = Talk("BITGET")
    args = [
        {"instType": "spot", "topic": "publicTrade", "symbol": "BTCUSDT"},
        {"instType": "coin-futures", "topic": "publicTrade", "symbol": "BTCUSDT"},
        {"instType": "coin-futures", "topic": "liquidation"},
        {"instType": "spot", "topic": "books"},
    ]
    answers = talk.says(PATH, {"op": "subscribe", "args": args})
    assert [a.get("event", a.get("action")) for a in answers] == [
        *("subscribe", "error", "subscribe", "error", "snapshot")
    ]
    assert talk.topics == {SPOT, "liquidations of coin-futures"}
    assert talk.says(PATH, "ping") == ["pong"]
    assert talk.says(PATH, "{")[0]["event"] == "error"


def test_liquidations_name_the_position_and_the_amount_in_quote_currency() -> None:
    talk = Talk("BITGET")
    ((linear,), (coin,)) = (talk.forced(name, ROW) for name in ("BITGET:BTCUSDT", COIN))
    assert (linear["data"][0]["side"], float(linear["data"][0]["amount"])) == ("buy", 130_001.0)
    assert (coin["data"][0]["amount"], coin["arg"]["instType"]) == ("2", "coin-futures")


def test_rest_pages_by_id_and_counts_coins_in_base_units() -> None:
    talk = Talk("BITGET")
    newest = talk.tells("/api/v2/spot/market/fills-history", symbol="BTCUSDT", limit="3")["data"]
    assert newest[0]["tradeId"] == str(talk.newest_id(SPOT))
    page = {"symbol": "BTCUSDT", "idLessThan": newest[0]["tradeId"], "limit": "2"}
    assert talk.tells("/api/v2/spot/market/fills-history", **page)["data"] == newest[1:]
    coin = {"symbol": "BTCUSD", "productType": "COIN-FUTURES", "limit": "1"}
    (fill,) = talk.tells("/api/v2/mix/market/fills-history", **coin)["data"]
    (row,) = talk.tells("/api/v3/market/fills", category="COIN-FUTURES", symbol="BTCUSD_CM", limit="1")[
        "data"
    ]
    assert float(fill["size"]) * float(fill["price"]) == float(row["size"])
    assert talk.tells("/api/v2/spot/market/fills", symbol="NO") == 400
    assert talk.tells("/no") == 404
