from __future__ import annotations

import json

from squeezeflow_plugin.simulator.conversation import Conversation, published
from squeezeflow_plugin.simulator.dialect import Stock
from squeezeflow_plugin.simulator.peers import dialects, echoes
from squeezeflow_plugin.simulator.profiles import asset_profile
from tests.unit.simulator.markets import ORIGIN, venue_of

NOW_MS = (ORIGIN + 60) * 1000
VENUE = venue_of("BTC", echoes=echoes(["HYPERLIQUID", "BYBIT"], [asset_profile("BTC")]))
VENUE.extend(ORIGIN + 120)


def test_answers_come_before_what_is_replayed_and_topics_add_up() -> None:
    dialect = dialects()["HYPERLIQUID"]
    own = [echo for echo in VENUE.echoes if echo.instrument.exchange == dialect.name]
    stock = Stock(own, lambda market: VENUE.tapes[market].trades(NOW_MS), lambda: NOW_MS)
    talk = Conversation(dialect, "/ws", stock)
    for coin in [echo.instrument.symbol for echo in own]:
        asked = {"method": "subscribe", "subscription": {"type": "trades", "coin": coin}}
        frames = [json.loads(frame) for frame in talk.hear(json.dumps(asked))]
        assert [frame["channel"] for frame in frames] == ["subscriptionResponse", "trades"]
    assert talk.topics == {echo.market for echo in own}
    assert talk.heartbeat() == []


def test_what_is_due_is_told_once_in_frames_of_a_bounded_size() -> None:
    dialect, told = dialects()["BYBIT"], 0
    echo = next(each for each in VENUE.echoes if each.market == "BYBIT:BTCUSDT")
    dues = list(VENUE.tapes[echo.market].due(ORIGIN * 1000, NOW_MS))
    for due in dues:
        for topic, frames in published(dialect, echo, due, NOW_MS):
            if topic == echo.market:
                sizes = [len(json.loads(frame)["data"]) for frame in frames]
                assert max(sizes) <= dialect.rows_a_frame
                told += sum(sizes)
    assert told == sum(len(due.rows) for due in dues) > 200
