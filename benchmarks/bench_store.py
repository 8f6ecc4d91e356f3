"""What the embedded store does a second: bulk append, roll-over, a day's read, the poll of the newest record.

Run it by hand: ``python benchmarks/bench_store.py [--hours 24] [--markets 20]``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np

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


def reads(reader: EmbeddedBarStore, start: int, seconds: int, names: tuple[str, ...]) -> None:
    """Views of all and of part of the store; the best of two."""
    stop = start + seconds
    views: dict[str, Callable[[], int]] = {
        "bars, all": lambda: len(reader.bars(start, stop)),
        "bars, newest 4 h": lambda: len(reader.bars(stop - 14_400, stop)),
        "bars, newest 5 s": lambda: len(reader.bars(stop - 5, stop)),
        "bars, one market": lambda: len(reader.bars(start, stop, names[:1])),
        "bars, one market, an hour at noon": lambda: len(
            reader.bars(stop - 43_200, stop - 39_600, names[:1])
        ),
        "coverage, seconds": lambda: sum(i.stop - i.start for i in reader.coverage(start, stop, names[:1])),
        "records, streamed": lambda: sum(1 for _ in reader.records(start, stop)),
    }
    for what, view in views.items():
        took = []
        for _ in range(2):
            started = time.perf_counter()
            count = view()
            took.append(time.perf_counter() - started)
        print(f"{what + f', {count:,}':<40} {min(took):8.3f} s {count / min(took):14,.0f} /s")


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
        print("-- all in SQLite")
        reader = EmbeddedBarStore(path, readonly=True)
        reads(reader, T0, seconds, names)
        print("-- all but the newest 75 minutes in partitions")
        keeper = StoreKeeper(path)
        started = time.perf_counter()
        rolled = keeper.roll_over(T0 + seconds - 4500)
        timed(f"roll-over into {rolled.partitions} partitions", rolled.bars, started)
        size = sum(file.stat().st_size for file in partition_dir(path).iterdir())
        print(f"{'bytes a bar in partitions':<40} {size / rolled.bars:8.1f}")
        reads(reader, T0, seconds, names)
        polls = poll_times_ms(path, store, tail)
        print(f"{'poll of the newest record, ms p50 p99':<40} {_percentiles(polls)}")
        print("-- the day made one partition, everything in it")
        started = time.perf_counter()
        rolled = keeper.roll_over(T0 + max(seconds, 86_400) + 86_400)
        timed(f"compaction into {rolled.partitions} partitions", rolled.bars, started)
        size = sum(file.stat().st_size for file in partition_dir(path).iterdir())
        print(f"{'bytes a bar in partitions':<40} {size / rolled.bars:8.1f}")
        reads(reader, T0, seconds, names)
        keeper.close()
        store.close()
        reader.close()


if __name__ == "__main__":
    main()
