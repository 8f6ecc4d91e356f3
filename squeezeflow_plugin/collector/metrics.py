"""The collector's counts in Prometheus's text format.

Names begin with ``squeezeflow_``, units are base units, labels are exchange, market, kind, symbol, window or
reason and never anything unbounded. https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import (
    CollectorRegistry,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector as Source

from squeezeflow_plugin.collector import families
from squeezeflow_plugin.collector.announcing import Announcer
from squeezeflow_plugin.collector.bot import BotWatch
from squeezeflow_plugin.collector.families import PREFIX
from squeezeflow_plugin.collector.quality import QualityProbe
from squeezeflow_plugin.collector.shipping import Shipper
from squeezeflow_plugin.collector.stats import Counted
from squeezeflow_plugin.errors import StoreError
from squeezeflow_plugin.jsonfile import read_json
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.paritystatus import PARITY_FILE, ParityStatus

_DELAYS_S = (0.41, 0.42, 0.45, 0.5, 0.6, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0)
_LAGS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class Metrics:
    """A registry of its own: two collectors in one process do not mix."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, source: Source) -> None:
        self._registry = CollectorRegistry()
        self.close_delay = Histogram(
            f"{PREFIX}bar_close_delay_seconds",
            "From a second's end in market time to its stored record",
            buckets=_DELAYS_S,
            registry=self._registry,
        )
        self.loop_lag = Histogram(
            f"{PREFIX}event_loop_lag_seconds",
            "How late the event loop came to a timer",
            buckets=_LAGS_S,
            registry=self._registry,
        )
        self._registry.register(source)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def exposition(self) -> bytes:
        """The page; the store is read for it."""
        return generate_latest(self._registry)


class StateSource(Source):
    """The gauges and counters that are read at the moment of the question."""

    def __init__(
        self,
        settings: Settings,
        counted: Counted,
        quality: QualityProbe,
        bot: BotWatch,
        announcer: Announcer | None,
        shipper: Shipper | None = None,
    ) -> None:
        self._settings = settings
        self._counted = counted
        self._quality = quality
        self._bot = bot
        self._announcer = announcer
        self._shipper = shipper

    def collect(self) -> Iterator[Metric]:
        """Everything; what cannot be read now is left out."""
        stats = self._counted.stats()
        shipping = None if self._shipper is None else self._shipper.status
        yield from families.process(self._settings)
        yield from families.feeds(stats, self._settings.silence_limit_s)
        yield from families.stores(stats, 0 if shipping is None else shipping.lag_s)
        yield from families.timings(self._counted)
        yield from families.disk(self._settings.data_dir)
        if self._announcer is not None:
            yield from families.bus(self._announcer)
        if shipping is not None:
            yield from families.influx(shipping)
        try:
            stored = [*self._judged(), *self._stored(), *self._decided(stats.last_second)]
        except StoreError:
            yield from families.readable(False)
        else:
            yield from families.readable(True)
            yield from stored

    def _judged(self) -> Iterator[Metric]:
        yield from families.parity(read_json(self._settings.data_dir / PARITY_FILE, ParityStatus))

    def _stored(self) -> Iterator[Metric]:
        quality = self._quality.look(self._settings.collector)
        if quality is not None:
            yield from families.quality(quality, self._quality.span())

    def _decided(self, last_second: int | None) -> Iterator[Metric]:
        bot = self._bot.look()
        if bot is not None:
            announced = None if self._announcer is None else self._announcer.announced
            yield from families.decisions(bot, last_second, announced)
            yield from families.bot_counts(bot)
