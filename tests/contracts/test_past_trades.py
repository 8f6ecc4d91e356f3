"""Every exchange that gives past trades gives those of its stream, whatever the gap, page by page.

The simulated exchanges answer from what was traded there.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

import msgspec
import numpy as np
import pytest

from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds import registry
from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.feeds.recovery import Gap, PastTrades, Recovered
from squeezeflow_plugin.market import NS_PER_SECOND, Trade
from squeezeflow_plugin.settings import Endpoint
from squeezeflow_plugin.simulator.dialect import Ask, Dialect, Stock
from squeezeflow_plugin.simulator.echoes import Echo, Ids, uuid_text
from squeezeflow_plugin.simulator.peers import dialects, echoes
from squeezeflow_plugin.simulator.profiles import asset_profile
from squeezeflow_plugin.simulator.trades import MarketTrades
from squeezeflow_plugin.simulator.venue import Venue
from tests.unit.simulator.markets import ORIGIN, venue_of

HOST = "http://exchange"
NOW_MS = (ORIGIN + 240) * 1000
MOST_PAGES = 200
NS_PER_MS = 1_000_000
NOT_RECOVERED = {"BITGET:TONUSD"}
"""Markets of which the module says why."""
NEWEST = {"HYPERLIQUID": 10, "BYBIT": 60}
"""Exchanges that show no older ones than so many (Bybit: of spot; contracts have far more)."""


@cache
def venue(name: str) -> Venue:
    one = venue_of("TON", echoes=echoes([name], [asset_profile("TON")]))
    one.extend(ORIGIN + 300)
    return one


def past_of(name: str, market: str) -> MarketTrades:
    return venue(name).tapes[market].span(0, NOW_MS)[0]


def stock_of(name: str) -> Stock:
    return Stock(venue(name).echoes, lambda market: past_of(name, market), lambda: NOW_MS)


def ask_of(request: RestRequest) -> Ask:
    body = msgspec.json.decode(request.body) if request.body else None
    return Ask(request.url.removeprefix(HOST), dict(request.params), body)


def pages(past: PastTrades, dialect: Dialect, echo: Echo, gap: Gap) -> Iterator[Recovered]:
    request = past.request(echo.instrument, gap)
    while request is not None:
        answer = msgspec.json.encode(dialect.answer(ask_of(request), stock_of(dialect.name)))
        page = past.read(answer, request, echo.instrument, gap)
        yield page
        request = page.following


def id_text(echo: Echo, number: int) -> str:
    return uuid_text(number) if echo.ids is Ids.UUID else str(number)


def inside(trades: tuple[Trade, ...], gap: Gap) -> dict[str, Trade]:
    return {
        each.trade_id: each
        for each in trades
        if gap.after_ns <= each.exchange_ns and (not gap.before_ns or each.exchange_ns <= gap.before_ns)
    }


MARKETS = [
    (name, echo.market)
    for name in sorted(dialects())
    for echo in echoes([name], [asset_profile("TON")])
    if registry.past_trades(name) is not None
]


def reach(name: str, market: str) -> int:
    if name == "BYBIT" and not market.endswith("-SPOT"):
        return 1000
    return NEWEST.get(name, 2**40)


def is_crowded(market: str, times_ms: list[int]) -> bool:
    """Whether more happened in a millisecond than a page of Kraken's futures holds: it cannot be passed."""
    return market.startswith("KRAKEN:P") and max(map(times_ms.count, set(times_ms)), default=0) >= 100


