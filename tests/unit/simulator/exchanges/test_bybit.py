from __future__ import annotations

from tests.unit.simulator.exchanges.talking import ROW, Talk


def test_one_unknown_topic_refuses_the_whole_request() -> None:
    talk = Talk("BYBIT")
    asked = {"op": "subscribe", "req_id": "3", "args": ["publicTrade.BTCUSDT", "publicTrade.NO"]}
    (answer,) = talk.says("/v5/public/linear", asked)
    assert (answer["success"], answer["req_id"], talk.topics) == (False, "3", set())
    asked["args"] = ["publicTrade.BTCUSDT", "allLiquidation.BTCUSDT"]
    (answer,) = talk.says("/v5/public/linear", asked)
    assert answer["success"]
    assert talk.topics == {"BYBIT:BTCUSDT", "liquidations of BYBIT:BTCUSDT"}
    assert talk.says("/v5/public/spot", '{"op":"ping"}')[0]["ret_msg"] == "pong"
    assert not talk.says("/v5/public/spot", "{")[0]["success"]


def test_contracts_have_uuids_and_a_tick_direction_and_spot_neither() -> None:
    talk = Talk("BYBIT")
    ((linear,), (spot,)) = (talk.trades(name, ROW) for name in ("BYBIT:BTCUSDT", "BYBIT:BTCUSDT-SPOT"))
    assert linear["data"][0]["i"].count("-") == 4
    assert "L" in linear["data"][0]
    assert (spot["data"][0]["i"], spot["data"][0]["S"]) == ("7", "Sell")
    assert "L" not in spot["data"][0]


def test_a_liquidation_names_the_side_of_the_position() -> None:
    (frame,) = Talk("BYBIT").forced("BYBIT:BTCUSDT", ROW)
    assert frame["data"] == [{"T": ROW.at_ms, "s": "BTCUSDT", "S": "Buy", "v": "2", "p": "65000.5"}]


def test_rest_shows_the_newest_and_sixty_of_spot_at_most() -> None:
    talk, path = Talk("BYBIT"), "/v5/market/recent-trade"
    spot = talk.tells(path, category="spot", symbol="BTCUSDT", limit="1000")["result"]["list"]
    linear = talk.tells(path, category="linear", symbol="BTCUSDT", limit="1000")["result"]["list"]
    assert len(spot) == 60 < len(linear)
    assert int(spot[0]["time"]) >= int(spot[-1]["time"])
    assert spot[0]["execId"] == str(talk.newest_id("BYBIT:BTCUSDT-SPOT"))
    assert talk.tells(path, category="spot", symbol="NO")["retCode"] == 10001
    assert talk.tells("/v5/nothing") == 404
