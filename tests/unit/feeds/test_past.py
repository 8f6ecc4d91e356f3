"""Exchanges that are not simulated: what their documents show, read and paged."""

from __future__ import annotations

import msgspec
import pytest

from squeezeflow_plugin.feeds import registry
from squeezeflow_plugin.feeds.recovery import Gap, PastTrades
from squeezeflow_plugin.market import Instrument, MarketKind

AT_MS = 1_767_225_600_000
DERIBIT = Instrument(
    "DERIBIT:BTC-PERPETUAL", "BTC-PERPETUAL", MarketKind.PERP, "BTC", "USD", "BTC", 1.0, True
)
BITFINEX = Instrument("BITFINEX:BTCUSD", "tBTCUSD", MarketKind.SPOT, "BTC", "USD", "USD")


def past(name: str) -> PastTrades:
    found = registry.past_trades(name)
    assert found is not None
    return found


def deribit(number: int, at_ms: int, **more: object) -> dict[str, object]:
    row = {"trade_id": str(number), "instrument_name": "BTC-PERPETUAL", "price": 80_000.0, "amount": 40.0}
    return row | {"direction": "sell", "timestamp": at_ms, "tick_direction": 0, **more}


def test_deribit_pages_from_the_last_known_trade_on() -> None:
    gap = Gap(DERIBIT.market, "1", AT_MS * 10**6, "5", (AT_MS + 3000) * 10**6)
    request = past("DERIBIT").request(DERIBIT, gap)
    assert request is not None
    assert dict(request.params)["start_timestamp"] == str(AT_MS)
    rows = [deribit(1, AT_MS), deribit(2, AT_MS + 1000), deribit(3, AT_MS + 2000, block_trade_id="B1")]
    body = msgspec.json.encode({"result": {"trades": rows, "has_more": True}})
    page = past("DERIBIT").read(body, request, DERIBIT, gap)
    assert [(t.trade_id, t.quote, t.size, t.side) for t in page.trades] == [
        ("1", 40.0, 0.0005, -1),
        ("2", 40.0, 0.0005, -1),
    ]
    assert page.following is not None
    assert dict(page.following.params)["start_timestamp"] == str(AT_MS + 2000)
    body = msgspec.json.encode({"result": {"trades": [deribit(5, AT_MS + 3001)], "has_more": True}})
    assert past("DERIBIT").read(body, page.following, DERIBIT, gap).complete


def test_bitfinex_reads_sides_from_signs_and_ends_with_a_short_page() -> None:
    gap = Gap(BITFINEX.market, "7", AT_MS * 10**6)
    request = past("BITFINEX").request(BITFINEX, gap)
    assert request is not None
    assert request.url.endswith("/v2/trades/tBTCUSD/hist")
    body = f"[[7,{AT_MS},0.5,80000],[8,{AT_MS + 5},-0.25,80001.5]]".encode()
    page = past("BITFINEX").read(body, request, BITFINEX, gap)
    assert [(t.trade_id, t.exchange_ns, t.size, t.quote, t.side) for t in page.trades] == [
        ("7", AT_MS * 10**6, 0.5, 40_000.0, 1),
        ("8", (AT_MS + 5) * 10**6, 0.25, 20_000.375, -1),
    ]
    assert (page.complete, page.following) == (True, None)


@pytest.mark.parametrize("name", ["BITSTAMP", "MEXC"])
def test_an_exchange_without_past_trades_has_none(name: str) -> None:
    assert registry.past_trades(name) is None
