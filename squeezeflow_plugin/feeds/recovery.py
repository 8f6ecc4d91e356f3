"""Asking an exchange for trades that its stream did not bring: the pure half of recovery.

An adapter that can is a ``RecoveringAdapter``: it names the REST request for a gap, reads the answer, and
says what to ask next. ``collector/recovering.py`` carries the requests, within the exchange's limits. The
trades' ids must be those of the stream, or a trade would be counted twice; they carry no receive time,
because they are no sign of life.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import msgspec

from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.market import Instrument, Trade


class Continuity(msgspec.Struct, frozen=True):
    """What a market's trade ids say: whether they are a ``sequence``, and whether the trades that are
    ``replayed`` after a subscription (if any) are the newest ones without a gap."""

    sequence: bool
    replayed: bool = False


class Gap(msgspec.Struct, frozen=True):
    """Trades of a market that are not in hand: those after one trade and before another, in exchange time.

    ``before_id`` is empty, and ``before_ns`` 0, where there is no later trade: everything up to now.
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
    that the pages together hold all the exchange has of the gap, from its beginning on.
    """

    trades: tuple[Trade, ...] = ()
    left_out: tuple[str, ...] = ()
    following: RestRequest | None = None
    complete: bool = False


@runtime_checkable
class RecoveringAdapter(Protocol):
    """An exchange whose REST API gives past trades by the ids of its stream."""

    replays_newest: bool
    """Whether the trades it replays after a subscription are its newest ones without a gap."""
    recovery_interval_s: float
    """The least time between two requests, well within the exchange's public limit."""

    def recovery_request(self, instrument: Instrument, gap: Gap) -> RestRequest | None:
        """The first request for a gap; None where the exchange gives none of this market's trades."""
        ...

    def parse_recovered(
        self, body: bytes, request: RestRequest, instrument: Instrument, gap: Gap
    ) -> Recovered:
        """What the answer to that request, or to one that followed it, says.

        Raises FeedProtocolError for an answer that cannot be read.
        """
        ...


def reaches(trades: Iterable[Trade], gap: Gap) -> bool:
    """Whether trades go back to the beginning of the gap: the one before it is there, or an older one.

    >>> gap = Gap("X:a", "7", 7_000, "9", 9_000)
    >>> trade = Trade("X:a", 7_000, "7", 1.0, 1.0, 1.0, 1)
    >>> reaches([trade], gap), reaches([], gap)
    (True, False)
    """
    return any(each.trade_id == gap.after_id or each.exchange_ns < gap.after_ns for each in trades)


def param(request: RestRequest, name: str) -> str | None:
    """A parameter of a request; None where it has none of that name."""
    return dict(request.params).get(name)


def with_params(request: RestRequest, **params: str) -> RestRequest:
    """The same request with these parameters set.

    >>> with_params(RestRequest("GET", "https://x/y", (("a", "1"), ("b", "2"))), b="3").params
    (('a', '1'), ('b', '3'))
    """
    return msgspec.structs.replace(request, params=tuple((dict(request.params) | params).items()))
