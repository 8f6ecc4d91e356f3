"""The collector's counts in Prometheus's text format.

Names begin with ``squeezeflow_``, units are base units, labels are exchange, market, kind, symbol, window or
reason and never anything unbounded. https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector as Source

from squeezeflow_plugin.collector.announcing import Announcer
from squeezeflow_plugin.collector.bot import BotWatch
from squeezeflow_plugin.collector.quality import QualityProbe
from squeezeflow_plugin.collector.shipping import Shipper, ShippingStatus
from squeezeflow_plugin.collector.stats import Stats
from squeezeflow_plugin.errors import StoreError
from squeezeflow_plugin.machine import memory_budget, size_of
from squeezeflow_plugin.store.paritystatus import PARITY_FILE, read_parity

PREFIX = "squeezeflow_"
_DELAYS_S = (0.41, 0.42, 0.45, 0.5, 0.6, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0)
_LAGS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

# name, help, field of Stats
COUNTERS = (
    ("trades_received", "Trades received from all exchanges", "trades_received"),
    ("trades_duplicate", "Deliveries that repeated a trade", "duplicates"),
    ("trades_late", "Trades that came after their second was closed", "late"),
    ("trades_beyond_horizon", "Trades too late to be merged", "beyond_horizon"),
    ("trades_ahead", "Trades dated too far ahead to be merged", "ahead"),
    ("trades_quarantined", "Trades dated ahead that waited for their second", "quarantined"),
    ("trades_recovered", "Trades that streams did not bring and REST gave", "trades_recovered"),
    ("gaps_lost", "Gaps that nobody could fill: named holes", "gaps_lost"),
    ("reconnects", "Connections opened again", "reconnects"),
    ("bars_closed", "Bars closed", "bars"),
    ("bars_revised", "Bars written again because of late trades", "revisions"),
    ("journal_failures", "Failures of the trade journal", "journal_failures"),
    ("store_write_failures", "Failed writes to the store", "store_failures"),
)


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
        collector: str,
        stats: Callable[[], Stats],
        quality: QualityProbe,
        bot: BotWatch,
        announcer: Announcer | None,
        data_dir: Path,
        silence_limit_s: float,
        shipper: Shipper | None = None,
        decision_interval_s: int = 1,
    ) -> None:
        self._collector = collector
        self._stats = stats
        self._quality = quality
        self._bot = bot
        self._announcer = announcer
        self._data_dir = data_dir
        self._silence_limit_s = silence_limit_s
        self._shipper = shipper
        self._decision_interval_s = decision_interval_s

    def collect(self) -> Iterator[Metric]:
        """Everything; what cannot be read now is left out."""
        stats = self._stats()
        yield _gauge("build_info", "Version of the plugin", ["version"], [((_version(),), 1.0)])
        for name, text, field in COUNTERS:
            yield CounterMetricFamily(PREFIX + name, text, value=getattr(stats, field))
        rejected = CounterMetricFamily(
            f"{PREFIX}frames_rejected", "Frames that could not be read", labels=["exchange", "reason"]
        )
        for key, count in stats.rejected.items():
            exchange, _, reason = key.partition(": ")
            rejected.add_metric([exchange, reason], count)
        yield rejected
        limited = CounterMetricFamily(
            f"{PREFIX}rate_limited", "Answers 429 and 418: too many requests", labels=["exchange"]
        )
        for exchange, count in stats.rate_limited.items():
            limited.add_metric([exchange], count)
        yield limited
        yield _gauge(
            "open_interest_timestamp_seconds",
            "Exchange time of the newest reading of open interest",
            ["market"],
            [((market,), time_ns / 1e9) for market, time_ns in stats.interest_ns.items()],
        )
        yield _gauge(
            "clock_skew_seconds",
            "Receive minus exchange time at its smallest",
            ["exchange"],
            [((exchange,), offset / 1e3) for exchange, offset in stats.offsets_ms.items()],
        )
        yield _gauge(
            "store_pending_records",
            "Closed seconds that wait for the store",
            [],
            [((), stats.pending_records)],
        )
        lag_s = 0 if self._shipper is None else self._shipper.status.lag_s
        yield _gauge(
            "spool_oldest_age_seconds",
            "How old the oldest closed second is that the store or InfluxDB has not taken",
            [],
            [((), max(stats.pending_records, lag_s))],
        )
        if stats.last_second is not None:
            yield _gauge("bar_sequence", "Newest closed second", [], [((), stats.last_second)])
        yield _gauge(
            "feed_silence_limit_seconds",
            "Silence after which a feed no longer counts as live",
            [],
            [((), self._silence_limit_s)],
        )
        yield _gauge("memory_budget_bytes", "Memory this process may hold", [], [((), memory_budget())])
        yield _gauge(
            "decision_interval_seconds",
            "Seconds between two decisions of a pair",
            [],
            [((), self._decision_interval_s)],
        )
        yield from self._disk()
        yield from self._parity()
        if self._announcer is not None:
            yield CounterMetricFamily(
                f"{PREFIX}bus_failures", "Times the bus took nothing", value=self._announcer.failures
            )
            yield _gauge(
                "bus_sequence", "Newest announced second", [], [((), self._announcer.announced or 0)]
            )
        if self._shipper is not None:
            yield from _shipping(self._shipper.status)
        try:
            yield from [*self._data(), *self._decisions(stats)]
        except StoreError:
            yield _gauge("store_readable", "Whether the store could be read", [], [((), 0)])
        else:
            yield _gauge("store_readable", "Whether the store could be read", [], [((), 1)])

    def _parity(self) -> Iterator[Metric]:
        parity = read_parity(self._data_dir / PARITY_FILE)
        if parity is None:
            return
        compared, mismatches = float(parity.compared), float(parity.mismatches)
        yield _gauge("parity_compared", "Decisions that the last parity compared", [], [((), compared)])
        yield _gauge("parity_mismatch", "Those of them that differ without a cause", [], [((), mismatches)])

    def _disk(self) -> Iterator[Metric]:
        if not self._data_dir.exists():
            return
        sizes = {path: size_of(path) for path in self._data_dir.rglob("*")}

        def kept_in(name: str) -> int:
            first = ((path.relative_to(self._data_dir).parts[0], size) for path, size in sizes.items())
            return sum(size for part, size in first if part.startswith(name))

        free = shutil.disk_usage(self._data_dir).free
        yield _gauge("disk_free_bytes", "Free space where the data is kept", [], [((), free)])
        yield _gauge("data_bytes", "Size of everything kept", [], [((), sum(sizes.values()))])
        yield _gauge("store_bytes", "Size of the embedded store", [], [((), kept_in("store"))])
        yield _gauge("spool_bytes", "Size of the trade journal", [], [((), kept_in("journal"))])

    def _data(self) -> Iterator[Metric]:
        quality = self._quality.look(self._collector)
        if quality is None:
            return
        span = self._quality.span()
        yield _gauge("store_span_seconds", "Seconds from the oldest stored to the newest", [], [((), span)])
        markets = quality.markets
        yield _gauge(
            "feed_up",
            "Whether the market was covered in the newest stored second",
            ["market", "kind"],
            [((m.market, m.kind), float(m.covered)) for m in markets],
        )
        yield _gauge(
            "feed_last_trade_timestamp_seconds",
            "Newest second with a bar in the last five minutes",
            ["market", "kind"],
            [((m.market, m.kind), float(m.last_bar)) for m in markets if m.last_bar is not None],
        )
        yield _gauge(
            "coverage_ratio",
            "Mean covered share of the class's usual volume",
            ["symbol", "kind", "window"],
            [
                ((asset.asset, kind, window), share)
                for asset in quality.assets
                for kind, windows in asset.coverage.items()
                for window, share in windows.items()
            ],
        )

    def _decisions(self, stats: Stats) -> Iterator[Metric]:
        bot = self._bot.look()
        if bot is None:
            return
        newest = bot.second if stats.last_second is None else max(bot.second, stats.last_second)
        ages = [((pair.pair,), float(newest - pair.second)) for pair in bot.pairs]
        yield _gauge(
            "score_age_seconds", "Newest closed second minus the pair's newest decision", ["symbol"], ages
        )
        if self._announcer is not None and self._announcer.announced is not None:
            behind = max(self._announcer.announced - bot.second, 0)
            yield _gauge(
                "bus_consumer_lag_seconds", "Newest announced second minus the bot's", [], [((), behind)]
            )
        latencies = [((pair.pair,), pair.latency_ms / 1e3) for pair in bot.pairs]
        yield _gauge(
            "score_delay_seconds",
            "From the newest decided second's end to its decision",
            ["symbol"],
            latencies,
        )
        scores = [((pair.pair,), pair.score) for pair in bot.pairs if pair.score is not None]
        yield _gauge("score", "Newest score", ["symbol"], scores)
        vetoes = [((pair.pair, pair.veto), 1.0) for pair in bot.pairs if pair.veto]
        yield _gauge("entries_vetoed", "Why the pair may not be entered now", ["symbol", "reason"], vetoes)


def _shipping(status: ShippingStatus) -> Iterator[Metric]:
    yield CounterMetricFamily(f"{PREFIX}influx_bars", "Bars shipped to InfluxDB", value=status.bars)
    yield CounterMetricFamily(
        f"{PREFIX}influx_failures", "Times InfluxDB took nothing", value=status.failures
    )
    yield CounterMetricFamily(
        f"{PREFIX}influx_expired_seconds", "Seconds too old for InfluxDB's retention", value=status.expired
    )
    yield CounterMetricFamily(
        f"{PREFIX}store_verify_mismatch",
        "Times InfluxDB held something else than it acknowledged",
        value=status.mismatches,
    )
    yield _gauge("influx_lag_seconds", "Closed seconds not yet in InfluxDB", [], [((), status.lag_s)])
    positions = [((collector,), float(second)) for collector, second in status.positions]
    yield _gauge("influx_sequence", "Newest second in InfluxDB", ["collector"], positions)


def _version() -> str:
    # Not from the package itself: that one knows FreqTrade's side, which the collector runs without.
    return importlib.metadata.version("squeezeflow-plugin")


def _gauge(
    name: str, text: str, labels: Sequence[str], values: Sequence[tuple[tuple[str, ...], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for label_values, value in values:
        family.add_metric(list(label_values), value)
    return family
