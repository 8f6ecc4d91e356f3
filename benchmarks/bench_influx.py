"""InfluxDB: bulk write, loading 24 hours of 20 markets, polls of the live path, bytes a bar.

Starts an influxd of its own (1.6.7 in Debian) on loopback. `python benchmarks/bench_influx.py [HOURS]`.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from squeezeflow_plugin.market import Bar, ClosingRecord
from squeezeflow_plugin.store.influx import InfluxBarStore
from squeezeflow_plugin.store.influx_client import InfluxServer
from squeezeflow_plugin.store.influx_setup import set_up
from tests.influx_server import InfluxDaemon

MARKETS = tuple(f"BINANCE:coin{i:02d}usdt" for i in range(20))
POLLS = 1000


def records(start: int, stop: int, seed: int) -> Iterator[ClosingRecord]:
    """Every market in every second, random walks: the worst case for compression."""
    random_numbers = random.Random(seed)
    price = [random_numbers.uniform(1, 60_000) for _ in MARKETS]
    for second in range(start, stop):
        bars = []
        for i, market in enumerate(MARKETS):
            move = 1 + random_numbers.gauss(0, 1e-4)
            opened, price[i] = price[i], price[i] * move
            high, low = max(opened, price[i]), min(opened, price[i])
            vbuy, vsell = random_numbers.expovariate(1e-4), random_numbers.expovariate(1e-4)
            cbuy, csell = random_numbers.randrange(20), random_numbers.randrange(20)
            bars.append(
                Bar(
                    market, second, round(opened, 2), round(high, 2), round(low, 2), round(price[i], 2),
                    vbuy, vsell, cbuy, csell, 0.0, 0.0,
                )  # fmt: skip  # one line a group of fields
            )
        yield ClosingRecord("main", second, second * 10**9 + 1_400_000_000, tuple(bars), (), MARKETS)


def batches(start: int, stop: int, seed: int, size: int) -> Iterator[list[ClosingRecord]]:
    batch = []
    for record in records(start, stop, seed):
        batch.append(record)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def write_speed(store: InfluxBarStore, start: int, stop: int) -> float:
    """Bars a second inside append; making the records is not counted."""
    spent, count = 0.0, 0
    for batch in batches(start, stop, 1, 1800):
        began = time.perf_counter()
        store.append(batch)
        spent += time.perf_counter() - began
        count += sum(len(record.bars) for record in batch)
    return count / spent


def percentiles(values: list[float]) -> dict[str, float]:
    points = np.percentile(values, [50, 95, 99])
    return {name: round(float(p) * 1000, 2) for name, p in zip(("p50", "p95", "p99"), points, strict=True)}


def live_path(daemon: InfluxDaemon, settings: object, start: int) -> dict[str, object]:
    """A record written and read back by a second client, as collector and bot do it."""
    writer, reader = InfluxBarStore(settings), InfluxBarStore(settings, readonly=True)  # type: ignore[arg-type]  # Settings
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
        assert found == record
    writer.close()
    reader.close()
    return {"write_ms": percentiles(writes), "poll_ms": percentiles(polls), "read_ms": percentiles(reads)}


def disk_bytes(directory: Path) -> int:
    return sum(path.stat().st_size for path in (directory / "data").rglob("*.tsm"))


def main(hours: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        daemon = InfluxDaemon(directory)
        daemon.start()
        try:
            settings = daemon.settings(influx_retention_1s="2d")
            server = InfluxServer(settings)
            set_up(server, settings)
            stop = int(time.time()) // 60 * 60
            start = stop - hours * 3600
            trusting = InfluxBarStore(settings, verify=False)
            bulk = write_speed(trusting, start, stop - 1800)
            verified = write_speed(InfluxBarStore(settings), stop - 1800, stop)
            began = time.perf_counter()
            count = len(trusting.bars(start, stop))
            loading = time.perf_counter() - began
            live = live_path(daemon, settings, stop)
            daemon.stop()
            figures = {
                "bars": count,
                "bulk_write_bars_per_s": round(bulk),
                "verified_write_bars_per_s": round(verified),
                "load_s": round(loading, 2),
                **live,
                "bytes_per_bar": round(disk_bytes(directory) / count, 1),
            }
            print(json.dumps(figures))
        finally:
            daemon.kill()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 24)
