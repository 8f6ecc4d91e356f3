"""What is HTX' own; its frames are in tests/frames/htx.jsonl."""

from __future__ import annotations

import gzip
import json

import msgspec
import pytest

from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds.exchanges.htx import MAX_FRAME_BYTES, Htx
from tests.unit.feeds.exchanges.asking import T, asked, named, told

SPOT, LINEAR, INVERSE = named("HUOBI:btcusdt", "HUOBI:BTC-USDT", "HUOBI:BTC-USD")


def frame(tid: int, symbol: str = "btcusdt") -> bytes:
    trade = {"id": tid, "tradeId": tid, "ts": T, "amount": 1, "price": 2, "direction": "buy"}
    return gzip.compress(
        json.dumps({"ch": f"market.{symbol}.trade.detail", "tick": {"data": [trade]}}).encode()
    )


def test_instruments_of_all_kinds() -> None:
    symbol = {"symbol": "btcusdt", "base-currency": "btc", "quote-currency": "usdt", "state": "online"}
    assert told(Htx(), 0, {"data": [symbol, {**symbol, "state": "offline"}]}) == (SPOT,)
    contract = {"contract_code": "BTC-USDT", "contract_size": 0.002, "contract_status": 1}
    resized = msgspec.structs.replace(LINEAR, contract_size=0.002)
    assert told(Htx(), 1, {"data": [contract, {**contract, "contract_status": 3}]}) == (resized,)
    coin = {"contract_code": "BTC-USD", "contract_size": 100, "contract_status": 1}
    assert told(Htx(), 2, {"data": [coin]}) == (INVERSE,)


def test_the_first_frame_of_each_market_is_a_replay() -> None:
    adapter = Htx()
    spot = adapter.plan([SPOT])[0]
    session = adapter.session(spot)
    assert session.parse(frame(1), 0).replayed
    assert session.parse(frame(1), 0).trades
    assert adapter.session().parse(frame(1), 0).trades  # nobody says what a recording begins with


def test_each_kind_and_its_liquidations_have_their_paths() -> None:
    plans = Htx().plan([SPOT, LINEAR, INVERSE])
    assert [(plan.url.rpartition("/")[2], len(plan.markets)) for plan in plans] == [
        ("ws", 1),
        ("linear-swap-ws", 1),
        ("swap-ws", 1),
        ("linear-swap-notification", 0),
        ("swap-notification", 0),
    ]
    assert asked(plans[0]) == [{"sub": "market.btcusdt.trade.detail", "id": "1"}]
    session = Htx().session(plans[0])
    accepted = gzip.compress(b'{"id":"1","status":"ok","subbed":"market.btcusdt.trade.detail"}')
    assert session.parse(accepted, 0).subscribed == (SPOT.market,)
    refused = '{"id":"1","status":"error","err-code":"bad-request","err-msg":"no"}'
    assert session.parse(refused, 0).refused[0].markets == (SPOT.market,)


def test_broken_and_boundless_gzip_is_refused() -> None:
    whole = frame(1)
    spoilt = whole[:12] + b"\xff\xff\xff" + whole[15:]
    bomb = gzip.compress(b" " * (MAX_FRAME_BYTES + 1))
    for bad in (spoilt, bomb, whole[:-1], b"\x1f\x8b"):
        with pytest.raises(FeedProtocolError, match="gzip"):
            Htx().parse(bad, 0)