@pytest.mark.parametrize(("name", "market"), MARKETS)
def test_what_was_traded_in_a_gap_comes_back(name: str, market: str) -> None:
    past, dialect = registry.past_trades(name), dialects()[name]
    assert past is not None
    past = type(past)(HOST)
    echo = next(each for each in venue(name).echoes if each.market == market)
    truth = past_of(name, market)
    quotes = echo.quote(truth).tolist()
    rng = random.Random(market)
    for _ in range(8):
        first, last = sorted(rng.sample(range(len(truth)), 2))
        is_open = rng.random() < 0.3
        ids, times = truth.ids.tolist(), (truth.at_ms * 1_000_000).tolist()
        gap = Gap(market, id_text(echo, ids[first]), times[first])
        stop = len(truth)
        if not is_open:
            gap, stop = Gap(market, gap.after_id, gap.after_ns, id_text(echo, ids[last]), times[last]), last
        if past.request(echo.instrument, gap) is None:
            assert market in NOT_RECOVERED
            return
        read = list(pages(past, dialect, echo, gap))
        assert 1 <= len(read) <= MOST_PAGES
        found = inside(tuple(trade for page in read for trade in page.trades), gap)
        wanted = range(first + 1, stop)
        in_reach = range(max(first + 1, len(truth) - reach(name, market)), stop)
        if not read[-1].complete and is_crowded(
            market, truth.between(truth.at_ms[first], truth.at_ms[stop - 1] + 1).at_ms.tolist()
        ):
            continue
        assert read[-1].complete == (len(truth) - first <= reach(name, market))
        for row in in_reach:
            trade = found[id_text(echo, ids[row])]
            assert (trade.market, trade.exchange_ns, trade.count) == (market, times[row], 1)
            assert (trade.price, trade.side) == (truth.price[row], truth.side[row])
            assert trade.quote == pytest.approx(quotes[row], rel=1e-12)
            assert (trade.received_ns, trade.liquidation) == (0, False)
        if read[-1].complete:
            assert in_reach == wanted


@pytest.mark.parametrize(("name", "market"), MARKETS)
@pytest.mark.parametrize("is_open", [True, False])
def test_what_was_traded_from_a_second_on_comes_back_where_no_trade_before_it_is_known(
    name: str, market: str, is_open: bool
) -> None:
    past, dialect = registry.past_trades(name, Endpoint(rest=HOST, ws=HOST)), dialects()[name]
    assert past is not None
    echo = next(each for each in venue(name).echoes if each.market == market)
    truth = past_of(name, market)
    rng = random.Random(market)
    for _ in range(4):
        last = rng.randrange(len(truth) // 2, len(truth) - 1)
        start_ns = int(truth.at_ms[rng.randrange(1, last)]) // 1000 * NS_PER_SECOND
        first = int(np.searchsorted(truth.at_ms, start_ns // NS_PER_MS))
        gap, stop = Gap(market, "", start_ns), len(truth)
        if not is_open:
            end = id_text(echo, int(truth.ids[last])), int(truth.at_ms[last]) * NS_PER_MS
            gap, stop = Gap(market, "", start_ns, *end), last
        if past.request(echo.instrument, gap) is None:
            assert market in NOT_RECOVERED
            return
        read = list(pages(past, dialect, echo, gap))
        if not read[-1].complete:
            assert len(truth) - first >= reach(name, market) or is_crowded(market, truth.at_ms.tolist())
            continue
        found = inside(tuple(trade for page in read for trade in page.trades), gap)
        assert {id_text(echo, number) for number in truth.ids[first:stop].tolist()} <= set(found)


@pytest.mark.parametrize(("name", "market"), MARKETS)
def test_an_answer_that_cannot_be_read_is_named(name: str, market: str) -> None:
    past = registry.past_trades(name)
    assert past is not None
    echo = next(each for each in venue(name).echoes if each.market == market)
    gap = Gap(market, "7", ORIGIN * 10**9)
    request = past.request(echo.instrument, gap)
    if request is None:
        assert market in NOT_RECOVERED
        return
    for body in (b"", b"null", b"[1]", b"<html>", b'{"data":[{}],"result":{},"trades":1}', b'{"x":' * 5000):
        with pytest.raises(FeedProtocolError, match=name):
            past.read(body, request, echo.instrument, gap)
