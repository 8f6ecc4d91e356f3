"""Any other exchange that ccxt.pro can watch: the slow path, named ``CCXT-`` and ccxt's id (``CCXT-WOO``).

ccxt opens the sockets and reads the frames; here its unified trades become ours. That costs some forty times
the processor time of an adapter of one's own, and less is known of a trade: no liquidations, no ids that are
a sequence, no past trades to fill a gap with, and no acknowledgement of a subscription. So a market counts as
covered from its first trade on, and a lost connection leaves a named hole. The name marks such markets
wherever they are shown, stored or counted.

A market is called by ccxt's unified symbol, ``CCXT-WOO:BTC/USDT:USDT``. ccxt comes with FreqTrade; it is
imported when such an exchange is made, and never otherwise.

https://docs.ccxt.com/#/ccxt.pro.manual and https://docs.ccxt.com/#/?id=market-structure
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import msgspec

from squeezeflow_plugin.errors import FeedConnectionError, FeedProtocolError, SettingsError
from squeezeflow_plugin.feeds.adapter import Parsed, RestRequest, StreamPlan
from squeezeflow_plugin.feeds.naming import asset
from squeezeflow_plugin.feeds.reading import INFINITY, Milliseconds, excerpt, json_document
from squeezeflow_plugin.feeds.session import (
    NS_PER_MS,
    Amount,
    Markets,
    Session,
    Text,
    made_id,
    merged,
    numbered,
)
from squeezeflow_plugin.feeds.templates import Template
from squeezeflow_plugin.market import Instrument, MarketKind
from squeezeflow_plugin.settings import Endpoint

PREFIX = "CCXT-"
KINDS = {"spot": MarketKind.SPOT, "swap": MarketKind.PERP, "future": MarketKind.FUTURE}
TRADES_KEPT = 5_000
"""Of each market, by ccxt, until they are asked for (some 8 MB): a second of the busiest one. As many at once
may be the last of more."""


class UnifiedTrade(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"unified_symbol": "symbol", "number": "id", "time": "timestamp", "size": "amount"},
):
    """One of ccxt's trades; the amount is in contracts where the market has a contract size."""

    unified_symbol: str
    time: Milliseconds
    side: Literal["buy", "sell"]
    price: Amount
    size: Amount
    number: Text | None = None
    count: ClassVar[int] = 1

    @property
    def symbol(self) -> str:
        """As the plan's instruments have it."""
        return self.unified_symbol

    @property
    def trade_id(self) -> str:
        """The exchange's, where it gives one."""
        return self.number or made_id(self)


class Market(msgspec.Struct, frozen=True, rename={"contract_size": "contractSize"}):
    """The part of one of ccxt's markets that is used."""

    symbol: str
    type: str
    base: str
    quote: str
    settle: str | None = None
    active: bool | None = None
    inverse: bool | None = None
    contract_size: float | None = None


class SlowSession(Session):
    """Reads ccxt's trades; as a frame, they are a JSON list."""

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """What the list says; FeedProtocolError where it is none."""
        return self.read(json_document(self.exchange, frame), received_ns)

    def read(self, rows: object, received_ns: int) -> Parsed:
        """What ccxt handed over at once says."""
        items, rejected = self.rows("watchTrades", rows, UnifiedTrade)
        parsed = self.trades(items, received_ns)
        if any(item.number is None for item in items):
            parsed = msgspec.structs.replace(parsed, trades=numbered(parsed.trades))
        return merged(parsed, rejected, "watchTrades")


