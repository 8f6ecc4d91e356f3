"""What is Bitfinex' own; its frames are in tests/frames/bitfinex.jsonl."""

from __future__ import annotations

import json

from squeezeflow_plugin.feeds.exchanges import bitfinex
from squeezeflow_plugin.feeds.exchanges.bitfinex import Bitfinex
from tests.unit.feeds.exchanges.asking import T, asked, named, told

SPOT, PERP = named("BITFINEX:BTCUSD", "BITFINEX:BTCF0:USTF0")


def test_instruments_of_two_lists() -> None:
    assert told(Bitfinex(), 0, [["BTCUSD", "NONSENSE"], ["BTCF0:USTF0"]]) == (SPOT, PERP)


def test_channel_numbers_are_the_connections_own() -> None:
    adapter = Bitfinex()
    trades, liquidations = adapter.plan([SPOT, PERP])
    assert asked(trades)[0] == {"event": "subscribe", "channel": "trades", "symbol": "tBTCUSD"}
    assert asked(liquidations)[0]["key"] == "liq:global"
    session = adapter.session(trades)
    for number, instrument in ((17, PERP), (18, SPOT)):
        accepted = {"event": "subscribed", "channel": "trades", "chanId": number, "symbol": instrument.symbol}
        assert session.parse(json.dumps(accepted), 0).subscribed == (instrument.market,)
    for number, instrument in ((17, PERP), (18, SPOT)):
        (trade,) = session.parse(f'[{number},"te",[7,{T},1,2]]', 0).trades
        assert trade.market == instrument.market
    refused = {"event": "error", "msg": "no", "code": 10300, "symbol": "tBTCUSD"}
    assert session.parse(json.dumps(refused), 0).refused[0].markets == (SPOT.market,)


def test_a_server_cannot_fill_our_memory_with_channels() -> None:
    session = Bitfinex().session()
    for number in range(bitfinex.MAX_CHANNELS + 5):
        session.parse(
            json.dumps({"event": "subscribed", "channel": "trades", "chanId": number, "symbol": "tX"}), 0
        )
    assert len(session._channels) == bitfinex.MAX_CHANNELS


def test_25_markets_a_connection() -> None:
    instruments = named(*(f"BITFINEX:A{number:02}USD" for number in range(30)))
    assert [len(plan.markets) for plan in Bitfinex().plan(instruments)] == [25, 5]
