"""The embedded store: bulk append, roll-over, a day's read, long reads, the poll of the newest record, size.

``python benchmarks/bench_store.py [--hours 24] [--markets 20]`` prints one JSON object; its target of
loading is that of 24 hours and 20 markets.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # for what stands beside this file

import msgspec
import numpy as np

from benchmarks.measuring import figure, machine, streaming_mb
from squeezeflow_plugin.market import Bar, ClosingRecord
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.store.layout import partition_dir
from squeezeflow_plugin.store.rolling import StoreKeeper

T0 = 1_723_161_600


def make_records(seconds: int, names: tuple[str, ...]) -> list[ClosingRecord]:
    """A random walk with every second of every market filled (the worst case) and a revision each minute."""
    rng = np.random.default_rng(7)
    walk = np.cumsum(rng.normal(0, 1e-5, (seconds + 1, len(names))), axis=0)
    price = np.round(60_000 * np.exp(walk + rng.normal(0, 1, len(names))), 2)
    opened, closed = price[:-1], price[1:]
    wicks = np.round(rng.exponential(0.3, (2, *closed.shape)) * rng.integers(0, 2, (2, *closed.shape)), 2)
    high = np.round(np.maximum(opened, closed) + wicks[0], 2)
    low = np.round(np.minimum(opened, closed) - wicks[1], 2)
    # A sum of price x size of some trades: as many digits as float64 has.
    buys, sells = closed * np.round(rng.lognormal(-2, 2, (2, *closed.shape)), 5) * 1.000_01
    counts = rng.poisson(4, (2, *closed.shape)) + 1
    nothing = np.zeros(closed.shape)
    columns = [each.tolist() for each in (opened, high, low, closed, buys, sells, *counts, nothing, nothing)]
    records = []
    for i in range(seconds):
        second = T0 + i
        rows = zip(*(column[i] for column in columns), strict=True)
        bars = tuple(Bar(name, second, *row) for name, row in zip(names, rows, strict=True))
        late = msgspec.structs.replace(bars[0], second=second - 20, revision=1)
        revisions = (late,) if i % 60 == 30 else ()
        records.append(ClosingRecord("main", second, second * 10**9 + 1_400_000_000, bars, revisions, names))
    return records


def poll_ms(path: Path, writer: EmbeddedBarStore, tail: list[ClosingRecord]) -> dict[str, float]:
    """Each record appended by the writer and fetched by a reader of its own: p99 of both, in milliseconds."""
    reader = EmbeddedBarStore(path, readonly=True)
    fetched, appended = [], []
    for record in tail:
        started = time.perf_counter()
        writer.append([record])
        appended.append(time.perf_counter() - started)
        started = time.perf_counter()
        found = list(reader.records(record.second, record.second + 1))
        fetched.append(time.perf_counter() - started)
        if found != [record]:
            raise SystemExit(f"record {record.second} did not read back")
    reader.close()
    return {"append": _p99_ms(appended), "poll": _p99_ms(fetched)}


def _p99_ms(seconds: list[float]) -> float:
    return float(np.percentile(seconds, 99) * 1e3)


def batches(records: list[ClosingRecord], size: int) -> Iterator[list[ClosingRecord]]:
    """The records in slices."""
    for at in range(0, len(records), size):
        yield records[at : at + size]


def reads(path: Path, start: int, seconds: int, names: tuple[str, ...]) -> dict[str, float]:
    """Seconds of views of all and of part of the store; the best of two."""
    stop = start + seconds
    reader = EmbeddedBarStore(path, readonly=True)
    views: dict[str, Callable[[], object]] = {
        "all": lambda: reader.bars(start, stop),
        "newest 4 h": lambda: reader.bars(stop - 14_400, stop),
        "newest 5 s": lambda: reader.bars(stop - 5, stop),
        "one market": lambda: reader.bars(start, stop, names[:1]),
        "one market, an hour at noon": lambda: reader.bars(stop - 43_200, stop - 39_600, names[:1]),
        "coverage of a market": lambda: reader.coverage(start, stop, names[:1]),
    }
    took = {}
    for what, view in views.items():
        tries = []
        for _ in range(2):
            started = time.perf_counter()
            view()
            tries.append(time.perf_counter() - started)
        took[what] = round(min(tries), 4)
    reader.close()
    return took


def stream_records(path: Path) -> None:
    """Read every record once, keeping none."""
    reader = EmbeddedBarStore(path, readonly=True)
    for _ in reader.records(0, 2**40):
        pass
    reader.close()


def measure(path: Path, seconds: int, names: tuple[str, ...]) -> dict[str, Any]:
    records = make_records(seconds + 500, names)
    head, tail = records[:seconds], records[seconds:]
    del records
    bars = seconds * len(names)
    is_a_day = (seconds, len(names)) == (86_400, 20)
    store = EmbeddedBarStore(path)
    began, began_cpu = time.perf_counter(), time.process_time()
    for batch in batches(head, 3600):
        store.append(batch)
    wall, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    report: dict[str, Any] = {
        "bulk_append": figure(bars / wall, "bars/s", 200_000),
        "bulk_append_cpu": figure(cpu / bars * 1e6, "us/bar"),
        "in_sqlite_s": reads(path, T0, seconds, names),
    }
    keeper = StoreKeeper(path)
    began = time.perf_counter()
    rolled = keeper.roll_over(T0 + seconds - 4500)
    report["roll_over"] = figure(rolled.bars / (time.perf_counter() - began), "bars/s")
    partitioned = reads(path, T0, seconds, names)
    report |= {
        "load": figure(partitioned["all"], "s", 1.2 if is_a_day else None, at_most=True),
        "in_partitions_s": partitioned,
        "bytes_in_partitions": figure(_bytes(path) / rolled.bars, "bytes/bar", 25, at_most=True),
    }
    took = poll_ms(path, store, tail)
    report |= {
        "append_p99": figure(took["append"], "ms"),
        "poll_p99": figure(took["poll"], "ms", 10, at_most=True),
        "streaming": figure(streaming_mb(stream_records, path), "MB more", 250, at_most=True),
    }
    rolled = keeper.roll_over(T0 + max(seconds, 86_400) + 86_400)
    report |= {
        "bytes_in_a_day": figure(
            _bytes(path) / (bars + len(tail) * len(names)), "bytes/bar", 25, at_most=True
        ),
        "in_a_day_s": reads(path, T0, seconds, names),
    }
    keeper.close()
    store.close()
    return report


def _bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in partition_dir(path).iterdir())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--markets", type=int, default=20)
    options = parser.parse_args()
    names = tuple(f"BINANCE:coin{i:02d}usdt" for i in range(options.markets))
    with tempfile.TemporaryDirectory() as directory:
        report = measure(Path(directory) / "store.sqlite", int(options.hours * 3600), names)
    print(json.dumps({"machine": machine(), **report}))


if __name__ == "__main__":
    main()