class SlowExchange:
    """Adapter of an exchange that ccxt watches (the contract is in ``feeds/adapter.py``).

    Its markets and its connection are ccxt's affair: ``markets`` asks for them, ``opened`` makes what
    ``feeds/slow_connection.py`` watches.
    """

    time_unit_ns = NS_PER_MS
    contiguous_ids: frozenset[MarketKind] = frozenset()
    templates: tuple[Template, ...] = ()

    def __init__(self, name: str, endpoint: Endpoint | None = None) -> None:
        """Raises SettingsError for an exchange whose trades ccxt cannot watch."""
        self.name = name
        self._id = name.removeprefix(PREFIX).lower()
        self._endpoint = endpoint or Endpoint()
        pro = _ccxt()
        kind = getattr(pro, self._id, None) if self._id in pro.exchanges else None
        if kind is None or not kind().has.get("watchTrades"):
            raise SettingsError(
                f"{name}: ccxt {pro.__version__} cannot watch trades of {self._id!r}; nothing is started"
            )
        self._kind = kind

    def opened(self) -> Any:
        """One of ccxt's exchanges, with its URLs replaced where settings say so; whoever has it closes it."""
        exchange = self._kind({"options": {"tradesLimit": TRADES_KEPT}})
        exchange.urls["api"] = _replaced(exchange.urls["api"], self._endpoint)
        return exchange

    async def markets(self) -> tuple[Instrument, ...]:
        """The exchange's open markets, ordered by market. Raises FeedConnectionError where ccxt gets none."""
        exchange = self.opened()
        try:
            found = await exchange.load_markets()
        except (errors().BaseError, OSError, TimeoutError) as error:
            raise FeedConnectionError(f"{self.name}: markets cannot be asked for: {error}") from error
        finally:
            await exchange.close()
        instruments = [self.instrument(market) for market in found.values()]
        return tuple(sorted((i for i in instruments if i is not None), key=lambda i: i.market))

    def instrument(self, market: Mapping[str, Any]) -> Instrument | None:
        """What one of ccxt's markets is; None for options, closed ones and what is not told well enough."""
        try:
            said = msgspec.convert(market, Market, strict=False)
        except msgspec.ValidationError:
            return None
        kind = KINDS.get(said.type)
        size = 1.0 if kind is MarketKind.SPOT else said.contract_size
        if kind is None or said.active is False or size is None or not 0.0 < size < INFINITY:
            return None
        return Instrument(
            f"{self.name}:{said.symbol}",
            said.symbol,
            kind,
            asset(said.base),
            asset(said.quote),
            asset(said.settle or said.quote),
            size,
            kind is not MarketKind.SPOT and bool(said.inverse),
        )

    def instrument_requests(self) -> tuple[RestRequest, ...]:
        """None: ccxt asks."""
        return ()

    def parse_instruments(self, body: bytes, request: RestRequest) -> tuple[Instrument, ...]:
        """ccxt's markets as a JSON list."""
        rows = json_document(self.name, body)
        if not isinstance(rows, list):
            raise FeedProtocolError(f"{self.name}: {request.url} must answer a list, was {excerpt(body)}")
        found = [self.instrument(row) for row in rows if isinstance(row, dict)]
        return tuple(instrument for instrument in found if instrument is not None)

    def classify(self, market: str) -> Instrument | None:
        """What a unified symbol says; contract sizes, which it does not, are taken for 1.

        >>> inverse = SlowExchange("CCXT-WOO").classify("CCXT-WOO:BTC/USD:BTC")
        >>> inverse.kind.value, inverse.base, inverse.quote, inverse.settle, inverse.inverse
        ('perp', 'BTC', 'USD', 'BTC', True)
        """
        exchange, _, symbol = market.partition(":")
        pair, _, contract = symbol.partition(":")
        settle, _, date = contract.partition("-")
        base, slash, quote = pair.partition("/")
        if exchange != self.name or not slash or not base or not quote or "-" in date:
            return None
        if not contract:
            return Instrument(market, symbol, MarketKind.SPOT, asset(base), asset(quote), asset(quote))
        kind = MarketKind.FUTURE if date else MarketKind.PERP
        return Instrument(
            market, symbol, kind, asset(base), asset(quote), asset(settle), inverse=settle == base
        )

    def plan(self, instruments: Sequence[Instrument]) -> tuple[StreamPlan, ...]:
        """All of them together; how many sockets that makes is ccxt's affair."""
        if not instruments:
            return ()
        markets = tuple(instrument.market for instrument in instruments)
        return (StreamPlan(self.name, f"ccxt:{self._id}", tuple(instruments), markets, ()),)

    def session(self, plan: StreamPlan | None = None) -> SlowSession:
        """A reader of ccxt's trades."""
        instruments = plan.instruments if plan else ()
        markets = Markets(lambda symbol: f"{self.name}:{symbol}", self.classify, instruments)
        return SlowSession(self.name, markets, plan)

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """As ``session().parse``, for a frame that stands alone."""
        return self.session().parse(frame, received_ns)


def is_slow(name: str) -> bool:
    """Whether an exchange of this name is watched through ccxt.

    >>> is_slow("CCXT-WOO"), is_slow("BYBIT"), is_slow("CCXT-")
    (True, False, False)
    """
    return name.startswith(PREFIX) and name != PREFIX


def errors() -> ModuleType:
    """The module of ccxt's errors; their root is ``BaseError``."""
    return importlib.import_module("ccxt.base.errors")


def _ccxt() -> ModuleType:
    try:
        return importlib.import_module("ccxt.pro")
    except ImportError as error:
        raise SettingsError(
            f"exchanges named {PREFIX}... need ccxt, which is not installed: {error}; nothing is started"
        ) from error


def _replaced(urls: Any, endpoint: Endpoint) -> Any:
    """The URLs with scheme and host of the endpoint's, whose paths stay, where it names any.

    >>> _replaced({"public": "https://api.{hostname}/v5", "ws": ["wss://x/y"]}, Endpoint(rest="http://h:1/z"))
    {'public': 'http://h:1/z/v5', 'ws': ['wss://x/y']}
    """
    if isinstance(urls, dict):
        return {name: _replaced(url, endpoint) for name, url in urls.items()}
    if isinstance(urls, list):
        return [_replaced(url, endpoint) for url in urls]
    if not isinstance(urls, str):
        return urls
    parts = urlsplit(urls)
    base = endpoint.ws if parts.scheme in {"ws", "wss"} else endpoint.rest
    return urls if base is None else base.rstrip("/") + parts.path
