"""Open interest and funding: each exchange asked at its own pace, and left alone when it says so.

Its requests are spread over the interval, one after the other; an exchange that answers 429 or 418 is
left alone for as long as it asks. Failures are named once and counted; trades never wait for this.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

import aiohttp

from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.errors import FeedConnectionError, FeedProtocolError, RateLimitedError
from squeezeflow_plugin.feeds import rest
from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.feeds.ticker_sources import SOURCES
from squeezeflow_plugin.feeds.tickers import Readings, TickerSource, read_tickers
from squeezeflow_plugin.market import DerivativeTicker, Instrument
from squeezeflow_plugin.settings import Endpoint

_LOG = logging.getLogger(__name__)
_CLOSEST_S = 0.1
"""Between two requests to an exchange; every exchange here allows as many."""

Put = Callable[[DerivativeTicker], None]


class InterestPollers:
    """One poller for each exchange of the instruments that tells open interest.

    ``put`` takes the readings; ``market_ns`` is market time for a local time, so that readings without a time
    of their own are dated like trades; ``pauses`` are those of all that asks the exchanges.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        endpoints: Mapping[str, Endpoint],
        clock: Clock,
        put: Put,
        *,
        every_s: float,
        market_ns: Callable[[int], int] = lambda local_ns: local_ns,
        pauses: rest.HostPauses | None = None,
    ) -> None:
        self._clock = clock
        self._put = put
        self._every_s = every_s
        self._market_ns = market_ns
        self._pauses = pauses or rest.HostPauses(clock)
        self._asked = {
            exchange: _requests(exchange, instruments, endpoints.get(exchange))
            for exchange in sorted({instrument.exchange for instrument in instruments})
        }
        self._instruments = instruments

    async def run(self) -> NoReturn:
        """Ask until cancelled."""
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            for exchange, asked in self._asked.items():
                if asked:
                    group.create_task(self._follow(session, exchange, asked))
            await asyncio.Event().wait()
        raise AssertionError("the event above is never set")

    async def _follow(
        self, session: aiohttp.ClientSession, exchange: str, asked: Sequence[tuple[TickerSource, RestRequest]]
    ) -> NoReturn:
        readings = Readings([i for i in self._instruments if i.exchange == exchange])
        said: set[str] = set()
        gap_s = max(self._every_s / len(asked), _CLOSEST_S)
        while True:
            for source, request in asked:
                wait_s = gap_s
                try:
                    body = await self._pauses.ask(exchange, session, request)
                    tickers = read_tickers(exchange, source, body)
                    now_ns = self._market_ns(self._clock.now_ns())
                    for ticker in readings.take(tickers, now_ns):
                        self._put(ticker)
                except RateLimitedError as error:
                    wait_s = max(gap_s, error.retry_after_s)
                    _LOG.warning("open interest: %s: %s", exchange, error)
                except (FeedConnectionError, FeedProtocolError) as error:
                    _LOG.log(
                        logging.DEBUG if request.url in said else logging.WARNING,
                        "open interest: %s: %s; it is asked again in %.3g s",
                        exchange,
                        error,
                        gap_s * len(asked),
                    )
                    said.add(request.url)
                else:
                    said.discard(request.url)
                await asyncio.sleep(wait_s)


def _requests(
    exchange: str, instruments: Sequence[Instrument], endpoint: Endpoint | None
) -> tuple[tuple[TickerSource, RestRequest], ...]:
    """What to ask the exchange in one round, in order; nothing where none of it is open interest."""
    own = [instrument for instrument in instruments if instrument.exchange == exchange]
    rest_url = endpoint.rest if endpoint else None
    return tuple(
        (source, request)
        for source in SOURCES.get(exchange, ())
        if source.has_interest
        for request in source.requests(own, rest_url)
    )
