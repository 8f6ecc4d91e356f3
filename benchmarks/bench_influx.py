"""InfluxDB: bulk write, loading 24 hours of 20 markets, the live path, an outage, bytes a bar.

Starts an influxd of its own (1.6.7 in Debian) on loopback; `python benchmarks/bench_influx.py [HOURS]`. CPU
microseconds a bar of client and server stand beside the speeds, for on a busy machine only they compare.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # for what stands beside this file

import numpy as np
import psutil

from benchmarks.measuring import figure, machine, streaming_mb
from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.collector.shipping import Shipper, open_shipper
from squeezeflow_plugin.market import Bar, ClosingRecord
from squeezeflow_plugin.settings import Settings, load, to_environ
from squeezeflow_plugin.store.admin import verify_database
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.store.influx import InfluxBarStore
from tests.influx_server import InfluxDaemon

MARKETS = tuple(f"BINANCE:coin{i:02d}usdt" for i in range(20))
POLLS = 1000


def records(start: int, stop: int, seed: int, markets: tuple[str, ...] = MARKETS) -> Iterator[ClosingRecord]:
    """Every market in every second, random walks: the worst case for compression."""
    random_numbers = random.Random(seed)
    prices_now = [random_numbers.uniform(1, 60_000) for _ in markets]
    for second in range(start, stop):
        bars = []
        for i, market in enumerate(markets):
            move = 1 + random_numbers.gauss(0, 1e-4)
            opened, prices_now[i] = prices_now[i], prices_now[i] * move
            high, low = max(opened, prices_now[i]), min(opened, prices_now[i])
            vbuy, vsell = random_numbers.expovariate(1e-4), random_numbers.expovariate(1e-4)
            cbuy, csell = random_numbers.randrange(20), random_numbers.randrange(20)
            o, h, low, c = (round(price, 2) for price in (opened, high, low, prices_now[i]))
            bars.append(Bar(market, second, o, h, low, c, vbuy, vsell, cbuy, csell, 0.0, 0.0))
        yield ClosingRecord("main", second, second * 10**9 + 1_400_000_000, tuple(bars), (), markets)


def batches(start: int, stop: int, seed: int, size: int) -> Iterator[list[ClosingRecord]]:
    batch = []
    for record in records(start, stop, seed):
        batch.append(record)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


class Meter:
    """Wall and CPU time of what runs inside it, here and in the server."""

    def __init__(self, daemon: InfluxDaemon) -> None:
        self._server = psutil.Process(daemon.pid)
        self.wall_s = self.client_s = self.server_s = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter(), time.process_time(), self._server_s()

    def __exit__(self, *_: object) -> None:
        wall, client, server = self._began
        self.wall_s += time.perf_counter() - wall
        self.client_s += time.process_time() - client
        self.server_s += self._server_s() - server

    def per_bar(self, bars: int) -> dict[str, float]:
        return {
            "bars_per_s": round(bars / self.wall_s),
            "client_cpu_us": round(self.client_s / bars * 1e6, 2),
            "server_cpu_us": round(self.server_s / bars * 1e6, 2),
        }

    def _server_s(self) -> float:
        times = self._server.cpu_times()
        return float(times.user + times.system)


def write_speed(daemon: InfluxDaemon, store: InfluxBarStore, start: int, stop: int) -> dict[str, float]:
    """Inside append only; making the records is not counted."""
    meter, count = Meter(daemon), 0
    for batch in batches(start, stop, 1, 1800):
        with meter:
            store.append(batch)
        count += sum(len(record.bars) for record in batch)
    return meter.per_bar(count)


def percentiles(values: list[float]) -> dict[str, float]:
    points = np.percentile(values, [50, 95, 99])
    return {name: round(float(p) * 1000, 2) for name, p in zip(("p50", "p95", "p99"), points, strict=True)}


def live_path(settings: Settings, start: int) -> dict[str, dict[str, float]]:
    """A record written and read back by a second client, as collector and bot do it."""
    writer, reader = InfluxBarStore(settings), InfluxBarStore(settings, readonly=True)
    writes, polls, reads = [], [], []
    for record in records(start, start + POLLS // 10, 2):
        began = time.perf_counter()
        writer.append([record])
        writes.append(time.perf_counter() - began)
        for _ in range(10):
            began = time.perf_counter()
            reader.last_second("main")
            polls.append(time.perf_counter() - began)
        began = time.perf_counter()
        (found,) = reader.records(record.second, record.second + 1)
        reads.append(time.perf_counter() - began)
        if found != record:
            raise SystemExit(f"second {record.second} was read otherwise than it was written")
    writer.close()
    reader.close()
    return {"write": percentiles(writes), "poll": percentiles(polls), "read": percentiles(reads)}


def outage(daemon: InfluxDaemon, directory: Path) -> dict[str, object]:
    """The server dead for 600 seconds of 80 markets: how long until all is shipped and verified."""
    settings = daemon.settings(data_dir=directory)
    embedded = EmbeddedBarStore(settings.store_path)
    shipper = open_shipper(settings, SystemClock())
    if shipper is None:
        raise SystemExit("no InfluxDB to ship to")
    second = int(time.time()) - 900
    markets = tuple(f"BINANCE:coin{i:02d}usdt" for i in range(80))
    embedded.append(records(second, second + 10, 3, markets))
    shipper.start()
    await_shipped(shipper, second + 9)
    daemon.kill()
    slowest = 0.0
    for record in records(second + 10, second + 610, 4, markets):
        began = time.perf_counter()
        embedded.append([record])
        shipper.wake()
        slowest = max(slowest, time.perf_counter() - began)
    began = time.perf_counter()
    daemon.start()
    started_s = time.perf_counter() - began
    await_shipped(shipper, second + 609)
    caught_up_s = time.perf_counter() - began
    proof = verify_database(settings, 0, 2**40)
    shipper.stop()
    embedded.close()
    return {
        "bars": 600 * len(markets),
        "server_start_s": round(started_s, 2),
        "caught_up_s": round(caught_up_s, 2),
        "slowest_append_ms": round(slowest * 1000, 1),
        "differences": proof.differences,
        "rss_mb": round(psutil.Process().memory_info().rss / 2**20),
    }


def await_shipped(shipper: Shipper, second: int) -> None:
    while dict(shipper.status.positions).get("main") != second:
        time.sleep(0.01)


def disk_bytes(directory: Path) -> int:
    """Size of the data files once everything written ahead is in them (the server is told to do it soon)."""
    while any(path.stat().st_size > 1000 for path in (directory / "wal").rglob("*.wal")):
        time.sleep(0.5)
    return sum(path.stat().st_size for path in (directory / "data").rglob("*.tsm"))


def main(hours: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        daemon = InfluxDaemon(directory / "influxd", snapshot_after="10s")
        daemon.start()
        try:
            print(json.dumps(measure(daemon, directory, hours)))
        finally:
            daemon.kill()


def stream_records(environ: dict[str, str]) -> None:
    """Read every record once, keeping none."""
    reader = InfluxBarStore(load(None, environ), readonly=True)
    for _ in reader.records(0, 2**40):
        pass
    reader.close()


def measure(daemon: InfluxDaemon, directory: Path, hours: int) -> dict[str, object]:
    settings = daemon.settings(influx_retention_1s="2d")
    stop = int(time.time()) // 60 * 60
    start = stop - hours * 3600
    trusting, verifying = InfluxBarStore(settings, verify=False), InfluxBarStore(settings)
    trusting.set_up()
    bulk = write_speed(daemon, trusting, start, stop - 1800)
    verified = write_speed(daemon, verifying, stop - 1800, stop)
    loading = Meter(daemon)
    with loading:
        count = len(trusting.bars(start, stop))
    live = live_path(settings, stop)
    trusting.close()
    verifying.close()
    return {
        "machine": machine(),
        "bars": count,
        "bulk_write": figure(bulk["bars_per_s"], "bars/s", 100_000) | bulk,
        "verified_write": verified,
        "load": figure(loading.wall_s, "s", 9 if hours == 24 else None, at_most=True)
        | loading.per_bar(count),
        "poll_p99": figure(live["poll"]["p99"], "ms", 10, at_most=True),
        "live_ms": live,
        "streaming": figure(streaming_mb(stream_records, to_environ(settings)), "MB more", 250, at_most=True),
        "on_disk": figure(disk_bytes(directory / "influxd") / count, "bytes/bar", 45, at_most=True),
        "outage": outage(daemon, directory),
    }


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 24)
