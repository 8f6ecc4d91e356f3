"""How well the running system does: freshness, rates, latency, and what it uses of the machine.

Two looks at the collector's metrics, some seconds apart, give the rates; the machine is asked for the
processes it runs. What is over a limit is a finding of its own, so that the same figures serve a person and a
script.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psutil
from prometheus_client.parser import text_string_to_metric_families

from squeezeflow_plugin.checks.findings import Finding, Level
from squeezeflow_plugin.checks.pages import Pages
from squeezeflow_plugin.checks.system import SLOW_MS, data_findings, storage
from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.errors import ProcessError
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.settings import Settings

SLOW_CLOSE_S = 0.75
SLOW_LOOP_S = 0.25
LOW_DISK_BYTES = 1 << 30
MIB = 1 << 20
DAY_S = 86_400
TELLING_S = 1800
# What a process is called here, by what its command line begins with or holds.
PROGRAMS = (
    ("collector", ("squeezeflow", "collect")),
    ("simulator", ("squeezeflow", "simulate")),
    ("freqtrade", ("freqtrade", "trade")),
    ("influxd", ("influxd",)),
    ("redis", ("redis-server",)),
)
Samples = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


@dataclass(frozen=True)
class Usage:
    """A program's processes together: processor seconds so far by process id, and resident memory."""

    cpu_s: Mapping[int, float]
    rss_bytes: int

    def used_since(self, before: Usage) -> float:
        """Processor seconds since ``before`` of the processes that were there then."""
        return sum(now - before.cpu_s[pid] for pid, now in self.cpu_s.items() if pid in before.cpu_s)


@dataclass(frozen=True)
class Look:
    """One moment: the collector's metrics, the programs, and the bytes that all interfaces carried."""

    at_ns: int
    samples: Samples
    programs: Mapping[str, Usage]
    network_bytes: int

    def value(self, name: str) -> float:
        """The sum of the samples with that name, whatever their labels; NaN where there is none."""
        found = [value for (sample, _), value in self.samples.items() if sample == f"squeezeflow_{name}"]
        return sum(found) if found else math.nan


@dataclass(frozen=True)
class Report:
    """Lines for a person, findings for the exit status."""

    lines: tuple[str, ...]
    findings: tuple[Finding, ...]


def measure(settings: Settings, clock: Clock, seconds: int) -> Report:
    """Two looks, ``seconds`` apart, and what they say; a collector that is not there is a finding."""
    pages = Pages(settings)
    try:
        before = look(pages, clock)
        clock.sleep_until(before.at_ns + seconds * NS_PER_SECOND)
        after = look(pages, clock)
        data = pages.json(f"{pages.health}/health/data/1s")[1]
    except ProcessError as error:
        failed = Finding("collector", Level.FAIL, str(error))
        return Report((), (failed, *_failing(storage(settings, None))))
    findings = (*data_findings(data), *storage(settings, data.get("second")), *limits(before, after, data))
    return Report(tuple(figures(before, after, data)), tuple(_failing(findings)))


def look(pages: Pages, clock: Clock) -> Look:
    """The moment now. Raises ProcessError where the collector does not answer there."""
    url = f"{pages.health}/metrics"
    status, body = pages.get(url)
    try:
        found = samples(body.decode())
    except ValueError as error:  # another program's page, or a text that is not UTF-8
        raise ProcessError(f"{url} answers {status} with no metrics: {body[:80]!r}") from error
    network = psutil.net_io_counters()
    return Look(clock.now_ns(), found, programs(), network.bytes_recv + network.bytes_sent)


