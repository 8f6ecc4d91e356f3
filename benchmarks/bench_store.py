"""What the embedded store does a second: bulk append, a day's read, the poll of the newest record.

Run it by hand: ``python benchmarks/bench_store.py [--hours 24] [--markets 20]``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from squeezeflow_plugin.market import Bar, ClosingRecord
from squeezeflow_plugin.store.embedded import EmbeddedBarStore

T0 = 1_723_161_600


def make_records(seconds: int, names: tuple[str, ...]) -> list[ClosingRecord]:
    """A random walk with every second of every market filled (the worst case) and a revision each minute."""
    rng = np.random.default_rng(7)
    price = 60_000 * np.exp(np.cumsum(rng.normal(0, 1e-5, seconds)))
    volumes = rng.lognormal(8, 2, (seconds, 2))
    records = []
    for i in range(seconds):
        second, p = T0 + i, float(price[i])
        vbuy, vsell = (float(volume) for volume in volumes[i])
        bars = tuple(Bar(name, second, p, p, p, p, vbuy, vsell, 5, 7, 0.0, 0.0) for name in names)
        late = Bar(names[0], second - 20, p, p, p, p, vbuy, vsell, 6, 7, 0.0, 0.0, 1)
        revisions = (late,) if i % 60 == 30 else ()
        records.append(ClosingRecord("main", second, second * 10**9 + 1_400_000_000, bars, revisions, names))
    return records


def timed(what: str, count: int, started: float) -> None:
    """One line: what, how long, how many a second."""
    took = time.perf_counter() - started
    print(f"{what:<40} {took:8.3f} s {count / took:14,.0f} /s")


def poll_times_ms(path: Path, writer: EmbeddedBarStore, tail: list[ClosingRecord]) -> np.ndarray:
    """Each record appended by the writer and fetched by a reader of its own; milliseconds of the fetch."""
    reader = EmbeddedBarStore(path, readonly=True)
    took, appended = [], []
    for record in tail:
        started = time.perf_counter()
        writer.append([record])
        appended.append(time.perf_counter() - started)
        started = time.perf_counter()
        found = list(reader.records(record.second, record.second + 1))
        took.append(time.perf_counter() - started)
        if found != [record]:
            raise SystemExit(f"record {record.second} did not read back")
    reader.close()
    print(f"{'append of one record, ms p50 p99':<40} {_percentiles(np.array(appended) * 1e3)}")
    return np.array(took) * 1e3


def _percentiles(values: np.ndarray) -> str:
    return f"{np.percentile(values, 50):8.3f} {np.percentile(values, 99):8.3f}"


def batches(records: list[ClosingRecord], size: int) -> Iterator[list[ClosingRecord]]:
    """The records in slices."""
    for at in range(0, len(records), size):
        yield records[at : at + size]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--markets", type=int, default=20)
    options = parser.parse_args()
    names = tuple(f"BINANCE:coin{i:02d}usdt" for i in range(options.markets))
    seconds = int(options.hours * 3600)
    records = make_records(seconds + 500, names)
    head, tail = records[:seconds], records[seconds:]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "store.sqlite"
        store = EmbeddedBarStore(path)
        bars = seconds * len(names)
        started = time.perf_counter()
        for batch in batches(head, 3600):
            store.append(batch)
        timed(f"append {bars:,} bars", bars, started)
        print(f"{'bytes a bar':<40} {path.stat().st_size / bars:8.1f}")
        reader = EmbeddedBarStore(path, readonly=True)
        for what, span in (("all", seconds), ("4 h", 14_400), ("5 s", 5)):
            for _ in range(2):
                started = time.perf_counter()
                count = len(reader.bars(T0 + seconds - span, T0 + seconds))
            timed(f"bars, {what}, {count:,} rows", count, started)
        started = time.perf_counter()
        reader.bars(T0, T0 + seconds, names[:1])
        timed("bars of one market, all seconds", seconds, started)
        started = time.perf_counter()
        reader.coverage(T0, T0 + seconds)
        timed("coverage, all seconds", seconds, started)
        polls = poll_times_ms(path, store, tail)
        print(f"{'poll of the newest record, ms p50 p99':<40} {_percentiles(polls)}")
        store.close()
        reader.close()


if __name__ == "__main__":
    main()
