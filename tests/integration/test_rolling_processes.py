"""Roll-over between real processes: a reader beside it sees every record, a kill at any step loses none.

This file run as a program is the writer: ``write PATH FIRST COUNT`` appends a record a turn, says each second
it was promised and rolls in a thread of its own; ``crash PATH N`` rolls once and dies at its N-th step on the
file system.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from squeezeflow_plugin.market import Bar, ClosingRecord, Interval
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.store.layout import partition_dir
from squeezeflow_plugin.store.rolling import Periods, StoreKeeper

T0 = 1_723_161_600
MARKETS = tuple(f"BINANCE:coin{i:02d}usdt" for i in range(8))
PERIODS = Periods(block_s=20, day_s=100)


def make_record(second: int) -> ClosingRecord:
    """The record that every reader can foretell."""
    volume = float(second % 1000) + 0.1
    bars = tuple(Bar(m, second, 1.5, 2.0, 1.0, 1.25, volume, 0.0, 1, 0, 0.0, 0.0) for m in MARKETS)
    late = Bar(MARKETS[0], second - 10, 1.0, 1.0, 1.0, 1.0, volume, 1.0, 1, 1, 0.0, 0.0, 1)
    repaired = (Interval(MARKETS[0], second - 5, second),) if second % 7 == 0 else ()
    return ClosingRecord("main", second, second * 10**9, bars, (late,), MARKETS[second % 2 :], (), repaired)


def write(path: Path, first: int, count: int) -> None:
    store = EmbeddedBarStore(path)
    done = threading.Event()

    def roll() -> None:
        keeper = StoreKeeper(path, PERIODS)
        reader = EmbeddedBarStore(path, readonly=True)
        while not done.is_set():
            last = reader.last_second("main")
            if last is not None:
                keeper.roll_over(last - 15)
        reader.close()
        keeper.close()

    thread = threading.Thread(target=roll)
    thread.start()
    for second in range(first, first + count):
        store.append([make_record(second)])
        sys.stdout.write(f"{second}\n")
        sys.stdout.flush()
    done.set()
    thread.join()
    store.close()


def crash(path: Path, step: int) -> None:
    """Roll over and say how many steps it took, or die at the given one."""
    done = 0

    def count(event: str, _: object) -> None:
        nonlocal done
        if event in {"open", "os.rename", "os.remove"}:
            done += 1
            if done == step:
                os._exit(9)

    keeper = StoreKeeper(path, PERIODS, pause=lambda: count("open", None))
    sys.addaudithook(count)
    keeper.roll_over(T0 + 250)
    sys.stdout.write(f"{done}\n")


@contextmanager
def started(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """This file as a program; killed where the test is done with it."""
    program = [sys.executable, __file__, *map(str, arguments)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def reader(path: Path) -> Iterator[EmbeddedBarStore]:
    store = EmbeddedBarStore(path, readonly=True)
    yield store
    store.close()


def assert_whole(path: Path, first: int, stop: int) -> None:
    """Records, bars and coverage are what was written, to the bit and each once."""
    store = EmbeddedBarStore(path, readonly=True)
    assert list(store.records(0, 2**40)) == [make_record(second) for second in range(first, stop)]
    columns = store.bars(first, stop)
    # Every second but the newest ten has the revision of its first market.
    assert len(columns) == (stop - first) * len(MARKETS)
    revised = columns.revision[columns.market == 0]
    assert revised.tolist() == [1] * (stop - first - 10) + [0] * 10
    assert sum(i.stop - i.start for i in store.coverage(first, stop, MARKETS[1:2])) == stop - first
    assert store.span() == (first, stop)
    store.close()


def assert_tidy(path: Path) -> None:
    """The directory holds the listed partitions and nothing else."""
    connection = sqlite3.connect(path)
    listed = {name for (name,) in connection.execute("SELECT name FROM partitions")}
    connection.close()
    files = {file.name for file in partition_dir(path).iterdir()} - {".lock"}
    assert files == {f"{name}.{kind}.parquet" for name in listed for kind in ("bars", "closings")}


def test_a_reader_beside_writer_and_roll_over_sees_whole_records_in_order(
    path: Path, reader: EmbeddedBarStore
) -> None:
    count = 900
    truth = [make_record(second) for second in range(T0, T0 + count)]
    with started("write", path, T0, count) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            promised = int(line) - T0 + 1
            if promised % 5 == 0 or promised > count - 20:
                # All of it every time: what is being rolled is never missing for a moment nor there twice.
                found = list(reader.records(T0, T0 + count))
                assert len(found) >= promised
                assert found == truth[: len(found)]
                assert len(reader.bars(T0, T0 + promised)) == promised * len(MARKETS)
        assert writer.wait(30) == 0
    assert_whole(path, T0, T0 + count)
    assert len(list(partition_dir(path).iterdir())) > 2


def test_a_writer_killed_while_it_rolls_loses_nothing_it_promised(path: Path) -> None:
    rng = random.Random(20240808)
    next_second = T0
    for _ in range(8):
        lines = rng.randint(20, 260)
        with started("write", path, next_second, 100_000) as writer:
            assert writer.stdout is not None
            promised = [int(writer.stdout.readline()) for _ in range(lines)]
            writer.kill()
            promised += [int(line) for line in writer.stdout if line.endswith("\n")]
        reader = EmbeddedBarStore(path, readonly=True)
        last = reader.last_second("main")
        reader.close()
        assert last in (promised[-1], promised[-1] + 1)  # one may be committed and not yet promised
        assert last is not None
        next_second = last + 1
        assert_whole(path, T0, next_second)
    keeper = StoreKeeper(path, PERIODS)
    keeper.roll_over(next_second)
    keeper.close()
    assert_whole(path, T0, next_second)
    assert_tidy(path)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_a_kill_at_any_step_of_the_roll_over_changes_nothing_that_is_read(tmp_path: Path) -> None:
    whole = tmp_path / "whole.sqlite"
    store = EmbeddedBarStore(whole)
    store.append(make_record(second) for second in range(T0, T0 + 230))
    keeper = StoreKeeper(whole, PERIODS)
    keeper.roll_over(T0 + 90)  # four blocks, of which the killed one makes a day
    keeper.close()
    store.close()
    steps = random.Random(20240808).sample(range(1, last_step(whole, tmp_path) + 1), 12)
    for step in steps:
        path = copied(whole, tmp_path / f"{step}.sqlite")
        with started("crash", path, step) as process:
            assert process.wait(60) == 9
        assert_whole(path, T0, T0 + 230)
        keeper = StoreKeeper(path, PERIODS)
        keeper.roll_over(T0 + 250)
        keeper.close()
        assert_whole(path, T0, T0 + 230)
        assert_tidy(path)


def last_step(whole: Path, tmp_path: Path) -> int:
    with started("crash", copied(whole, tmp_path / "uncut.sqlite"), 0) as process:
        assert process.stdout is not None
        return int(process.stdout.readline())


def copied(whole: Path, path: Path) -> Path:
    shutil.copy(whole, path)
    shutil.copytree(partition_dir(whole), partition_dir(path))
    return path


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        crash(Path(sys.argv[2]), int(sys.argv[3]))
