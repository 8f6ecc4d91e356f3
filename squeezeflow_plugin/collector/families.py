"""The metrics by subject, each from the state it shows: what ``metrics.py`` puts on one page.

Names begin with ``squeezeflow_``, units are base units, labels are exchange, market, kind, symbol, window or
reason and never anything unbounded. https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from squeezeflow_plugin.collector.announcing import Announcer
from squeezeflow_plugin.collector.bot import BotState
from squeezeflow_plugin.collector.quality import Quality
from squeezeflow_plugin.collector.shipping import ShippingStatus
from squeezeflow_plugin.collector.stats import Counted, Stats
from squeezeflow_plugin.machine import memory_budget, size_of
from squeezeflow_plugin.settings import REGULAR_INTERVAL_S, Settings
from squeezeflow_plugin.store.botstatus import veto_label
from squeezeflow_plugin.store.paritystatus import ParityStatus
from squeezeflow_plugin.timings import Buckets
from squeezeflow_plugin.version import VERSION

PREFIX = "squeezeflow_"
# name, help, field of Stats
COUNTERS = (
    ("trades_duplicate", "Deliveries that repeated a trade", "duplicates"),
    ("trades_late", "Trades that came after their second was closed", "late"),
    ("trades_beyond_horizon", "Trades too late to be merged", "beyond_horizon"),
    ("trades_ahead", "Trades dated too far ahead to be merged", "ahead"),
    ("trades_quarantined", "Trades dated ahead that waited for their second", "quarantined"),
    ("trades_recovered", "Trades that streams did not bring and REST gave", "trades_recovered"),
    ("trades_missing", "Trades that lost gaps lack, as far as ids say", "trades_missing"),
    ("gaps_lost", "Gaps that nobody could fill: named holes", "gaps_lost"),
    ("bars_closed", "Bars closed", "bars"),
    ("bars_revised", "Bars written again because of late trades", "revisions"),
    ("journal_failures", "Failures of the trade journal", "journal_failures"),
    ("store_write_failures", "Failed writes to the store", "store_failures"),
)
_Values = Sequence[tuple[tuple[str, ...], float]]


def process(settings: Settings) -> Iterator[Metric]:
    """What does not change while the collector runs."""
    yield _gauge("build_info", "Version of the plugin", ["version"], [((VERSION,), 1.0)])
    yield _gauge("memory_budget_bytes", "Memory this process may hold", [], [((), memory_budget())])
    interval_s = 1 if settings.enable_1s_mode else REGULAR_INTERVAL_S
    yield _gauge(
        "decision_interval_seconds", "Seconds between two decisions of a pair", [], [((), interval_s)]
    )


def feeds(stats: Stats, silence_limit_s: float) -> Iterator[Metric]:
    """What came from the exchanges, and what went wrong."""
    for name, text, field in COUNTERS:
        yield CounterMetricFamily(PREFIX + name, text, value=getattr(stats, field))
    received = [
        pair
        for exchange, count in stats.received.items()
        for pair in (
            ((exchange, "trade"), count - stats.liquidations.get(exchange, 0)),
            ((exchange, "liquidation"), stats.liquidations.get(exchange, 0)),
        )
    ]
    yield _counter("trades_received", "Trades and liquidations received", ["exchange", "kind"], received)
    reopened = [((reason,), count) for reason, count in stats.reconnect_reasons.items()]
    yield _counter(
        "reconnects", "Connections opened again, by what ended the one before", ["reason"], reopened
    )
    rejected = [
        ((exchange, reason), count)
        for (exchange, _, reason), count in ((key.partition(": "), n) for key, n in stats.rejected.items())
    ]
    yield _counter("frames_rejected", "Frames that could not be read", ["exchange", "reason"], rejected)
    limited = [((exchange,), count) for exchange, count in stats.rate_limited.items()]
    yield _counter("rate_limited", "Answers 429 and 418: too many requests", ["exchange"], limited)
    yield _gauge(
        "open_interest_timestamp_seconds",
        "Exchange time of the newest reading of open interest",
        ["market"],
        [((market,), time_ns / 1e9) for market, time_ns in stats.interest_ns.items()],
    )
    yield _gauge(
        "clock_skew_seconds",
        "Receive minus exchange time at its smallest, by the wall clock",
        ["exchange"],
        [((exchange,), offset / 1e3) for exchange, offset in stats.offsets_ms.items()],
    )
    yield _gauge(
        "feed_silence_limit_seconds",
        "Silence after which a feed no longer counts as live",
        [],
        [((), silence_limit_s)],
    )


def stores(stats: Stats, lag_s: int) -> Iterator[Metric]:
    """How far the closed seconds are on their way; ``lag_s`` is InfluxDB's."""
    waiting = stats.pending_records
    yield _gauge("store_pending_records", "Closed seconds that wait for the store", [], [((), waiting)])
    yield _gauge(
        "spool_oldest_age_seconds",
        "How old the oldest closed second is that the store or InfluxDB has not taken",
        [],
        [((), max(waiting, lag_s))],
    )
    if stats.last_second is not None:
        yield _gauge("bar_sequence", "Newest closed second", [], [((), stats.last_second)])


