"""The connections that carry Binance's streams: which of them share a socket, and what is asked of it.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams#general-wss-information
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from squeezeflow_plugin.feeds.adapter import StreamPlan, Subscription
from squeezeflow_plugin.market import Instrument

MAX_STREAMS = 1024
"""Streams a connection may carry."""
STREAMS_A_FRAME = 100
CONTROL_INTERVAL_S = 0.25
"""Binance spot closes a connection that sends more than five messages a second, pings and pongs included."""
LIFETIME_S = 24 * 3600.0
"""Every connection is cut after 24 hours."""
TRADES = frozenset({"trade", "aggTrade"})
"""The kinds of streams that carry a market's trades."""


def connections(
    exchange: str,
    url: str,
    instruments: Sequence[Instrument],
    kinds: Sequence[str],
) -> Iterator[StreamPlan]:
    """The connections that carry streams of these kinds (``trade``, ``forceOrder``) of these instruments.

    Yields nothing where there is no instrument. A connection without trades carries no market's coverage.
    """
    at_once = MAX_STREAMS // len(kinds)
    for start in range(0, len(instruments), at_once):
        chosen = tuple(instruments[start : start + at_once])
        covers = not TRADES.isdisjoint(kinds)
        yield StreamPlan(
            exchange=exchange,
            url=url,
            instruments=chosen,
            markets=tuple(i.market for i in chosen) if covers else (),
            subscribe=tuple(_subscriptions(chosen, kinds, covers)),
            control_interval_s=CONTROL_INTERVAL_S,
            lifetime_s=LIFETIME_S,
        )


def _subscriptions(
    instruments: Sequence[Instrument], kinds: Sequence[str], covers: bool
) -> Iterator[Subscription]:
    at_once = STREAMS_A_FRAME // len(kinds)
    for request_id, start in enumerate(range(0, len(instruments), at_once), 1):
        chosen = instruments[start : start + at_once]
        streams = [f"{i.symbol.lower()}@{kind}" for i in chosen for kind in kinds]
        request = {"method": "SUBSCRIBE", "params": streams, "id": request_id}
        yield Subscription(
            msgspec.json.encode(request).decode(), tuple(i.market for i in chosen) if covers else ()
        )
