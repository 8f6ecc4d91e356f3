"""What exchanges say of their markets beside trades: open interest, funding, the volume of a day.

One REST answer mostly holds all of an exchange's markets, so a request every half minute costs less than a
stream of tickers, and no exchange publishes open interest so much faster that the method would see it.
``ticker_sources.py`` says for each exchange which requests these are and where in the answers the numbers
stand; this module reads them. Pure, as the adapters are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.market import DerivativeTicker, Instrument, MarketKind

NS_PER_MS = 1_000_000
_NAN = math.nan
Row = Mapping[str, Any]


class TickerSource(msgspec.Struct, frozen=True, kw_only=True):
    """One request, and which field of each row holds what; an empty name says that it is not there.

    ``rows`` makes the rows of the decoded answer. ``spot``: it speaks of spot markets, else of contracts, of
    ``inverse`` or linear ones alone where that is set. ``symbol_param`` is set where one market is asked for
    at a time. ``contracts`` is open interest in the units of the exchange's trades, ``base`` in base units,
    ``usd`` in US dollars; ``volume`` is a day's in quote currency, ``volume_units`` in those of trades;
    ``time`` in units of ``time_unit_ns``, in the row or else in the answer.
    """

    host: str
    path: str
    rows: Callable[[Any], Iterable[Row]]
    params: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    symbol_param: str = ""
    spot: bool = False
    inverse: bool | None = None
    symbol: str = "symbol"
    suffix: str = ""
    contracts: str = ""
    base: str = ""
    usd: str = ""
    price: str = ""
    funding: str = ""
    volume: str = ""
    volume_units: str = ""
    volume_scale: float = 1.0
    time: str = ""
    time_unit_ns: int = NS_PER_MS

    @property
    def has_interest(self) -> bool:
        """Whether it tells open interest, or what belongs to it."""
        return not self.spot and bool(self.contracts or self.base or self.usd or self.funding)

    @property
    def has_volume(self) -> bool:
        """Whether it tells a day's volume."""
        return bool(self.volume or self.volume_units)

    def suits(self, instrument: Instrument) -> bool:
        """Whether it speaks of this instrument."""
        if (instrument.kind is MarketKind.SPOT) is not self.spot:
            return False
        return self.inverse is None or instrument.inverse is self.inverse

    def requests(self, instruments: Iterable[Instrument], rest_url: str | None) -> tuple[RestRequest, ...]:
        """What to ask for these instruments; nothing where it speaks of none of them."""
        symbols = [instrument.symbol for instrument in instruments if self.suits(instrument)]
        if not symbols:
            return ()
        url = (rest_url.rstrip("/") if rest_url else self.host) + self.path
        method = "POST" if self.body else "GET"
        if not self.symbol_param:
            return (RestRequest(method, url, self.params, self.body),)
        return tuple(RestRequest(method, url, (*self.params, (self.symbol_param, s))) for s in symbols)


class SymbolTicker(msgspec.Struct, frozen=True):
    """What one row says, as it says it; NaN and 0 ns where it does not."""

    symbol: str
    exchange_ns: int = 0
    contracts: float = _NAN
    base: float = _NAN
    usd: float = _NAN
    price: float = _NAN
    funding: float = _NAN
    volume: float = _NAN
    volume_units: float = _NAN


