"""What the adapters of most exchanges share: typed items in, checked trades out.

Exchanges send lists of trades. Each is decoded straight into a typed struct (an ``Item``), texts of numbers
included, and ``Session.trades`` turns those into ``Trade``: sizes in base units and notional in quote
currency, the taker's side, nanoseconds. Amounts are positive and finite by their type; what a type cannot
say - a notional that no float holds, a date in the future - is checked there. Frames that are not of the
usual shape are read again, item by item (``Session.rows``), so that one broken item hides no other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Annotated, ClassVar, NamedTuple, Protocol, TypeVar

import msgspec

from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds.adapter import FrameParser, Parsed, StreamPlan
from squeezeflow_plugin.feeds.reading import (
    INFINITY,
    MAX_AHEAD_NS,
    SKIPPED,
    excerpt,
    field_error,
)
from squeezeflow_plugin.feeds.templates import Template
from squeezeflow_plugin.market import Instrument, MarketKind, Side, Trade

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
MAX_MARKETS = 20_000
"""How many symbols a session remembers; several times what any exchange lists."""
BEGINNING = 1_230_768_000_000_000_000
"""2009, in nanoseconds: no crypto market existed before."""
FOREVER = 2**62
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_SYMBOL_LENGTH = 100
"""Longer ones are read but not remembered; the longest listed has a third of it."""
ITEM_SKIPPED = "the item is skipped"
BUY, SELL = int(Side.BUY), int(Side.SELL)
BUY_SELL = {"buy": BUY, "sell": SELL, "Buy": BUY, "Sell": SELL, "BUY": BUY, "SELL": SELL}

Amount = Annotated[float, msgspec.Meta(gt=0)]
"""A price or size; NaN is no amount."""
FractionalTime = Annotated[float, msgspec.Meta(ge=0, lt=1e13)]
"""Seconds or milliseconds since the epoch with fractions, so far from infinity that they can be counted."""
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time that says its zone."""
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
"""An id or another short text."""

T = TypeVar("T")


class Item(Protocol):
    """One trade or liquidation as an exchange spells it, read into a struct."""

    @property
    def symbol(self) -> str:
        """The exchange's name of the market."""
        ...

    @property
    def time(self) -> int:
        """When it happened, in the session's unit since the epoch."""
        ...

    @property
    def trade_id(self) -> str:
        """The exchange's id; where it gives none, one made of what the item says."""
        ...

    @property
    def price(self) -> float:
        """Quote currency a base unit."""
        ...

    @property
    def size(self) -> float:
        """As the exchange counts it: base units or contracts."""
        ...

    @property
    def side(self) -> str:
        """A key of the session's ``sides``."""
        ...

    @property
    def count(self) -> int:
        """How many fills it stands for."""
        ...


class Market(NamedTuple):
    """What a symbol's sizes mean: so many base units each, or quote units where ``inverse``."""

    name: str
    contract_size: float = 1.0
    inverse: bool = False


class Markets(dict[str, Market]):
    """Markets by the exchange's symbol: those of the plan, and others by name as they appear.

    ``market_of`` gives a symbol's market, ``classify`` what its name says, ``symbol_of`` the symbol by which
    the frames' items know an instrument.
    """

    def __init__(
        self,
        market_of: Callable[[str], str],
        classify: Callable[[str], Instrument | None],
        instruments: Iterable[Instrument] = (),
        symbol_of: Callable[[Instrument], str] = attrgetter("symbol"),
    ) -> None:
        super().__init__((symbol_of(i), Market(i.market, i.contract_size, i.inverse)) for i in instruments)
        self.planned = frozenset(self)
        self._market_of = market_of
        self._classify = classify

    def __missing__(self, symbol: str) -> Market:
        name = self._market_of(symbol)
        instrument = self._classify(name)
        market = Market(name, instrument.contract_size, instrument.inverse) if instrument else Market(name)
        if len(self) < MAX_MARKETS and len(symbol) <= MAX_SYMBOL_LENGTH:
            self[symbol] = market
        return market


