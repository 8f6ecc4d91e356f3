"""What the slow connection makes of ccxt's refusals, silence and rubbish."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import ccxt.pro
import pytest
from ccxt.base.errors import BadSymbol, NetworkError

from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.feeds.adapter import LeftOut
from squeezeflow_plugin.feeds.blocks import TradeBlock
from squeezeflow_plugin.feeds.link import BROKEN, SILENT
from squeezeflow_plugin.feeds.reconnect import Backoff
from squeezeflow_plugin.feeds.slow import TRADES_KEPT, SlowExchange
from squeezeflow_plugin.feeds.slow_connection import SlowConnection
from squeezeflow_plugin.market import Instrument, MarketKind, Trade

A, B = (
    Instrument(f"CCXT-WOO:{base}/USDT", f"{base}/USDT", MarketKind.SPOT, base, "USDT", "USDT")
    for base in ("BTC", "ETH")
)
SILENCE_S = 0.3


class Sink:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.is_live: set[str] = set()
        self.downs: list[tuple[str, str]] = []
        self.reasons: list[str] = []
        self.unreads = 0

    def trades(self, trades: tuple[Trade, ...]) -> None:
        self.ids += [each.trade_id for each in trades]

    def block(self, block: TradeBlock) -> None:
        raise AssertionError(f"ccxt reads no frames at once, was {block}")

    def left_out(self, items: tuple[LeftOut, ...]) -> None:
        raise AssertionError(f"ccxt leaves nothing out, was {items}")

    def live(self, markets: tuple[str, ...], at_ns: int) -> None:
        assert at_ns
        self.is_live.update(markets)

    def down(self, markets: tuple[str, ...], at_ns: int, reason: str) -> None:
        assert at_ns
        self.is_live.difference_update(markets)
        self.downs += [(market, reason) for market in markets]

    def unread(self, markets: tuple[str, ...], at_ns: int) -> None:
        assert markets
        assert at_ns
        self.unreads += 1

    def rejected(self, exchange: str, reason: str, frame: str | bytes) -> None:
        assert exchange == "CCXT-WOO"
        assert isinstance(frame, str)
        self.reasons.append(reason)


class Scripted(ccxt.pro.woo):  # type: ignore[misc]  # ccxt says no types
    """ccxt's exchange, whose answers a test writes: each market's in turn, then nothing for ever."""

    def __init__(self, script: dict[str, list[Any]], load: list[Exception]) -> None:
        super().__init__({})
        self.script = script
        self.load = load

    async def load_markets(self, *_arguments: Any) -> dict[str, Any]:
        if self.load:
            raise self.load.pop(0)
        return {}

    async def watch_trades(self, symbol: str, *_arguments: Any) -> Any:
        answers = self.script.get(symbol, [])
        if not answers:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Stand(SlowExchange):
    """Hands out scripted exchanges, one after the other, the last one again and again."""

    def __init__(self, *scripts: dict[str, list[Any]], load: list[Exception] | None = None) -> None:
        super().__init__("CCXT-WOO")
        self._scripts = list(scripts)
        self._load = load or []

    def opened(self) -> Any:
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        return Scripted(script, self._load)


def trade(number: int, symbol: str = A.symbol) -> dict[str, Any]:
    row = {"id": str(number), "timestamp": 1_767_225_600_000 + number, "symbol": symbol}
    return row | {"side": "buy", "price": 2.0, "amount": 1.0}


async def play(stand: Stand, until: Callable[[SlowConnection, Sink], bool], *instruments: Instrument) -> Sink:
    sink = Sink()
    (plan,) = stand.plan(instruments or (A, B))
    connection = SlowConnection(
        plan, stand, SystemClock(), sink, silence_limit_s=SILENCE_S, backoff=Backoff(0.01, 0.02)
    )
    task = asyncio.create_task(connection.run())
    async with asyncio.timeout(20):
        while not until(connection, sink):
            await asyncio.sleep(0.01)
            if task.done():
                task.result()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return sink


async def test_a_refused_market_is_down_and_the_others_go_on() -> None:
    stand = Stand(
        {A.symbol: [BadSymbol("no such market")], B.symbol: [[trade(n, B.symbol)] for n in range(3)]}
    )
    sink = await play(stand, lambda _, sink: len(sink.ids) == 3 and bool(sink.reasons))
    assert sink.reasons == ["ccxt refuses CCXT-WOO:BTC/USDT: BadSymbol('no such market')"]
    assert sink.downs[0] == (A.market, sink.reasons[0])


async def test_where_every_market_is_refused_all_is_opened_anew() -> None:
    stand = Stand({A.symbol: [BadSymbol("no")]}, {A.symbol: [[trade(1)]]})
    sink = await play(stand, lambda connection, sink: bool(sink.ids) and connection.stats.opened == 2, A)
    assert (A.market, "none of its markets is served") in sink.downs


async def test_silence_of_all_markets_ends_it() -> None:
    stand = Stand({A.symbol: [[trade(1)]]}, {A.symbol: [[trade(2)]]})
    sink = await play(
        stand, lambda connection, sink: connection.stats.reopened[SILENT] >= 1 and "2" in sink.ids
    )
    assert sink.ids == ["1", "2"]
    assert (A.market, f"no trade for {SILENCE_S:g} s") in sink.downs


@pytest.mark.parametrize("end", [NetworkError("gone"), asyncio.CancelledError(), OSError("gone")])
async def test_a_connection_that_breaks_in_any_way_is_opened_anew(end: BaseException) -> None:
    stand = Stand({A.symbol: [[trade(1)], end]}, {A.symbol: [[trade(2)]]})
    sink = await play(
        stand, lambda connection, sink: connection.stats.reopened[BROKEN] == 1 and "2" in sink.ids
    )
    assert sink.ids == ["1", "2"]


async def test_markets_that_do_not_load_are_tried_again() -> None:
    stand = Stand({A.symbol: [[trade(1)]]}, load=[NetworkError("no"), OSError("no")])
    sink = await play(stand, lambda _, sink: bool(sink.ids))
    assert len([1 for _, reason in sink.downs if "cannot be asked for" in reason]) == 4


async def test_what_cannot_be_read_is_named_and_the_rest_counts() -> None:
    bad = trade(1) | {"side": "?"}
    stand = Stand({A.symbol: [[bad, trade(2)], ["rubbish"], [], [trade(3)]]})
    sink = await play(stand, lambda _, sink: "3" in sink.ids)
    assert sink.ids == ["2", "3"]
    assert len(sink.reasons) == sink.unreads == 2


async def test_as_many_trades_as_ccxt_keeps_may_not_be_all() -> None:
    stand = Stand({A.symbol: [[trade(number) for number in range(TRADES_KEPT)]]})
    sink = await play(stand, lambda _, sink: bool(sink.reasons))
    assert (len(sink.ids), sink.unreads) == (TRADES_KEPT, 1)
    assert sink.reasons == [f"{A.market}: ccxt keeps {TRADES_KEPT} trades, and there may have been more"]


async def test_what_the_sink_raises_ends_it() -> None:
    class Full(Sink):
        def trades(self, trades: tuple[Trade, ...]) -> None:
            raise MemoryError(f"{len(trades)} too many")

    stand = Stand({A.symbol: [[trade(1)]]})
    (plan,) = stand.plan((A,))
    with pytest.raises(MemoryError):
        await SlowConnection(plan, stand, SystemClock(), Full()).run()
