"""What a simulated exchange must say: the contract between its wire and the servers that carry it.

A dialect opens nothing and asks no clock. It lists the markets of an asset, answers what a client sends,
spells trades and liquidations as frames, and answers REST questions from the trades that have happened.
``floor.py`` puts it on a real socket; anything that can carry text can stand in its place.

Adding an exchange takes one module in ``exchanges/`` that holds ``DIALECT = <class>``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, NoReturn

import msgspec

from squeezeflow_plugin.market import Instrument, MarketKind
from squeezeflow_plugin.simulator.echoes import Echo
from squeezeflow_plugin.simulator.profiles import AssetProfile
from squeezeflow_plugin.simulator.trades import MarketTrades, decimal_text

Frame = str | bytes
BUY_SELL = {1: "buy", -1: "sell"}


@dataclass(frozen=True)
class Said:
    """What the server answers to a client's frame: ``frames`` first, then what ``replayed`` markets have
    traded lately; from then on the client hears ``topics``.
    """

    frames: tuple[Frame, ...] = ()
    topics: tuple[str, ...] = ()
    replayed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ask:
    """A REST question: ``path`` below the exchange's own root; ``body`` is what was sent, read as JSON."""

    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None

    def number(self, name: str, default: int) -> int:
        """A whole number of the query; Refused where it is none."""
        text = self.query.get(name)
        if text is None:
            return default
        if not text.isdecimal():
            refuse(400, {"error": f"{name} must be a number, was {text}"})
        return int(text)


class Refused(Exception):  # noqa: N818 - an answer of the exchange, not an error of ours
    """The exchange answers with this status and body."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"status {status}: {body}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


def refuse(status: int, body: Any) -> NoReturn:
    raise Refused(status, body)


class Row(msgspec.Struct, frozen=True, gc=False):
    """One trade or forced order, its numbers spelled; ``side`` +1 where the taker bought."""

    at_ms: int
    number: int
    price: str
    size: str
    side: int


class Stock:
    """An exchange's markets and what they have traded up to now.

    ``past`` gives the trades of a market that have happened, in the order (time, id), as far as they are
    kept.
    """

    def __init__(
        self, markets: Sequence[Echo], past: Callable[[str], MarketTrades], now_ms: Callable[[], int]
    ) -> None:
        self.markets = {market.market: market for market in markets}
        self._past = past
        self._now_ms = now_ms

    @property
    def now_ms(self) -> int:
        return self._now_ms()

    def find(self, symbol: str, fits: Callable[[Instrument], bool] = lambda _: True) -> Echo | None:
        """The market with this symbol among those that fit."""
        for market in self.markets.values():
            if market.instrument.symbol == symbol and fits(market.instrument):
                return market
        return None

    def past(self, market: Echo) -> MarketTrades:
        return self._past(market.market)

    def newest(self, market: Echo, count: int) -> list[Row]:
        """The newest trades, newest first."""
        return spelled(market, self.past(market).select(slice(-count, None)))[::-1] if count else []

    def between(self, market: Echo, above: int, below: int) -> MarketTrades:
        """Those whose ids lie between two, both left out."""
        past = self.past(market)
        return past.select((past.ids > above) & (past.ids < below))


class Dialect(ABC):
    """One exchange, without state. The defaults say nothing; an exchange's own class says what it says."""

    name: ClassVar[str]
    """aggr-server's name; its lower case is the first part of the path."""
    sockets: ClassVar[tuple[str, ...]]
    """Paths of its websockets."""
    heartbeat_s: ClassVar[float] = 0.0
    """How often the server speaks by itself; 0: never."""
    rows_a_frame: ClassVar[int] = 50

    @abstractmethod
    def markets(self, asset: AssetProfile) -> tuple[Echo, ...]:
        """The asset's markets here."""

    @abstractmethod
    def hear(self, path: str, text: str, stock: Stock) -> Said:
        """What a client's frame is answered with."""

    @abstractmethod
    def trades(self, market: Echo, rows: Sequence[Row], sent_ms: int) -> list[Frame]:
        """New trades (at least one, at most ``rows_a_frame``) in frames."""

    def replay(self, market: Echo, stock: Stock) -> list[Frame]:
        """What a subscription begins with."""
        return []

    def liquidations(self, market: Echo, rows: Sequence[Row], sent_ms: int) -> list[Frame]:
        """Forced orders in frames."""
        return []

    def liquidation_topic(self, market: Echo) -> str:
        """Which topic carries the market's liquidations; trades have the market's name for a topic."""
        return f"liquidations of {market.market}"

    def heartbeat(self, path: str, topics: frozenset[str], now_ms: int) -> list[Frame]:
        """What the server says by itself to one client."""
        return []

    def answer(self, ask: Ask, stock: Stock) -> Any:
        """The JSON answer to a REST question; Refused where there is none."""
        return refuse(404, {"error": f"no such path: {ask.path}"})


def spelled(market: Echo, trades: MarketTrades) -> list[Row]:
    """The rows of a table with their numbers as text, without needless zeros."""
    price_scale, size_scale = market.price_scale, market.size_scale
    return [
        Row(at, number, decimal_text(ticks, price_scale), decimal_text(lots, size_scale), side)
        for at, number, ticks, lots, side in zip(
            trades.at_ms.tolist(),
            trades.ids.tolist(),
            trades.ticks.tolist(),
            trades.lots.tolist(),
            trades.side.tolist(),
            strict=True,
        )
    ]


def read(text: str) -> Any:
    """A client's frame as JSON; None where it is none."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return None


def json_text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def moment(at_ms: int) -> str:
    """ISO 8601 in microseconds.

    >>> moment(1_767_225_600_123)
    '2026-01-01T00:00:00.123000Z'
    """
    seconds, part = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{part:03d}000Z"


def spot(market: str, symbol: str, base: str, quote: str) -> Instrument:
    return Instrument(market, symbol, MarketKind.SPOT, base, quote, quote)


def linear(market: str, symbol: str, base: str, quote: str, size: float = 1.0) -> Instrument:
    """A perpetual that is margined in its quote currency."""
    return Instrument(market, symbol, MarketKind.PERP, base, quote, quote, size)


def inverse(market: str, symbol: str, base: str, size: float = 1.0) -> Instrument:
    """A perpetual in US dollars that is margined in its coin."""
    return Instrument(market, symbol, MarketKind.PERP, base, "USD", base, size, inverse=True)
