"""What the exchanges' markets are: asked a few times, remembered where they do not answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import aiohttp

from squeezeflow_plugin.errors import FeedConnectionError, FeedProtocolError
from squeezeflow_plugin.feeds import rest
from squeezeflow_plugin.feeds.adapter import ExchangeAdapter, RestRequest
from squeezeflow_plugin.feeds.reconnect import Backoff
from squeezeflow_plugin.feeds.slow import SlowExchange
from squeezeflow_plugin.market import Instrument

_LOG = logging.getLogger(__name__)
_ATTEMPTS = 4


async def open_markets(
    adapter: ExchangeAdapter,
    remembered: Sequence[Instrument],
    session: aiohttp.ClientSession,
    pauses: rest.HostPauses | None = None,
) -> tuple[Instrument, ...]:
    """The exchange's open markets, ordered by market.

    A request that goes unanswered is tried again a few times; where it still fails, that is logged and the
    markets ``remembered`` of the exchange fill in. One that never answered gives none.
    """
    pauses = pauses or rest.HostPauses()
    found: dict[str, Instrument] = {}
    failures: list[str] = []
    if isinstance(adapter, SlowExchange):
        try:
            found = {i.market: i for i in await adapter.markets()}
        except FeedConnectionError as error:
            failures.append(str(error))
    for request in adapter.instrument_requests():
        try:
            found |= {i.market: i for i in await _ask(adapter, request, session, pauses)}
        except (FeedConnectionError, FeedProtocolError) as error:
            failures.append(str(error))
    if failures:
        fill = {i.market: i for i in remembered if i.exchange == adapter.name and i.market not in found}
        _LOG.warning(
            "markets: %s: %s; %d remembered ones fill in", adapter.name, "; ".join(failures), len(fill)
        )
        found |= fill
    return tuple(found[market] for market in sorted(found))


async def _ask(
    adapter: ExchangeAdapter,
    request: RestRequest,
    session: aiohttp.ClientSession,
    pauses: rest.HostPauses,
) -> tuple[Instrument, ...]:
    backoff = Backoff(first_s=0.5)
    for _ in range(_ATTEMPTS - 1):
        try:
            return adapter.parse_instruments(await pauses.ask(adapter.name, session, request), request)
        except FeedConnectionError as error:
            wait_s = backoff.next_s(lasted_s=0.0)
            _LOG.info("markets: %s: %s; next try in %.1f s", adapter.name, error, wait_s)
            await asyncio.sleep(wait_s)
    return adapter.parse_instruments(await pauses.ask(adapter.name, session, request), request)
