from __future__ import annotations

from tests.unit.simulator.exchanges.talking import NOW_MS, ROW, Talk, plain

SPOT, LINEAR = "HUOBI:btcusdt", "HUOBI:BTC-USDT"


def test_the_last_trade_comes_again_and_every_kind_has_its_path() -> None:
    talk = Talk("HUOBI")
    answer, replayed = talk.says("/ws", {"sub": "market.btcusdt.trade.detail", "id": "1"})
    assert (answer["status"], answer["subbed"]) == ("ok", "market.btcusdt.trade.detail")
    assert replayed["tick"]["data"][0]["tradeId"] == talk.newest_id(SPOT)
    assert talk.topics == {SPOT}
    (refused,) = talk.says("/swap-ws", {"sub": "market.btcusdt.trade.detail", "id": "2"})
    assert (refused["status"], refused["id"], talk.topics) == ("error", "2", set())
    assert talk.says("/ws", "{")[0]["status"] == "error"


def test_it_pings_by_frames_and_hears_the_answers() -> None:
    talk = Talk("HUOBI")
    (ping,) = talk.dialect.heartbeat("/ws", frozenset(), NOW_MS)
    (notice,) = talk.dialect.heartbeat("/swap-notification", frozenset(), NOW_MS)
    assert isinstance(ping, bytes)
    assert (plain(ping), plain(notice)["op"]) == ({"ping": NOW_MS}, "ping")
    assert talk.says("/ws", {"pong": NOW_MS}) == []


def test_liquidations_have_sockets_of_their_own() -> None:
    talk = Talk("HUOBI")
    asked = {"op": "sub", "cid": "1", "topic": "public.*.liquidation_orders"}
    (answer,) = talk.says("/linear-swap-notification", asked)
    assert (answer["err-code"], talk.topics) == (0, {talk.dialect.liquidation_topic(talk.market(LINEAR))})
    (frame,) = talk.forced(LINEAR, ROW)
    assert (frame["data"][0]["volume"], frame["data"][0]["amount"]) == (2, 0.002)


def test_contracts_tell_their_base_units() -> None:
    (frame,) = Talk("HUOBI").trades(LINEAR, ROW)
    assert (frame["tick"]["data"][0]["amount"], frame["tick"]["data"][0]["quantity"]) == (2, 0.002)


def test_rest_shows_the_newest() -> None:
    talk = Talk("HUOBI")
    assert len(talk.tells("/market/history/trade", symbol="btcusdt", size="7")["data"]) == 7
    assert talk.tells("/linear-swap-ex/market/history/trade", contract_code="BTC-USDT")["status"] == "ok"
    assert talk.tells("/market/history/trade", symbol="no")["status"] == "error"
    assert talk.tells("/no") == 404