class Session:
    """Reads the frames of one connection; an exchange's own session adds ``parse``."""

    unit_ns: ClassVar[int] = NS_PER_MS
    """What a time of 1 means in nanoseconds."""
    sides: ClassVar[Mapping[str, int]] = BUY_SELL
    liquidation_sides: ClassVar[Mapping[str, int]] = BUY_SELL
    """The side of the forced order."""

    def __init__(self, exchange: str, markets: Markets, plan: StreamPlan | None) -> None:
        self.exchange = exchange
        self.markets = markets
        self.is_planned = plan is not None
        self._subscribe = plan.subscribe if plan else ()

    def trades(
        self,
        items: Sequence[Item],
        received_ns: int,
        markets: Mapping[str, Market] | None = None,
        liquidation: bool = False,
    ) -> Parsed:
        """The trades that items are; those that cannot be counted are named in ``rejected``."""
        known = self.markets if markets is None else markets
        sides = self.liquidation_sides if liquidation else self.sides
        unit_ns = self.unit_ns
        before_ns = received_ns + MAX_AHEAD_NS if received_ns else FOREVER
        trades: list[Trade] = []
        rejected: list[str] = []
        for item in items:
            market, contract_size, inverse = known[item.symbol]
            price = item.price
            size = quote = item.size * contract_size
            if inverse:
                size /= price
            else:
                quote *= price
            exchange_ns = item.time * unit_ns
            if size > 0.0 < quote < INFINITY and BEGINNING < exchange_ns < before_ns:
                side = sides[item.side]
                trade_id, count = item.trade_id, item.count
                trade = Trade(
                    market, exchange_ns, trade_id, price, size, quote, side, count, liquidation, received_ns
                )
                trades.append(trade)
            else:
                rejected.append(self._uncountable(item, market, exchange_ns, received_ns))
        if rejected:
            return Parsed(tuple(trades), rejected=tuple(rejected))
        return Parsed(tuple(trades))

    def liquidations(
        self, items: Sequence[Item], received_ns: int, markets: Mapping[str, Market] | None = None
    ) -> Parsed:
        """The liquidations that items are; of the plan's markets alone where there is a plan.

        Streams that give them no id may name several that are alike in one frame: the second is ``...#2``.
        """
        if self.is_planned:
            items = [item for item in items if item.symbol in self.markets.planned]
        parsed = self.trades(items, received_ns, markets, liquidation=True)
        return msgspec.structs.replace(parsed, trades=numbered(parsed.trades))

    def rows(self, what: str, rows: object, kind: type[T]) -> tuple[list[T], tuple[str, ...]]:
        """Each row of a frame read by itself: the items that can be read, and why the others cannot."""
        if not isinstance(rows, list):
            raise FeedProtocolError(
                f"{self.exchange} {what}: trades must be a list, were {excerpt(repr(rows), 60)}; {SKIPPED}"
            )
        items: list[T] = []
        rejected: list[str] = []
        for row in rows:
            try:
                items.append(_item(row, kind))
            except msgspec.ValidationError as error:
                rejected.append(str(field_error(f"{self.exchange} {what}", row, error, ITEM_SKIPPED)))
        return items, tuple(rejected)

    def asked_by(self, request_id: object) -> tuple[str, ...]:
        """The markets of the control frame with this id (ids count from 1; a text of one will do)."""
        if isinstance(request_id, str) and request_id.isdecimal() and len(request_id) < 10:
            request_id = int(request_id)
        if isinstance(request_id, int) and 1 <= request_id <= len(self._subscribe):
            return self._subscribe[request_id - 1].markets
        return ()

    def planned_market(self, symbol: object) -> tuple[str, ...]:
        """The market that the plan calls by this symbol, none where it calls none so."""
        if isinstance(symbol, str) and symbol in self.markets.planned:
            return (self.markets[symbol].name,)
        return ()

    def unreadable(self, frame: str | bytes) -> FeedProtocolError:
        """For a frame that is of no kind the exchange is known to send."""
        return FeedProtocolError(
            f"{self.exchange}: frame is of no known kind, was {excerpt(frame)}; {SKIPPED}"
        )

    def _uncountable(self, item: Item, market: str, exchange_ns: int, received_ns: int) -> str:
        if received_ns and exchange_ns - received_ns > MAX_AHEAD_NS:
            return (
                f"{market}: trade {item.trade_id} was dated {exchange_ns // NS_PER_MS}, more than an hour "
                f"after it was received ({received_ns // NS_PER_MS}); {ITEM_SKIPPED}"
            )
        if exchange_ns <= BEGINNING:
            return f"{market}: trade {item.trade_id} was dated before 2009; {ITEM_SKIPPED}"
        return (
            f"{market}: trade {item.trade_id} had price {item.price!r} and size {item.size!r}, whose product "
            f"is no number a float holds; {ITEM_SKIPPED}"
        )


