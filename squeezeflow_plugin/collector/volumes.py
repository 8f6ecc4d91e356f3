"""The volume of a day by market, asked where more markets fit than are wanted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence

import aiohttp

from squeezeflow_plugin.errors import FeedConnectionError, FeedProtocolError
from squeezeflow_plugin.feeds import rest
from squeezeflow_plugin.feeds.ticker_sources import SOURCES
from squeezeflow_plugin.feeds.tickers import daily_volumes, read_tickers
from squeezeflow_plugin.market import Instrument
from squeezeflow_plugin.settings import Endpoint

_LOG = logging.getLogger(__name__)


async def ask_volumes(
    known: Mapping[str, Sequence[Instrument]],
    exchanges: Iterable[str],
    endpoints: Mapping[str, Endpoint],
    session: aiohttp.ClientSession,
    pauses: rest.HostPauses,
) -> dict[str, float]:
    """What these exchanges' markets traded in 24 hours, in quote currency.

    An exchange that does not answer is named; its markets then rank last.
    """
    found = await asyncio.gather(
        *(_ask(each, known[each], endpoints.get(each), session, pauses) for each in sorted(exchanges))
    )
    return {market: volume for volumes in found for market, volume in volumes.items()}


async def _ask(
    exchange: str,
    instruments: Sequence[Instrument],
    endpoint: Endpoint | None,
    session: aiohttp.ClientSession,
    pauses: rest.HostPauses,
) -> dict[str, float]:
    volumes: dict[str, float] = {}
    for source in SOURCES.get(exchange, ()):
        if not source.has_volume or source.symbol_param:
            continue
        for request in source.requests(instruments, endpoint.rest if endpoint else None):
            try:
                body = await pauses.ask(exchange, session, request)
                tickers = read_tickers(exchange, source, body)
            except (FeedConnectionError, FeedProtocolError) as error:
                _LOG.warning("markets: %s: %s; these markets rank last", exchange, error)
            else:
                volumes |= daily_volumes(instruments, source, tickers)
    return volumes