def timings(counted: Counted) -> Iterator[Metric]:
    """How long trades took to get here, and records to be written."""
    yield _histogram(
        "feed_lag_seconds",
        "From a trade to its receipt, by both clocks: the last trade of each frame, replayed ones too",
        ["exchange"],
        [((exchange,), lags.buckets()) for exchange, lags in list(counted.lags.items())],
    )
    yield _histogram(
        "store_write_duration_seconds",
        "What the store takes for a batch of closed seconds",
        [],
        [((), counted.writes.buckets())],
    )


def bus(announcer: Announcer) -> Iterator[Metric]:
    """What the bus has taken."""
    yield _counter("bus_failures", "Times the bus took nothing", [], [((), announcer.failures)])
    yield _gauge("bus_sequence", "Newest announced second", [], [((), announcer.announced or 0)])


def influx(status: ShippingStatus) -> Iterator[Metric]:
    """What InfluxDB has taken."""
    yield _counter("influx_bars", "Bars shipped to InfluxDB", [], [((), status.bars)])
    yield _counter("influx_failures", "Times InfluxDB took nothing", [], [((), status.failures)])
    yield _counter(
        "influx_expired_seconds", "Seconds too old for InfluxDB's retention", [], [((), status.expired)]
    )
    yield _counter(
        "store_verify_mismatch",
        "Times InfluxDB held something else than it acknowledged",
        [],
        [((), status.mismatches)],
    )
    yield _gauge("influx_lag_seconds", "Closed seconds not yet in InfluxDB", [], [((), status.lag_s)])
    positions = [((collector,), float(second)) for collector, second in status.positions]
    yield _gauge("influx_sequence", "Newest second in InfluxDB", ["collector"], positions)


def disk(data_dir: Path) -> Iterator[Metric]:
    """What the data takes, and what is left."""
    if not data_dir.exists():
        return
    sizes = {path: size_of(path) for path in data_dir.rglob("*")}

    def kept_in(name: str) -> int:
        first = ((path.relative_to(data_dir).parts[0], size) for path, size in sizes.items())
        return sum(size for part, size in first if part.startswith(name))

    free = shutil.disk_usage(data_dir).free
    yield _gauge("disk_free_bytes", "Free space where the data is kept", [], [((), free)])
    yield _gauge("data_bytes", "Size of everything kept", [], [((), sum(sizes.values()))])
    yield _gauge("store_bytes", "Size of the embedded store", [], [((), kept_in("store"))])
    yield _gauge("spool_bytes", "Size of the trade journal", [], [((), kept_in("journal"))])


