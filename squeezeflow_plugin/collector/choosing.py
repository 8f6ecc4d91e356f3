"""Which markets this collector takes, and whether that is still so hours later.

Exchanges list and delist markets and change contracts. Their metadata is asked again every few hours; what is
collected begins anew only where that changes it, so that a restart is rare and never for a rank in a list.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

import aiohttp

from squeezeflow_plugin.collector.instruments import open_markets
from squeezeflow_plugin.collector.selection import (
    Selection,
    Wanted,
    crowded_exchanges,
    in_shard,
    select_markets,
)
from squeezeflow_plugin.collector.volumes import ask_volumes
from squeezeflow_plugin.errors import SettingsError
from squeezeflow_plugin.feeds.adapter import ExchangeAdapter
from squeezeflow_plugin.feeds.rest import HostPauses
from squeezeflow_plugin.market import Instrument
from squeezeflow_plugin.settings import Settings

_LOG = logging.getLogger(__name__)
REFRESH_S = 6 * 3600.0

Known = Mapping[str, Sequence[Instrument]]
"""Each exchange's open markets, as far as it has said what they are."""


class MarketChoice:
    """The choice that the settings ask for; volumes are asked once, so that later ranks are comparable.

    ``pauses`` are those of all that asks the exchanges.
    """

    def __init__(
        self, settings: Settings, refresh_s: float = REFRESH_S, pauses: HostPauses | None = None
    ) -> None:
        self._settings = settings
        self._pauses = pauses or HostPauses()
        self._refresh_s = refresh_s
        self._volumes: dict[str, float] = {}
        self._ranked: frozenset[str] = frozenset()

    async def choose(self, known: Known) -> tuple[Instrument, ...]:
        """The markets to collect; what was left out is named. Raises SettingsError where there is none."""
        await self._rank(known)
        selection = select_markets(known, self._wanted())
        for note in selection.notes:
            _LOG.info("markets: %s", note)
        for gap in selection.gaps:
            _LOG.warning("markets: %s", gap)
        chosen = self._of_shard(selection)
        if not chosen:
            raise SettingsError(self._nothing())
        for instrument in chosen:
            _LOG.info("markets: %s %s %s", instrument.market, instrument.kind.value, instrument.base)
        return chosen

    async def until_changed(
        self, adapters: Sequence[ExchangeAdapter], known: Known, chosen: Sequence[Instrument]
    ) -> Known:
        """Wait until the exchanges' metadata changes what is chosen; returns what they say then."""
        while True:
            await asyncio.sleep(self._refresh_s)
            async with aiohttp.ClientSession() as session:
                answers = await asyncio.gather(
                    *(open_markets(a, chosen, session, self._pauses) for a in adapters)
                )
            said = dict(known) | {a.name: said for a, said in zip(adapters, answers, strict=True) if said}
            now = self._of_shard(select_markets(said, self._wanted()))
            if now and now != tuple(chosen):
                different = {i.market for i in set(now) ^ set(chosen)}
                _LOG.warning(
                    "markets: changed at the exchanges: %s; everything begins anew",
                    " ".join(sorted(different)),
                )
                return said

    async def _rank(self, known: Known) -> None:
        crowded = crowded_exchanges(known, self._wanted()) - self._ranked
        if crowded:
            async with aiohttp.ClientSession() as session:
                self._volumes |= await ask_volumes(
                    known, crowded, self._settings.endpoints, session, self._pauses
                )
            self._ranked |= crowded

    def _wanted(self) -> Wanted:
        settings = self._settings
        return Wanted(
            settings.assets, settings.quotes, settings.markets, settings.markets_per_asset, self._volumes
        )

    def _of_shard(self, selection: Selection) -> tuple[Instrument, ...]:
        part, parts = self._settings.shard_parts
        return tuple(i for i in selection.instruments if in_shard(i.market, part, parts))

    def _nothing(self) -> str:
        settings = self._settings
        where = f"on {', '.join(settings.exchanges)}; nothing is collected"
        if settings.shard != "1/1":
            return f"no market falls to shard {settings.shard} {where}"
        if settings.markets:
            return f"none of the markets {', '.join(settings.markets)} is open {where}"
        return (
            f"none of the assets {', '.join(settings.assets)} has a market on"
            f" {', '.join(settings.exchanges)} in {', '.join(settings.quotes)}; nothing is collected"
        )