def samples(text: str) -> Samples:
    """Prometheus's text format as name and labels to value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def programs() -> dict[str, Usage]:
    """Our programs on this machine; those of another user may not be readable and are left out."""
    found: dict[str, Usage] = {}
    for process in psutil.process_iter():
        try:
            name = program_of(process.cmdline())
            if name is None:
                continue
            times, rss = process.cpu_times(), process.memory_info().rss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        known = found.get(name, Usage({}, 0))
        used = {**known.cpu_s, process.pid: times.user + times.system}
        found[name] = Usage(used, known.rss_bytes + rss)
    return found


def program_of(command: Sequence[str]) -> str | None:
    """Which of our programs a command line is.

    >>> program_of(["/usr/bin/python3", "-m", "squeezeflow_plugin.cli", "collect"])
    'collector'
    >>> program_of(["/usr/bin/redis-server", "127.0.0.1:6379"])
    'redis'
    >>> program_of(["vi", "collect"])
    """
    for name, words in PROGRAMS:
        if all(any(word in part.rpartition("/")[2] for part in command) for word in words):
            return name
    return None


def quantile(before: Samples, after: Samples, name: str, share: float) -> float:
    """The upper bound of the bucket that holds the share of what a histogram saw in between; NaN for nothing.

    >>> first = {("x_bucket", (("le", "0.5"),)): 1.0, ("x_bucket", (("le", "+Inf"),)): 1.0}
    >>> then = {("x_bucket", (("le", "0.5"),)): 9.0, ("x_bucket", (("le", "+Inf"),)): 11.0}
    >>> quantile(first, then, "x", 0.5), quantile(first, then, "x", 0.99)
    (0.5, inf)
    """
    seen = sorted(
        (float(dict(labels)["le"]), value - before.get((bucket, labels), 0.0))
        for (bucket, labels), value in after.items()
        if bucket == f"{name}_bucket"
    )
    total = seen[-1][1] if seen else 0.0
    return next((bound for bound, count in seen if total and count >= share * total), math.nan)


def figures(before: Look, after: Look, data: Any) -> Iterator[str]:
    """The report, line by line."""
    took_s = (after.at_ns - before.at_ns) / NS_PER_SECOND

    def rate(name: str) -> float:
        return (after.value(name) - before.value(name)) / took_s

    yield f"freshness   newest stored second {data.get('second')}, {data.get('age_s', math.nan):.1f} s old"
    yield (
        f"rates       {rate('trades_received_total'):.1f} trades/s, {rate('bars_closed_total'):.1f} bars/s,"
        f" {rate('bars_revised_total'):.2f} revisions/s"
    )
    close = [
        quantile(before.samples, after.samples, "squeezeflow_bar_close_delay_seconds", q) for q in (0.5, 0.95)
    ]
    half, most = (f"{delay * 1e3:.0f} ms" for delay in close)
    yield f"latency     second's end to store: half within {half}, 95 % within {most}"
    for pair in (data.get("bot") or {}).get("pairs", ()):
        yield f"            decision {pair['pair']}: {pair['latency_ms']:.0f} ms after its second's end"
    for name, usage in sorted(after.programs.items()):
        share = 100 * usage.used_since(before.programs.get(name, usage)) / took_s
        yield f"{name:<11} {share:.1f} % of a processor, {usage.rss_bytes / MIB:.0f} MiB"
    network = (after.network_bytes - before.network_bytes) / took_s
    yield f"network     {network / 1e3:.1f} kB/s over all interfaces of this machine"
    stored, span_s = after.value("store_bytes"), after.value("store_span_seconds")
    # A file of minutes is mostly its own overhead.
    day = (
        f"{stored / span_s * DAY_S / 1e6:.0f} MB per day"
        if span_s >= TELLING_S
        else "MB per day not known yet"
    )
    kept, free = after.value("data_bytes") / 1e6, after.value("disk_free_bytes") / 1e9
    yield f"disk        {kept:.1f} MB of data, of it {stored / 1e6:.1f} MB bars, {day}; {free:.1f} GB free"


def limits(before: Look, after: Look, data: Any) -> Iterator[Finding]:
    """What is slower or fuller than it should be."""
    close_s = quantile(before.samples, after.samples, "squeezeflow_bar_close_delay_seconds", 0.95)
    if not close_s <= SLOW_CLOSE_S:
        yield Finding(
            "latency", Level.FAIL, f"95 % of seconds are stored within {close_s} s, limit {SLOW_CLOSE_S} s"
        )
    lag_s = quantile(before.samples, after.samples, "squeezeflow_event_loop_lag_seconds", 0.95)
    if lag_s > SLOW_LOOP_S:
        yield Finding("latency", Level.WARN, f"the collector's event loop comes up to {lag_s} s late")
    for pair in (data.get("bot") or {}).get("pairs", ()):
        if pair["latency_ms"] > SLOW_MS:
            yield Finding(
                "latency", Level.WARN, f"{pair['pair']} was decided {pair['latency_ms']:.0f} ms late"
            )
    free = after.value("disk_free_bytes")
    if free < LOW_DISK_BYTES:
        yield Finding("disk", Level.FAIL, f"{free / 1e6:.0f} MB are free where the data is kept")


def _failing(findings: Iterator[Finding] | Sequence[Finding]) -> Iterator[Finding]:
    return (finding for finding in findings if finding.level in (Level.WARN, Level.FAIL))
