"""Asks the exchanges for the trades their streams did not bring, until they are there or given up, named.

One task an exchange: its gaps one after the other, its requests a fixed time apart, none at all while it
wants to be left alone (429 and 418 with Retry-After). What comes goes the way of every trade, journal first;
what is in hand already is passed over, so asking twice does no harm. Gaps that no request can fill stay
holes in the ledger and are said so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Protocol

import aiohttp

from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.collector.intake import Intake
from squeezeflow_plugin.errors import FeedConnectionError, FeedProtocolError, RateLimitedError
from squeezeflow_plugin.feeds import rest
from squeezeflow_plugin.feeds.adapter import ExchangeAdapter
from squeezeflow_plugin.feeds.recovery import Continuity, Gap, PastTrades
from squeezeflow_plugin.market import NS_PER_SECOND, Instrument

_LOG = logging.getLogger(__name__)
_LOOK_NS = NS_PER_SECOND // 5
_AGAIN_NS = 5 * NS_PER_SECOND
MAX_PAGES = 200
"""Of one gap: some ten minutes of the busiest market. The rest is asked for in the next round."""
NO_RECOVERY = "its exchange gives no past trades"
UNHEARD = "the exchange has trades that its stream has not brought"


class Restless(Protocol):
    """Whoever can open a market's stream anew."""

    def __call__(self, market: str, reason: str) -> None: ...


def continuity_of(
    adapters: Iterable[ExchangeAdapter],
    pasts: Mapping[str, PastTrades | None],
    instruments: Iterable[Instrument],
) -> dict[str, Continuity]:
    """What the ids of each market say, by market."""
    sequences = {adapter.name: adapter.contiguous_ids for adapter in adapters}
    replays = {name: past is not None and past.replays_newest for name, past in pasts.items()}
    return {
        each.market: Continuity(each.kind in sequences[each.exchange], replays[each.exchange])
        for each in instruments
    }


class Recoverer:
    """The gaps of the intake's closer.

    ``renew`` is told of a market whose trades the exchange knows and its stream does not bring, ``pauses``
    are those of all that asks the exchanges, ``fetch`` carries a request.
    """

    def __init__(
        self,
        pasts: Mapping[str, PastTrades | None],
        instruments: Iterable[Instrument],
        intake: Intake,
        clock: Clock,
        *,
        renew: Restless,
        pauses: rest.HostPauses | None = None,
        fetch: rest.Fetch = rest.fetch,
    ) -> None:
        self._pasts = pasts
        self._instruments = {instrument.market: instrument for instrument in instruments}
        self._intake = intake
        self._clock = clock
        self._renew = renew
        self._pauses = pauses or rest.HostPauses(clock)
        self._fetch = fetch
        self._next_ns = dict.fromkeys(pasts, 0)

    async def run(self) -> None:
        """Until cancelled."""
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
            for exchange in self._pasts:
                tasks.create_task(self._serve(exchange, session))

    async def _serve(self, exchange: str, session: aiohttp.ClientSession) -> None:
        while True:
            await self._clock.wait_until(self._clock.now_ns() + _LOOK_NS)
            for gap in self._intake.due(exchange, self._clock.now_ns()):
                await self._mend(exchange, gap, session)
            self._intake.name_lost(exchange)

    async def _mend(self, exchange: str, gap: Gap, session: aiohttp.ClientSession) -> None:
        past = self._pasts[exchange]
        instrument = self._instruments[gap.market]
        request = past.request(instrument, gap) if past is not None else None
        if past is None or request is None:
            self._intake.give_up(gap, NO_RECOVERY)
            return
        complete = is_unheard = False
        asked_ns = 0
        try:
            for _ in range(MAX_PAGES):
                asked_ns = await self._turn(exchange, past.interval_s)
                body = await self._pauses.ask(exchange, session, request, self._fetch)
                page = past.read(body, request, instrument, gap)
                is_unheard = self._intake.recovered(gap, page, asked_ns) or is_unheard
                if page.following is None:
                    complete = page.complete
                    break
                request = page.following
        except RateLimitedError as error:
            self._next_ns[exchange] = self._clock.now_ns() + int(error.retry_after_s * NS_PER_SECOND)
            self._postpone(gap, self._next_ns[exchange], error)
        except (FeedConnectionError, FeedProtocolError) as error:
            self._postpone(gap, self._clock.now_ns() + _AGAIN_NS, error)
        else:
            self._intake.answered(gap, complete, asked_ns)
            if is_unheard:
                self._intake.down((gap.market,), asked_ns, UNHEARD)
                self._renew(gap.market, UNHEARD)

    async def _turn(self, exchange: str, interval_s: float) -> int:
        """Wait until the exchange may be asked again; the time it then is."""
        await self._clock.wait_until(self._next_ns[exchange])
        now_ns = self._clock.now_ns()
        self._next_ns[exchange] = now_ns + int(interval_s * NS_PER_SECOND)
        return now_ns

    def _postpone(self, gap: Gap, until_ns: int, error: Exception) -> None:
        wait_s = (until_ns - self._clock.now_ns()) / NS_PER_SECOND
        _LOG.warning("recovery: %s after %s: %s; next try in %.1f s", gap.market, gap.after_id, error, wait_s)
        self._intake.postpone(gap, until_ns)
