"""What an exchange must say about itself: the contract between the pure adapters and the one socket.

An adapter opens nothing and asks no clock. It names the REST requests that describe its markets, reads
their answers, plans the websocket connections, and reads frames. ``connection.py`` owns the socket,
stamps the receive time and carries out what a parsed frame asks for.

Adding an exchange takes one module in ``exchanges/`` that holds ``ADAPTER = <class>`` and one file in
``tests/frames/`` with frames and what they must yield.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from squeezeflow_plugin.feeds.templates import Template
from squeezeflow_plugin.market import Instrument, MarketKind, Trade


class RestRequest(msgspec.Struct, frozen=True):
    """One HTTP request that an adapter wants answered. ``body`` is sent as JSON where it is not empty."""

    method: str
    url: str
    params: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class Subscription(msgspec.Struct, frozen=True):
    """One control frame, and the markets whose trades it asks for (none for e.g. liquidations alone)."""

    text: str
    markets: tuple[str, ...] = ()


class StreamPlan(msgspec.Struct, frozen=True):
    """One websocket connection: where to, what to send, what it carries.

    ``markets`` are those whose *trades* ride on the connection, so that its state is their coverage; it
    is empty where only liquidations do, because hours without one are normal. ``subscribe`` frames go out
    ``control_interval_s`` apart. ``ping`` is a text the exchange wants every ``ping_interval_s`` seconds
    (websocket pings are answered and sent regardless); empty where it wants none. ``lifetime_s`` is after how
    long the exchange cuts any connection, 0 where it is not known to: a second one is opened before.
    """

    exchange: str
    url: str
    instruments: tuple[Instrument, ...]
    markets: tuple[str, ...]
    subscribe: tuple[Subscription, ...]
    control_interval_s: float = 0.0
    ping: str = ""
    ping_interval_s: float = 20.0
    lifetime_s: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()


class Refusal(msgspec.Struct, frozen=True):
    """The exchange will not serve these markets, in its own words."""

    markets: tuple[str, ...]
    reason: str


class LeftOut(msgspec.Struct, frozen=True):
    """A trade that is deliberately not counted, and why; its id still belongs to the exchange's sequence."""

    market: str
    trade_id: str
    reason: str


class Parsed(msgspec.Struct, frozen=True, gc=False):
    """Everything one frame said.

    ``trades`` are to be counted. ``aggregates`` are the exchange's own sums of trades; they are never
    counted beside the trades of their market. ``replayed`` are trades from before the subscription, which
    some exchanges send again when it begins: whoever has them knows them by their ids, and they are no sign
    of life. ``left_out`` are trades that are not counted by design,
    ``rejected`` names items of an otherwise good frame that cannot be read. ``subscribed`` are markets whose
    subscription is acknowledged, ``refused`` those that are not served. ``replies`` must be sent back at once
    (e.g. a pong), ``close`` is why the exchange wants the connection to be opened anew, and ``other`` names
    the kind of a frame that carries nothing for us.
    """

    trades: tuple[Trade, ...] = ()
    aggregates: tuple[Trade, ...] = ()
    replayed: tuple[Trade, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    rejected: tuple[str, ...] = ()
    subscribed: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    replies: tuple[str, ...] = ()
    close: str = ""
    other: str = ""


class FrameParser(Protocol):
    """Reads the frames of one connection, in the order they came.

    It is made anew for each opened connection, so it may remember what earlier frames of the same
    connection said (channel numbers, a replayed first frame); it knows the plan, where there is one.
    """

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """What the frame says. ``received_ns`` is the local receive time, 0 where unknown.

        Raises FeedProtocolError, and nothing else, for a frame that cannot be read.
        """
        ...


class ExchangeAdapter(Protocol):
    """One exchange. Adapters hold no state besides their base URLs; ``session`` makes what does."""

    name: str
    """aggr-server's name of the exchange, the part of a market before the colon."""
    time_unit_ns: int
    """Resolution of the exchange's trade time in nanoseconds."""
    contiguous_ids: frozenset[MarketKind]
    """The kinds of markets whose trade ids are integers that follow each other without gaps: before the trade
    with id n and count k came the one with id n - k."""
    templates: tuple[Template, ...]
    """The spellings of its ordinary trade frames, the usual one first, for compiled code to read many at once
    (``templates.py``); none where every frame goes through ``parse``. The session does not see a frame that
    is spelled so: it must mean the same whatever came before it, and change nothing for what comes after. So
    an exchange whose first frames are replayed, or whose session counts, has none."""

    def instrument_requests(self) -> tuple[RestRequest, ...]:
        """The requests whose answers together describe the exchange's markets."""
        ...

    def parse_instruments(self, body: bytes, request: RestRequest) -> tuple[Instrument, ...]:
        """The markets that are open for trading, from the answer to one of those requests.

        Raises FeedProtocolError for an answer that cannot be read.
        """
        ...

    def classify(self, market: str) -> Instrument | None:
        """What a market's name alone says it is, None where it says nothing or names another exchange.

        Only for where the exchange's metadata is not at hand, e.g. recordings; contract sizes that are in
        no name are the best known ones.
        """
        ...

    def plan(self, instruments: Sequence[Instrument]) -> tuple[StreamPlan, ...]:
        """The connections that carry the trades and liquidations of these markets."""
        ...

    def session(self, plan: StreamPlan | None = None) -> FrameParser:
        """A reader for one connection that follows the plan, or for recorded frames where None."""
        ...

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """As ``session().parse``, for a frame that stands alone."""
        ...
