"""The embedded store between real processes: a reader beside the writer, and a writer that is killed.

The writer is this file run as a program with PATH FIRST_SECOND COUNT: it appends
a record a turn and says each second it was promised.
"""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from pathlib import Path

from squeezeflow_plugin.market import Bar, ClosingRecord
from squeezeflow_plugin.store.embedded import EmbeddedBarStore

T0 = 1_723_161_600
MARKETS = tuple(f"BINANCE:coin{i:02d}usdt" for i in range(20))


def make_record(second: int) -> ClosingRecord:
    """The record that every reader can foretell: volume s % 1000, a revision of ten seconds ago."""
    volume = float(second % 1000)
    bars = tuple(Bar(m, second, 1.0, 1.0, 1.0, 1.0, volume, 0.0, 1, 0, 0.0, 0.0) for m in MARKETS)
    late = Bar(MARKETS[0], second - 10, 1.0, 1.0, 1.0, 1.0, volume, 1.0, 1, 1, 0.0, 0.0, 1)
    return ClosingRecord("main", second, second * 10**9, bars, (late,), MARKETS[second % 2 :])


def write(path: Path, first: int, count: int) -> None:
    store = EmbeddedBarStore(path)
    for second in range(first, first + count):
        store.append([make_record(second)])
        sys.stdout.write(f"{second}\n")
        sys.stdout.flush()
    store.close()


def start_writer(path: Path, first: int, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, __file__, str(path), str(first), str(count)], stdout=subprocess.PIPE, text=True
    )


def test_a_reader_beside_the_writer_sees_whole_records_in_order(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    reader = EmbeddedBarStore(path, readonly=True)
    count = 1500
    seen = T0
    with start_writer(path, T0, count) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            promised = int(line)
            # What was promised is there, and whatever is there is whole and without gaps.
            found = list(reader.records(seen, T0 + count))
            assert found == [make_record(second) for second in range(seen, seen + len(found))]
            seen += len(found)
            assert seen > promised
            assert len(reader.bars(promised, promised + 1)) == len(MARKETS)
        assert writer.wait(30) == 0
    assert seen == T0 + count
    reader.close()


def test_a_killed_writer_loses_nothing_it_promised(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    rng = random.Random(20240808)
    next_second = T0
    for _ in range(6):
        lines = rng.randint(1, 250)
        with start_writer(path, next_second, 100_000) as writer:
            assert writer.stdout is not None
            promised = [int(writer.stdout.readline()) for _ in range(lines)]
            writer.kill()
            promised += [int(line) for line in writer.stdout if line.endswith("\n")]
        reader = EmbeddedBarStore(path, readonly=True)
        last = reader.last_second("main")
        assert last is not None
        assert last in (promised[-1], promised[-1] + 1)  # one may be committed and not yet promised
        assert list(reader.records(T0, last + 2)) == [make_record(s) for s in range(T0, last + 1)]
        reader.close()
        next_second = last + 1
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