def merged(parsed: Parsed, rejected: tuple[str, ...], kind: str) -> Parsed:
    """What was counted and what was not; ``other`` says what the frame was where it carries nothing."""
    rejected += parsed.rejected
    other = "" if parsed.trades or rejected else kind
    return msgspec.structs.replace(parsed, rejected=rejected, other=other)


def _item(row: object, kind: type[T]) -> T:
    """A row read into its struct; what stops it may be a null for an absent field or a number for an id."""
    try:
        return msgspec.convert(row, kind, strict=False)
    except msgspec.ValidationError as error:
        if not isinstance(row, dict):
            raise
        told = {
            name: str(value) if type(value) is int else value
            for name, value in row.items()
            if value is not None
        }
        try:
            return msgspec.convert(told, kind, strict=False)
        except msgspec.ValidationError:
            raise error from None


def as_replayed(parsed: Parsed) -> Parsed:
    """The same trades, known to be from before the subscription."""
    return msgspec.structs.replace(parsed, trades=(), replayed=parsed.trades)


def made_id(item: Item) -> str:
    """An id for a trade to which its exchange gives none: what it says, so the same whenever it is read."""
    return f"{item.time}-{item.side}-{item.price!r}-{item.size!r}"


def numbered(trades: tuple[Trade, ...]) -> tuple[Trade, ...]:
    """Trades of one frame whose ids are made of what they say: those that are alike get a number each."""
    seen: Counter[tuple[str, str]] = Counter()
    distinct: list[Trade] = []
    for trade in trades:
        key = (trade.market, trade.trade_id)
        seen[key] += 1
        trade_id = f"{trade.trade_id}#{seen[key]}"
        distinct.append(msgspec.structs.replace(trade, trade_id=trade_id) if seen[key] > 1 else trade)
    return tuple(distinct)


class Adapter(ABC):
    """What adapters are made of (the contract is in ``feeds/adapter.py``).

    Base URLs given to the constructor stand in for those of all the exchange's hosts, which differ in their
    paths.
    """

    name: str
    time_unit_ns = NS_PER_MS
    contiguous_ids: frozenset[MarketKind] = frozenset()
    templates: tuple[Template, ...] = ()

    def __init__(self, rest_url: str | None = None, ws_url: str | None = None) -> None:
        self._rest_url = rest_url.rstrip("/") if rest_url else None
        self._ws_url = ws_url.rstrip("/") if ws_url else None

    @abstractmethod
    def session(self, plan: StreamPlan | None = None) -> FrameParser:
        """A reader for one connection that follows the plan, or for recorded frames where None."""

    @abstractmethod
    def classify_symbol(self, symbol: str) -> Instrument | None:
        """What the part of a market's name after the colon says it is."""

    def classify(self, market: str) -> Instrument | None:
        """What a market's name alone says it is, None where it says nothing."""
        exchange, _, symbol = market.partition(":")
        return self.classify_symbol(symbol) if exchange == self.name else None

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """As ``session().parse``, for a frame that stands alone."""
        return self.session().parse(frame, received_ns)

    def _rest(self, url: str, path: str) -> str:
        return (self._rest_url or url) + path

    def _ws(self, url: str, path: str) -> str:
        return (self._ws_url or url) + path


def listed(exchange: str, url: str, entries: Sequence[T]) -> Sequence[T]:
    """The entries of an answer about markets; an exchange that names none has not answered."""
    if not entries:
        raise FeedProtocolError(f"{exchange}: answer of {url} names no market; nothing is taken from it")
    return entries


def answer(exchange: str, url: str, body: bytes, kind: type[T]) -> T:
    """The answer to a request, read; FeedProtocolError names exchange and URL where it cannot be."""
    try:
        return msgspec.json.decode(body, type=kind, strict=False)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise FeedProtocolError(f"{exchange}: answer of {url} cannot be read: {error}") from error


def microseconds(moment: datetime) -> int:
    """Since the epoch, exactly.

    >>> microseconds(datetime(2026, 1, 1, microsecond=5, tzinfo=UTC))
    1767225600000005
    """
    passed = moment - EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


def chunks(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """Items in order, at most ``size`` at a time.

    >>> chunks([1, 2, 3], 2)
    [[1, 2], [3]]
    """
    return [items[start : start + size] for start in range(0, len(items), size)]


def text_of(document: object) -> str:
    """A control frame's text, compact.

    >>> text_of({"op": "ping"})
    '{"op":"ping"}'
    """
    return msgspec.json.encode(document).decode()
