"""What leaves the collector besides its store: the bus, InfluxDB, the aggr API, health and metrics.

They share the collector's event loop and read the store through handles of their own, so that none of them
is ever in the way of closing a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from squeezeflow_plugin.bars.closing import Closer
from squeezeflow_plugin.bars.flow import MIN_COVERAGE
from squeezeflow_plugin.bus.opening import name_other_limit, open_bus
from squeezeflow_plugin.bus.redis import connect
from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.collector.announcing import Announcer
from squeezeflow_plugin.collector.api import AggrApi
from squeezeflow_plugin.collector.bot import BotWatch
from squeezeflow_plugin.collector.flowpage.page import FlowPage, Watched
from squeezeflow_plugin.collector.flowpage.view import FlowView
from squeezeflow_plugin.collector.health import Health, Sources
from squeezeflow_plugin.collector.metrics import Metrics, StateSource
from squeezeflow_plugin.collector.quality import QualityProbe
from squeezeflow_plugin.collector.serving import serving
from squeezeflow_plugin.collector.shipping import open_shipper
from squeezeflow_plugin.collector.stats import Counted
from squeezeflow_plugin.collector.storing import StoreQueue
from squeezeflow_plugin.market import NS_PER_SECOND, Bar, ClosingRecord, Instrument
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.settings_values import parameter, secret
from squeezeflow_plugin.store.decisions import DecisionLog
from squeezeflow_plugin.store.embedded import EmbeddedBarStore

_BUS_PATIENCE_S = 2.0
_PULSE_S = 0.25


class Outlets:
    """The outlets that the settings ask for. Raises SettingsError for an address that cannot be used."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        instruments: Sequence[Instrument],
        closer: Closer,
        queue: StoreQueue,
        counted: Counted,
    ) -> None:
        self._settings = settings
        self._token = secret(settings.listen_token, settings.listen_token_file, "listen_token_file")
        self._clock = clock
        self._closer = closer
        self._queue = queue
        self._bus = open_bus(settings, _BUS_PATIENCE_S)
        self._announcer = None if self._bus is None else Announcer(self._bus, settings.collector)
        self._shipper = open_shipper(settings, clock)
        self._readers = tuple(EmbeddedBarStore(settings.store_path, readonly=True) for _ in range(2))
        self._bot = BotWatch(settings.decisions_path)
        self._api = AggrApi(self._readers[0], [i.market for i in instruments], self._pending, clock)
        quality = QualityProbe(
            self._readers[1],
            instruments,
            settings.quotes,
            parameter(settings.params, "min_coverage", MIN_COVERAGE),
        )
        self.metrics = Metrics(
            StateSource(settings, counted, quality, self._bot, self._announcer, self._shipper)
        )
        self._health = Health(
            Sources(
                settings.collector,
                counted.stats,
                self._market_ns,
                quality,
                self._bot,
                self._announcer,
                self.metrics,
                self._shipper,
            )
        )
        self._page = self._make_page(instruments, counted)

    def stored(self, records: tuple[ClosingRecord, ...], delays_ms: Sequence[float]) -> None:
        """The store has these records, so long after their seconds' ends."""
        for delay_ms in delays_ms:
            self.metrics.close_delay.observe(delay_ms / 1e3)
        if self._announcer is not None:
            self._announcer.stored(records)
        if self._shipper is not None:
            self._shipper.wake()

    async def run(self) -> None:
        """Serve and announce until cancelled. Raises ProcessError where a port is taken."""
        settings = self._settings
        if self._shipper is not None:
            self._shipper.start()
        async with AsyncExitStack() as stack:
            stack.callback(self._close)
            api, health = self._api.application(), self._health.application()
            self._page.add_to(health)
            for app, port, what in (
                (api, settings.api_port, "aggr API"),
                (health, settings.health_port, "health"),
            ):
                server = serving(app, settings.listen, port, what, token=self._token)
                await stack.enter_async_context(server)
            if self._announcer is None:
                await self._pulse()
            else:
                await asyncio.gather(self._pulse(), self._announcer.run(), self._check_bus())

    def finish(self) -> None:
        """Ship the last records, where somebody takes them; called when the store has them; may block."""
        if self._shipper is not None:
            self._shipper.stop()

    def _make_page(self, instruments: Sequence[Instrument], counted: Counted) -> FlowPage:
        settings = self._settings
        view = FlowView(
            EmbeddedBarStore(settings.store_path, readonly=True),
            DecisionLog(settings.decisions_path, readonly=True),
            instruments,
            settings.quotes,
            settings.params,
        )
        watched = Watched(
            settings.collector, self._health.data, lambda: counted.stats().offsets_ms, self._market_ns
        )
        return FlowPage(view, watched, self._clock)

    async def _check_bus(self) -> None:
        with connect(self._settings, _BUS_PATIENCE_S) as client:
            await asyncio.to_thread(name_other_limit, client, self._settings)

    async def _pulse(self) -> None:
        """Measure how late the event loop comes."""
        while True:
            due_ns = self._clock.now_ns() + int(_PULSE_S * NS_PER_SECOND)
            await self._clock.wait_until(due_ns)
            self.metrics.loop_lag.observe((self._clock.now_ns() - due_ns) / NS_PER_SECOND)

    def _market_ns(self) -> int:
        return self._closer.offsets.market_ns(self._clock.now_ns())

    def _pending(self) -> tuple[Bar, ...]:
        """Closed bars that wait for the store, then the open seconds' as they stand."""
        closed = tuple(bar for record in self._queue.waiting() for bar in record.bars)
        return closed + self._closer.builder.pending()

    def _close(self) -> None:
        for reader in self._readers:
            reader.close()
        self._page.close()
        self._bot.close()
        if self._bus is not None:
            self._bus.close()
