"""Asking an exchange for trades that its stream did not bring: the pure half of recovery.

Where an exchange gives past trades with the ids of its stream, a module of ``past/`` names the REST request
for a gap, reads the answer, and says what to ask next; ``collector/recovering.py`` carries the requests,
within the exchange's limits. Ids other than the stream's would count a trade twice, and a time of another
resolution would put it in another place: then there is no such module. Recovered trades carry no receive
time, because they are no sign of life.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import ClassVar

import msgspec

from squeezeflow_plugin.feeds.adapter import Parsed, RestRequest
from squeezeflow_plugin.feeds.session import EPOCH, NS_PER_US, Item, Market, Session
from squeezeflow_plugin.market import NS_PER_SECOND, Instrument, Trade


class Continuity(msgspec.Struct, frozen=True):
    """What a market's trade ids say: whether they are a ``sequence``, and whether the trades that are
    ``replayed`` after a subscription (if any) are the newest ones without a gap."""

    sequence: bool
    replayed: bool = False


class Gap(msgspec.Struct, frozen=True):
    """Trades of a market that are not in hand: those after one trade and before another, in exchange time.

    ``before_id`` is empty, and ``before_ns`` 0, where there is no later trade: everything up to now.
    ``after_id`` is empty where no earlier trade is known: everything from ``after_ns`` on.
    """

    market: str
    after_id: str
    after_ns: int
    before_id: str = ""
    before_ns: int = 0


class Recovered(msgspec.Struct, frozen=True):
    """What one answer gave.

    ``trades`` may be more than the gap; ``left_out`` are ids of trades that are not counted by design.
    ``following`` asks for the rest, None where this was the last page. ``complete`` says of the last page
    that the pages together hold all that was traded in the gap, as far as the exchange knows.
    """

    trades: tuple[Trade, ...] = ()
    left_out: tuple[str, ...] = ()
    following: RestRequest | None = None
    complete: bool = False


class PastTrades(ABC):
    """One exchange's past trades. A base URL given to the constructor stands in for those of its hosts."""

    exchange: ClassVar[str]
    replays_newest: ClassVar[bool] = False
    """Whether the trades it replays after a subscription are its newest ones without a gap."""
    interval_s: ClassVar[float] = 0.5
    """The least time between two requests, well within the exchange's public limit."""

    def __init__(self, rest_url: str | None = None) -> None:
        self._rest_url = rest_url.rstrip("/") if rest_url else None

    @abstractmethod
    def request(self, instrument: Instrument, gap: Gap) -> RestRequest | None:
        """The first request for a gap; None where the exchange gives none of this market's trades."""

    @abstractmethod
    def read(self, body: bytes, request: RestRequest, instrument: Instrument, gap: Gap) -> Recovered:
        """What the answer to that request, or to one that followed it, says.

        Raises FeedProtocolError for an answer that cannot be read.
        """

    def _rest(self, url: str, path: str) -> str:
        return (self._rest_url or url) + path


def trades_of(session: Session, items: Sequence[Item], instrument: Instrument) -> Parsed:
    """The items as the stream's session reads them; an item's symbol must be empty or the instrument's."""
    market = Market(instrument.market, instrument.contract_size, instrument.inverse)
    return session.trades(items, 0, {"": market, instrument.symbol: market})


def newest_only(parsed: Parsed, gap: Gap) -> Recovered:
    """Of an exchange that shows its newest trades and no older ones."""
    return Recovered(parsed.trades, complete=reaches(parsed.trades, gap))


def backward(
    parsed: Parsed,
    request: RestRequest,
    gap: Gap,
    onward: Callable[[Trade], RestRequest],
    *,
    is_whole: bool = False,
) -> Recovered:
    """Of an exchange that pages into the past: ``onward`` asks for what is older than a trade.

    ``is_whole``: nothing older was asked for than the gap's beginning, and the page is not full. Where no
    trade before the gap is known, none would show that it goes back so far.
    """
    if is_whole and not gap.after_id:
        return Recovered(parsed.trades, complete=True)
    if not parsed.trades or reaches(parsed.trades, gap):
        return Recovered(parsed.trades, complete=bool(parsed.trades))
    following = onward(min(parsed.trades, key=lambda trade: (trade.exchange_ns, int_or_zero(trade.trade_id))))
    return Recovered(parsed.trades, following=None if following == request else following)


def forward(
    parsed: Parsed, request: RestRequest, gap: Gap, onward: RestRequest, *, is_last: bool
) -> Recovered:
    """Of an exchange that pages from a time on: ``onward`` begins where this page ends."""
    passed = bool(gap.before_ns) and any(trade.exchange_ns > gap.before_ns for trade in parsed.trades)
    if is_last or passed:
        return Recovered(parsed.trades, complete=True)
    return Recovered(parsed.trades, following=None if onward == request else onward)


def reaches(trades: Iterable[Trade], gap: Gap) -> bool:
    """Whether trades go back to the beginning of the gap: the one before it is there, or an older one.

    >>> gap = Gap("X:a", "7", 7_000, "9", 9_000)
    >>> trade = Trade("X:a", 7_000, "7", 1.0, 1.0, 1.0, 1)
    >>> reaches([trade], gap), reaches([], gap)
    (True, False)
    """
    return any(
        each.exchange_ns < gap.after_ns
        or (each.exchange_ns == gap.after_ns and each.trade_id == gap.after_id)
        for each in trades
    )


def int_or_zero(text: str) -> int:
    """The number an id is, 0 where it is none."""
    return int(text) if text.isdecimal() else 0


def next_second(at_ns: int) -> str:
    """The second after, for an exchange that pages by seconds: what a page cuts comes with the next one.

    >>> next_second(1_767_225_600_123_000_000)
    '1767225601'
    """
    return str(at_ns // NS_PER_SECOND + 1)


def moment_text(at_ns: int) -> str:
    """The time as an exchange that pages by ISO 8601 wants it, in milliseconds; the rest is cut.

    >>> moment_text(1_767_225_600_123_900_000)
    '2026-01-01T00:00:00.123Z'
    """
    moment = EPOCH + timedelta(microseconds=at_ns // NS_PER_US)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def with_params(request: RestRequest, **params: str) -> RestRequest:
    """The same request with these parameters set.

    >>> with_params(RestRequest("GET", "https://x/y", (("a", "1"), ("b", "2"))), b="3").params
    (('a', '1'), ('b', '3'))
    """
    return msgspec.structs.replace(request, params=tuple((dict(request.params) | params).items()))
