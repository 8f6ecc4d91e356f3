"""What is Aster's own; its frames are in tests/frames/aster.jsonl."""

from __future__ import annotations

import json

from squeezeflow_plugin.feeds.exchanges.aster import Aster
from tests.unit.feeds.exchanges.asking import T, asked, named, told

BTC, ETH = named("ASTER:BTCUSDT", "ASTER:ETHUSDT")
AGGREGATE = json.dumps(
    {
        "e": "aggTrade",
        "E": T,
        "s": "BTCUSDT",
        "a": 7,
        "p": "2",
        "q": "1",
        "f": 10,
        "l": 12,
        "T": T,
        "m": False,
    }
)


def test_perpetuals_that_are_trading() -> None:
    assets = {"baseAsset": "BTC", "quoteAsset": "USDT", "marginAsset": "USDT"}
    symbol = {"symbol": "BTCUSDT", "status": "TRADING", "contractType": "PERPETUAL", **assets}
    others = [{**symbol, "status": "SETTLING"}, {**symbol, "contractType": ""}]
    assert told(Aster(), 0, {"symbols": [symbol, *others]}) == (BTC,)


def test_aggregates_are_the_trades_of_a_plan_and_of_nothing_else() -> None:
    adapter = Aster()
    (plan,) = adapter.plan([BTC])
    (trade,) = adapter.session(plan).parse(AGGREGATE, 0).trades
    assert (trade.market, trade.trade_id, trade.count) == (BTC.market, "a7", 3)
    alone = adapter.parse(AGGREGATE, 0)
    assert (alone.trades, alone.aggregates) == ((), (trade,))


def test_trades_and_liquidations_of_a_hundred_markets_a_connection() -> None:
    first, second = Aster().plan([BTC, ETH] * 60)
    assert (len(first.markets), len(second.markets)) == (100, 20)
    assert asked(second)[0]["params"][:2] == ["btcusdt@aggTrade", "btcusdt@forceOrder"]
    session = Aster().session(second)
    assert session.parse('{"result":null,"id":1}', 0).subscribed == second.markets
