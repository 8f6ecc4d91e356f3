"""The figures of a run that are computed from its decisions, orders and samples of its processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.store.contract import BarStore
from squeezeflow_plugin.store.decisions import LoggedDecision, TradeEvent

NS_PER_MS = 1_000_000
SETTLED_S = 1200
"""Memory is judged from here on, or from half of a shorter run on: caches have filled by then."""


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds; ``count`` values in all."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True)
class Sample:
    """A process at one moment: nanoseconds of local time, resident memory in MiB, CPU seconds since start."""

    at_ns: int
    rss_mb: float
    cpu_s: float


def latency(values: Sequence[float]) -> Latency | None:
    """Percentiles by linear interpolation; None where there is no value.

    >>> latency([1.0, 2.0, 3.0]).p50
    2.0
    """
    if not values:
        return None
    p50, p95, p99, top = np.percentile(np.asarray(values), (50, 95, 99, 100)).round(1).tolist()
    return Latency(len(values), p50, p95, p99, top)


def coverage(
    rows: Iterable[LoggedDecision], pairs: Sequence[str], start: int, stop: int
) -> tuple[Mapping[str, int], frozenset[int]]:
    """Decisions by pair in ``[start, stop)``, and the seconds in which any pair has none."""
    seen: dict[str, set[int]] = {pair: set() for pair in pairs}
    for row in rows:
        if row.pair in seen:
            seen[row.pair].add(row.second)
    complete = set.intersection(*seen.values()) if seen else set()
    missed = frozenset(range(start, stop)) - complete
    return {pair: len(seconds) for pair, seconds in seen.items()}, missed


def candle_starts(start: int, stop: int) -> int:
    """How many seconds :00 lie in ``[start, stop)``.

    >>> candle_starts(60, 121), candle_starts(61, 120)
    (2, 0)
    """
    return -(-stop // 60) - -(-start // 60)


def order_delays(events: Iterable[TradeEvent], store: BarStore, kind: str) -> list[float]:
    """For each order of ``kind``: milliseconds from the close of the second that caused it to the order.

    The close is the record's own time, before the record was written, so the wait for the store is counted.
    Orders that no second caused (by hand, by the stop loss) are left out, and those of a bot that was behind.
    """
    delays = []
    for event in events:
        caused = event.kind == kind and event.tag and event.decision_second > 0
        closed = store.records(event.second, event.second + 1) if caused else ()
        delays += [(event.at_ns - record.closed_ns) / NS_PER_MS for record in closed]
    return delays


def cpu_share(samples: Sequence[Sample]) -> float:
    """CPU seconds a second of the run, in cores; 0 where fewer than two samples are known.

    >>> cpu_share([Sample(0, 1.0, 3.0), Sample(10 * NS_PER_SECOND, 1.0, 4.0)])
    0.1
    """
    if len(samples) < 2:
        return 0.0
    first, last = samples[0], samples[-1]
    return round((last.cpu_s - first.cpu_s) * NS_PER_SECOND / (last.at_ns - first.at_ns), 4)


def memory_growth(samples: Sequence[Sample], settled_s: float = SETTLED_S) -> float | None:
    """MiB an hour, the slope of resident memory by least squares over the settled part of the run.

    None where that part has fewer than 60 samples.

    >>> grown = [Sample(at * NS_PER_SECOND, 100.0 + at / 3600, 0.0) for at in range(1800)]
    >>> memory_growth(grown)
    1.0
    """
    if not samples:
        return None
    length_s = (samples[-1].at_ns - samples[0].at_ns) / NS_PER_SECOND
    since_ns = samples[0].at_ns + int(min(settled_s, length_s / 2) * NS_PER_SECOND)
    kept = [sample for sample in samples if sample.at_ns >= since_ns]
    if len(kept) < 60:
        return None
    hours = np.array([(sample.at_ns - since_ns) / NS_PER_SECOND / 3600 for sample in kept])
    slope = np.polyfit(hours, np.array([sample.rss_mb for sample in kept]), 1)[0]
    return round(float(slope), 2)
