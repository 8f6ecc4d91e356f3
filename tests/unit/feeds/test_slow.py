"""ccxt's markets and trades as ours; sockets are in tests/integration/test_slow_path.py."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from squeezeflow_plugin.collector.instruments import open_markets
from squeezeflow_plugin.errors import FeedConnectionError, FeedProtocolError, SettingsError
from squeezeflow_plugin.feeds import registry
from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.feeds.slow import SlowExchange
from squeezeflow_plugin.market import Instrument, MarketKind
from squeezeflow_plugin.settings import Endpoint

NAME = "CCXT-WOO"
T = 1_767_225_600_123
SPOT = Instrument(f"{NAME}:BTC/USDT", "BTC/USDT", MarketKind.SPOT, "BTC", "USDT", "USDT")
LINEAR = Instrument(f"{NAME}:BTC/USDT:USDT", "BTC/USDT:USDT", MarketKind.PERP, "BTC", "USDT", "USDT", 0.01)
INVERSE = Instrument(
    f"{NAME}:BTC/USD:BTC", "BTC/USD:BTC", MarketKind.PERP, "BTC", "USD", "BTC", 100.0, inverse=True
)
MARKETS: list[dict[str, Any]] = [
    {"symbol": "BTC/USDT", "type": "spot", "base": "BTC", "quote": "USDT", "settle": None, "active": True},
    {"symbol": "BTC/USDT:USDT", "type": "swap", "base": "BTC", "quote": "USDT", "settle": "USDT"},
    {"symbol": "BTC/USD:BTC", "type": "swap", "base": "BTC", "quote": "USD", "settle": "BTC"},
]
MARKETS[1] |= {"contractSize": 0.01, "inverse": False, "active": None}
MARKETS[2] |= {"contractSize": 100, "inverse": True}


def exchange() -> SlowExchange:
    made = registry.adapter(NAME)
    assert isinstance(made, SlowExchange)
    return made


def trade(symbol: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "7",
        "timestamp": T,
        "symbol": symbol,
        "side": "buy",
        "price": 80_000.0,
        "amount": 2.0,
        "info": {"anything": [1]},
        "cost": None,
        **more,
    }


def test_markets_are_told_by_kind_and_contract() -> None:
    slow = exchange()
    assert [slow.instrument(market) for market in MARKETS] == [SPOT, LINEAR, INVERSE]
    body, request = json.dumps([*MARKETS, 5]).encode(), RestRequest("GET", "ccxt")
    assert slow.parse_instruments(body, request) == (SPOT, LINEAR, INVERSE)
    with pytest.raises(FeedProtocolError, match="must answer a list"):
        slow.parse_instruments(b"{}", request)
    assert slow.instrument_requests() == ()


@pytest.mark.parametrize(
    "change",
    [
        {"type": "option"},
        {"active": False},
        {"contractSize": None},
        {"contractSize": 0},
        {"base": None},
    ],
)
def test_what_is_not_told_well_enough_is_left_out(change: dict[str, Any]) -> None:
    assert exchange().instrument(MARKETS[1] | change) is None


@pytest.mark.parametrize("instrument", [SPOT, INVERSE])
def test_a_unified_symbol_says_what_it_is(instrument: Instrument) -> None:
    found = exchange().classify(instrument.market)
    assert found is not None
    assert (found.kind, found.base, found.quote, found.settle, found.inverse) == (
        instrument.kind,
        instrument.base,
        instrument.quote,
        instrument.settle,
        instrument.inverse,
    )


def test_other_names_say_nothing_and_dates_are_futures() -> None:
    slow = exchange()
    future = slow.classify(f"{NAME}:BTC/USDT:USDT-260327")
    assert future is not None
    assert (future.kind, future.inverse) == (MarketKind.FUTURE, False)
    for market in ("BYBIT:BTC/USDT", f"{NAME}:BTCUSDT", f"{NAME}:/USDT", f"{NAME}:BTC/USD:BTC-260327-9-C"):
        assert slow.classify(market) is None


def test_sizes_are_normalised_by_contract() -> None:
    slow = exchange()
    (plan,) = slow.plan([SPOT, LINEAR, INVERSE])
    assert slow.plan([]) == ()
    assert plan.markets == (SPOT.market, LINEAR.market, INVERSE.market)
    rows = [trade(SPOT.symbol), trade(LINEAR.symbol, side="sell"), trade(INVERSE.symbol)]
    read = slow.session(plan).read(rows, 0).trades
    assert [(t.market, t.size, t.quote, t.side) for t in read] == [
        (SPOT.market, 2.0, 160_000.0, 1),
        (LINEAR.market, 0.02, 1_600.0, -1),
        (INVERSE.market, 0.0025, 200.0, 1),
    ]
    assert {(t.trade_id, t.exchange_ns, t.count, t.liquidation) for t in read} == {
        ("7", T * 1_000_000, 1, False)
    }


def test_trades_without_ids_get_one_each_and_broken_ones_are_named() -> None:
    rows = [
        trade("BTC/USDT", id=None),
        trade("BTC/USDT", id=None),
        trade("BTC/USDT", side=None),
        trade("BTC/USDT", amount=0.0),
    ]
    parsed = exchange().session().read(rows, 0)
    made = f"{T}-buy-80000.0-2.0"
    assert [each.trade_id for each in parsed.trades] == [made, f"{made}#2"]
    side, amount = parsed.rejected
    assert side.startswith(f"{NAME} watchTrades: field side was None")
    assert amount.startswith(f"{NAME} watchTrades: field amount was 0.0")
    with pytest.raises(FeedProtocolError, match="trades must be a list"):
        exchange().session().read("no", 0)


def test_a_recording_of_unified_trades_is_read() -> None:
    parsed = registry.adapter(NAME).parse(json.dumps([trade("ETH/USDT")]), 0)
    assert [each.market for each in parsed.trades] == [f"{NAME}:ETH/USDT"]


@pytest.mark.parametrize("name", ["CCXT-NOWHERE", "CCXT-Exchange", "CCXT-SYS"])
def test_what_ccxt_cannot_watch_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name}: ccxt .* cannot watch trades of"):
        registry.adapter(name)


async def test_markets_that_cannot_be_asked_for_are_filled_in_from_before() -> None:
    """Nothing listens at this port."""
    slow = SlowExchange(NAME, Endpoint(rest="http://127.0.0.1:9", ws="ws://127.0.0.1:9"))
    with pytest.raises(FeedConnectionError, match=f"{NAME}: markets cannot be asked for"):
        await slow.markets()
    assert await open_markets(slow, (SPOT,), None) == (SPOT,)  # type: ignore[arg-type]  # ccxt asks


def test_ccxt_is_imported_only_where_it_is_asked_for() -> None:
    code = (
        "import sys, squeezeflow_plugin.collector.app;"
        "from squeezeflow_plugin.feeds import registry;"
        "registry.adapter('BYBIT'); print('ccxt' in sys.modules)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert told.stdout.strip() == "False"
