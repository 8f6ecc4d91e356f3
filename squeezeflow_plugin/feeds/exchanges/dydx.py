"""dYdX v4: perpetuals. https://docs.dydx.xyz/indexer-client/websockets

``side`` is the taker's, sizes are base units, times those of the blocks:

>>> frame = (
...     '{"type":"channel_data","connection_id":"c","message_id":9,"id":"BTC-USD","channel":"v4_trades",'
...     '"version":"2.1.0","contents":{"trades":[{"id":"07","size":"0.5","price":"80000","side":"SELL",'
...     '"createdAt":"2026-01-01T00:00:00.123Z","type":"LIMIT"}]}}'
... )
>>> (trade,) = Dydx().parse(frame, 0).trades
>>> trade.market, trade.exchange_ns, trade.quote, trade.side
('DYDX:BTC-USD', 1767225600123000000, 40000.0, -1)

The answer to a subscription, ``subscribed``, holds older trades. A trade of the type LIQUIDATED is both a
trade and a liquidation, of the taker; one of the type DELEVERAGED crosses no spread and is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import msgspec

from squeezeflow_plugin.feeds.adapter import (
    LeftOut,
    Parsed,
    Refusal,
    RestRequest,
    StreamPlan,
    Subscription,
)
from squeezeflow_plugin.feeds.reading import json_object
from squeezeflow_plugin.feeds.session import (
    NS_PER_US,
    Adapter,
    Amount,
    Markets,
    Moment,
    Session,
    Text,
    answer,
    as_replayed,
    chunks,
    listed,
    merged,
    microseconds,
    text_of,
)
from squeezeflow_plugin.market import Instrument, MarketKind

NAME = "DYDX"
REST_URL = "https://indexer.dydx.trade"
WS_URL = "wss://indexer.dydx.trade"
MARKETS = "/v4/perpetualMarkets"
CHANNEL = "v4_trades"
COLLATERAL = "USDC"
MARKETS_A_CONNECTION = 32
"""Subscriptions to one channel that a connection may hold."""
CONTROL_INTERVAL_S = 0.5
"""Two subscriptions a second are allowed."""


class TradeItem(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"trade_id": "id", "created_at": "createdAt", "kind": "type"},
):
    """One of ``contents.trades``."""

    trade_id: Text
    size: Amount
    price: Amount
    side: Literal["BUY", "SELL"]
    created_at: Moment
    kind: str = "LIMIT"
    symbol: ClassVar[str] = ""
    count: ClassVar[int] = 1

    @property
    def time(self) -> int:
        """In microseconds."""
        return microseconds(self.created_at)


class ListedMarket(msgspec.Struct, frozen=True):
    """The part of a market in ``/v4/perpetualMarkets`` that is used."""

    ticker: str
    status: str


class MarketsAnswer(msgspec.Struct, frozen=True):
    """``/v4/perpetualMarkets``, by ticker."""

    markets: dict[str, ListedMarket]


class DydxSession(Session):
    """Reads the frames of one connection."""

    unit_ns = NS_PER_US

    def __init__(self, plan: StreamPlan | None) -> None:
        super().__init__(NAME, Markets(_market, classify, plan.instruments if plan else ()), plan)

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """What the frame says; FeedProtocolError where it cannot be read."""
        match document := json_object(NAME, frame):
            case {"type": "channel_data", "channel": "v4_trades", "id": str() as symbol, "contents": told}:
                return self._counted(symbol, [told], received_ns)
            case {
                "type": "channel_batch_data",
                "channel": "v4_trades",
                "id": str() as symbol,
                "contents": list() as batch,
            }:
                return self._counted(symbol, batch, received_ns)
            case {"type": "subscribed", "channel": "v4_trades", "id": str() as symbol, "contents": told}:
                parsed = as_replayed(self._counted(symbol, [told], received_ns))
                return msgspec.structs.replace(parsed, left_out=(), subscribed=self.planned_market(symbol))
            case {"type": "error", "message": reason}:
                markets = self.planned_market(document.get("id"))
                return Parsed(refused=(Refusal(markets, str(reason)),), other="error")
            case {"channel": str() as channel}:
                return Parsed(other=channel)
            case {"type": str() as kind}:
                return Parsed(other=kind)
        raise self.unreadable(frame)

    def _counted(self, symbol: str, batch: list[Any], received_ns: int) -> Parsed:
        """The trades of one market, as any number of ``contents`` hold them."""
        items: list[TradeItem] = []
        rejected: tuple[str, ...] = ()
        for told in batch:
            rows = told.get("trades") if isinstance(told, dict) else told
            some, refused = self.rows(CHANNEL, rows, TradeItem)
            items += some
            rejected += refused
        market = self.markets[symbol]
        moved = [item for item in items if item.kind == "DELEVERAGED"]
        left_out = tuple(LeftOut(market.name, item.trade_id, "deleveraging") for item in moved)
        known = {"": market}
        counted = [item for item in items if item.kind != "DELEVERAGED"]
        forced = [item for item in counted if item.kind == "LIQUIDATED"]
        parsed = merged(self.trades(counted, received_ns, known), rejected, "" if left_out else CHANNEL)
        liquidations = self.trades(forced, received_ns, known, liquidation=True).trades
        return msgspec.structs.replace(parsed, trades=parsed.trades + liquidations, left_out=left_out)


class Dydx(Adapter):
    """Adapter of dYdX (the contract is in ``feeds/adapter.py``)."""

    name = NAME

    def instrument_requests(self) -> tuple[RestRequest, ...]:
        """One request for all."""
        return (RestRequest("GET", self._rest(REST_URL, MARKETS)),)

    def parse_instruments(self, body: bytes, request: RestRequest) -> tuple[Instrument, ...]:
        """Those that are active."""
        entries = answer(NAME, request.url, body, MarketsAnswer).markets
        found = [
            classify(_market(entry.ticker))
            for entry in listed(NAME, request.url, list(entries.values()))
            if entry.status == "ACTIVE"
        ]
        return tuple(instrument for instrument in found if instrument is not None)

    def classify_symbol(self, symbol: str) -> Instrument | None:
        """By dYdX's naming rules."""
        return classify(_market(symbol))

    def plan(self, instruments: Sequence[Instrument]) -> tuple[StreamPlan, ...]:
        """One subscription a market."""
        return tuple(
            StreamPlan(
                exchange=NAME,
                url=self._ws(WS_URL, "/v4/ws"),
                instruments=tuple(some),
                markets=tuple(i.market for i in some),
                subscribe=tuple(_subscriptions(some)),
                control_interval_s=CONTROL_INTERVAL_S,
            )
            for some in chunks(instruments, MARKETS_A_CONNECTION)
        )

    def session(self, plan: StreamPlan | None = None) -> DydxSession:
        """A reader for one connection."""
        return DydxSession(plan)


def classify(market: str) -> Instrument | None:
    """What a market's name says, None where it says nothing.

    All are perpetuals, margined and settled in USDC; tokens of other chains have chain and address behind
    their names.

    >>> perp, token = classify("DYDX:BTC-USD"), classify("DYDX:BUFFI,UNISWAP_V3,0X4C1B-USD")
    >>> (perp.kind.value, perp.base, perp.quote, perp.settle), token.base
    (('perp', 'BTC', 'USD', 'USDC'), 'BUFFI')
    """
    symbol = market.partition(":")[2]
    name, _, quote = symbol.rpartition("-")
    base = name.partition(",")[0]
    if not base or quote != "USD":
        return None
    return Instrument(market, symbol, MarketKind.PERP, base, quote, COLLATERAL)


def _market(symbol: str) -> str:
    return f"{NAME}:{symbol}"


def _subscriptions(instruments: Sequence[Instrument]) -> Iterator[Subscription]:
    for instrument in instruments:
        request = {"type": "subscribe", "channel": CHANNEL, "id": instrument.symbol}
        yield Subscription(text_of(request), (instrument.market,))


ADAPTER = Dydx