def read_tickers(exchange: str, source: TickerSource, body: bytes) -> tuple[SymbolTicker, ...]:
    """The rows of an answer that have a symbol; FeedProtocolError where it is no such answer."""
    try:
        document = msgspec.json.decode(body)
        rows = list(source.rows(document))
    except (msgspec.DecodeError, RecursionError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise FeedProtocolError(
            f"{exchange}: answer of {source.path} cannot be read: {error!r}; nothing is taken from it"
        ) from error
    stamp = document.get(source.time) if isinstance(document, dict) else None
    return tuple(_tickers(source, rows, stamp))


def _tickers(source: TickerSource, rows: Iterable[object], stamp: object) -> Iterator[SymbolTicker]:
    for row in rows:
        if not isinstance(row, Mapping) or not isinstance(symbol := row.get(source.symbol), str):
            continue
        time = _number(row.get(source.time, stamp) if source.time else 0)
        yield SymbolTicker(
            symbol=symbol + source.suffix,
            exchange_ns=int(time * source.time_unit_ns) if 0 < time < 1e19 / source.time_unit_ns else 0,
            contracts=_number(row.get(source.contracts)),
            base=_number(row.get(source.base)),
            usd=_number(row.get(source.usd)),
            price=_number(row.get(source.price)),
            funding=_number(row.get(source.funding)),
            volume=_number(row.get(source.volume)) * source.volume_scale,
            volume_units=_number(row.get(source.volume_units)),
        )


class Readings:
    """Puts together what several requests say of an exchange's contracts.

    Price and funding are remembered for the open interest that comes without them.
    """

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._instruments = {key_of(i.symbol): i for i in instruments if i.kind is not MarketKind.SPOT}
        self._prices: dict[str, float] = {}
        self._funding: dict[str, float] = {}

    def take(self, tickers: Iterable[SymbolTicker], now_ns: int) -> tuple[DerivativeTicker, ...]:
        """The contracts whose open interest is among the tickers; ``now_ns`` where they name no time."""
        found = []
        for ticker in tickers:
            instrument = self._instruments.get(key_of(ticker.symbol))
            if instrument is None:
                continue
            if ticker.price > 0:
                self._prices[instrument.market] = ticker.price
            if math.isfinite(ticker.funding):
                self._funding[instrument.market] = ticker.funding
            base, usd = _interest(instrument, ticker, self._prices.get(instrument.market, _NAN))
            if base >= 0 or usd >= 0:
                funding = self._funding.get(instrument.market, _NAN)
                found.append(
                    DerivativeTicker(instrument.market, ticker.exchange_ns or now_ns, base, usd, funding)
                )
        return tuple(found)


def _interest(instrument: Instrument, ticker: SymbolTicker, price: float) -> tuple[float, float]:
    """Open interest in base units and in US dollars, as far as it can be told."""
    base, usd = ticker.base, ticker.usd
    size = ticker.contracts * instrument.contract_size
    if instrument.inverse and math.isnan(usd):
        usd = size
    elif not instrument.inverse and math.isnan(base):
        base = size
    if math.isnan(base):
        base = usd / price
    if math.isnan(usd):
        usd = base * price
    return base, usd


def daily_volumes(
    instruments: Iterable[Instrument], source: TickerSource, tickers: Iterable[SymbolTicker]
) -> dict[str, float]:
    """A day's volume in quote currency by market, of those that the source tells.

    >>> perp = Instrument("X:a", "A-USD", MarketKind.PERP, "A", "USD", "A", 10.0, inverse=True)
    >>> source = TickerSource(host="", path="", rows=list, volume_units="v")
    >>> daily_volumes([perp], source, [SymbolTicker("AUSD", volume_units=7.0)])
    {'X:a': 70.0}
    """
    suited = {key_of(i.symbol): i for i in instruments if source.suits(i)}
    volumes: dict[str, float] = {}
    for ticker in tickers:
        instrument = suited.get(key_of(ticker.symbol))
        if instrument is None:
            continue
        volume = ticker.volume
        if math.isnan(volume):
            volume = ticker.volume_units * instrument.contract_size
            volume *= 1.0 if instrument.inverse else ticker.price
        if volume >= 0:
            volumes[instrument.market] = volume
    return volumes


def key_of(symbol: str) -> str:
    """A symbol as the exchanges' several interfaces agree on it.

    >>> key_of("BTC/USD") == key_of("btcusd")
    True
    """
    return "".join(letter for letter in symbol.upper() if letter.isalnum())


def _number(value: object) -> float:
    """NaN for what is no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return _NAN
    try:
        return float(value)
    except ValueError:
        return _NAN