def parity(status: ParityStatus | None) -> Iterator[Metric]:
    """What the last ``squeezeflow parity`` found, where one was made."""
    if status is None:
        return
    compared, differing = float(status.compared), float(status.mismatches)
    yield _gauge("parity_compared", "Decisions that the last parity compared", [], [((), compared)])
    yield _gauge("parity_differing", "Those of them that differ without a cause", [], [((), differing)])
    yield _counter(
        "parity_mismatch", "Differences without a cause, of every parity so far", [], [((), status.total)]
    )


def readable(is_readable: bool) -> Iterator[Metric]:
    """Whether the store answers."""
    yield _gauge("store_readable", "Whether the store could be read", [], [((), float(is_readable))])


def quality(found: Quality, span_s: int) -> Iterator[Metric]:
    """How complete the stored seconds are."""
    yield _gauge("store_span_seconds", "Seconds from the oldest stored to the newest", [], [((), span_s)])
    markets = found.markets
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
            for asset in found.assets
            for kind, windows in asset.coverage.items()
            for window, share in windows.items()
        ],
    )


def decisions(bot: BotState, last_second: int | None, announced: int | None) -> Iterator[Metric]:
    """What the bot decided last, and how late."""
    newest = bot.second if last_second is None else max(bot.second, last_second)
    ages = [((pair.pair,), float(newest - pair.second)) for pair in bot.pairs]
    yield _gauge(
        "score_age_seconds", "Newest closed second minus the pair's newest decision", ["symbol"], ages
    )
    if announced is not None:
        behind = max(announced - bot.second, 0)
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
    phases = [((pair.pair,), pair.phase) for pair in bot.pairs if pair.phase is not None]
    yield _gauge(
        "phase",
        "Furthest phase: 0 none, 1 context, 2 divergence, 3 reset, 4 entry, negative for shorts",
        ["symbol"],
        phases,
    )
    vetoes = [((pair.pair, veto_label(pair.veto)), 1.0) for pair in bot.pairs if pair.veto]
    yield _gauge("entry_veto", "Why the pair may not be entered now", ["symbol", "reason"], vetoes)


def bot_counts(bot: BotState) -> Iterator[Metric]:
    """What the bot has counted: entries since its log began, the rest since its start."""
    entries = [((pair.pair,), pair.entries) for pair in bot.pairs]
    yield _counter("entries", "Trades entered, as the decision log has them", ["symbol"], entries)
    if bot.status is None:
        return
    held = Counter(position.pair for position in bot.status.positions)
    open_trades = [((pair.pair,), held[pair.pair]) for pair in bot.pairs]
    yield _gauge("open_trades", "Open trades, as the bot says", ["symbol"], open_trades)
    vetoed = [
        ((pair, reason), count)
        for pair, counts in bot.status.vetoed.items()
        for reason, count in counts.items()
    ]
    yield _counter(
        "entries_vetoed",
        "Looks of the bot, about one a second, at which the pair could not be entered",
        ["symbol", "reason"],
        vetoed,
    )
    if bot.status.deciding is not None:
        yield _histogram(
            "score_duration_seconds",
            "What the decisions of a second take, all pairs together",
            [],
            [((), bot.status.deciding)],
        )


def _gauge(name: str, text: str, labels: Sequence[str], values: _Values) -> GaugeMetricFamily:
    family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for label_values, value in values:
        family.add_metric(list(label_values), value)
    return family


def _counter(name: str, text: str, labels: Sequence[str], values: _Values) -> CounterMetricFamily:
    family = CounterMetricFamily(PREFIX + name, text, labels=labels)
    for label_values, value in values:
        family.add_metric(list(label_values), value)
    return family


def _histogram(
    name: str, text: str, labels: Sequence[str], values: Sequence[tuple[tuple[str, ...], Buckets]]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(PREFIX + name, text, labels=labels)
    for label_values, buckets in values:
        family.add_metric(list(label_values), buckets.cumulative(), buckets.total_s)
    return family
