"""The keeper: what it moves, what it leaves, what it drops and what it refuses."""

from __future__ import annotations

import fcntl
import math
import resource
import signal
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from squeezeflow_plugin.errors import StoreConflictError, StoreCorruptError, StoreError
from squeezeflow_plugin.market import Bar, ClosingRecord, DerivativeTicker, Interval
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.store.layout import partition_dir
from squeezeflow_plugin.store.rolling import Periods, Rolled, StoreKeeper

T0 = 1_723_161_600
MARKET = "BINANCE:btcusdt"
NAMED = r"its partition|\.parquet"


def record(second: int, collector: str = "main", **more: object) -> ClosingRecord:
    bar = Bar(MARKET, second, 1.0, 2.0, 0.5, 1.5, 10.0, 20.0, 1, 2, 0.0, 0.0)
    return ClosingRecord(collector, second, second * 10**9, (bar,), covered=(MARKET,), **more)  # type: ignore[arg-type]  # free-form test fields


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[EmbeddedBarStore]:
    store = EmbeddedBarStore(path)
    yield store
    store.close()


@pytest.fixture
def keeper(path: Path, store: EmbeddedBarStore) -> Iterator[StoreKeeper]:
    keeper = StoreKeeper(path, Periods(block_s=10, day_s=40))
    yield keeper
    keeper.close()


def hot(path: Path) -> list[int]:
    return [row[0] >> 10 for row in query(path, "SELECT position FROM closings ORDER BY 1")]


def listed(path: Path) -> list[tuple[int, int]]:
    return [(start - T0, stop - T0) for start, stop in query(path, "SELECT start, stop FROM partitions")]


def query(path: Path, sql: str) -> list[tuple[int, ...]]:
    connection = sqlite3.connect(path)
    with connection:
        rows = connection.execute(sql).fetchall()
    connection.close()
    return rows


def files(path: Path) -> set[str]:
    return {file.name for file in partition_dir(path).iterdir()} - {".lock"}


def test_ended_blocks_move_and_ended_days_become_one(
    path: Path, store: EmbeddedBarStore, keeper: StoreKeeper
) -> None:
    written = [record(second) for second in range(T0, T0 + 65)]
    store.append(written)
    assert keeper.roll_over(T0 + 29) == Rolled(2, 20, 20)
    assert listed(path) == [(0, 10), (10, 20)]
    assert hot(path) == list(range(T0 + 20, T0 + 65))
    assert keeper.roll_over(T0 + 60) == Rolled(3, 60, 60)
    assert listed(path) == [(0, 40), (40, 50), (50, 60)]
    assert len(files(path)) == 6
    assert keeper.roll_over(T0 + 60) == Rolled()
    assert list(store.records(0, 2**40)) == written


def test_a_late_record_joins_its_period_at_the_next_turn(
    path: Path, store: EmbeddedBarStore, keeper: StoreKeeper
) -> None:
    store.append(record(second) for second in range(T0, T0 + 20))
    keeper.roll_over(T0 + 20)
    store.append([record(T0 + 4, "late"), record(T0 + 4)])
    assert hot(path) == [T0 + 4]
    assert [each.collector for each in store.records(T0 + 4, T0 + 5)] == ["late", "main"]
    assert keeper.roll_over(T0 + 20) == Rolled(1, 11, 11)
    assert hot(path) == []
    assert listed(path) == [(0, 10), (10, 20)]
    assert [each.collector for each in store.records(T0 + 4, T0 + 5)] == ["late", "main"]
    with pytest.raises(StoreConflictError, match=f"'late' has closed second {T0 + 4}"):
        store.append([ClosingRecord("late", T0 + 4, 0)])
    store.append([record(T0 + 4, "late")])
    assert hot(path) == []


def test_bits_and_order_survive(path: Path, store: EmbeddedBarStore, keeper: StoreKeeper) -> None:
    odd_nan = struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_0000_0ABC))[0]
    bars = tuple(
        Bar(f"B:{name}", T0, price, price, -0.0, math.nan, 1e-300, 1e300, 2**32 - 1, 0, 0.1 + 0.2, -0.0)
        for name, price in (("z", odd_nan), ("a", 60_000.1), ("k", 5e-324), ("b", math.nan))
    )
    empty = ClosingRecord(
        "main", T0 + 1, -5, uncovered=("B:z", "B:a"), repaired=(Interval("B:z", T0, T0 + 2),)
    )
    store.append([ClosingRecord("main", T0, 2**62, bars, covered=("B:k", "B:a")), empty])
    before = [struct.pack("<8d", *fields(bar)) for each in store.records(T0, T0 + 9) for bar in each.bars]
    keeper.roll_over(T0 + 40)
    assert hot(path) == []
    first, second = store.records(T0, T0 + 9)
    assert second == empty
    assert [struct.pack("<8d", *fields(bar)) for bar in first.bars] == before
    assert [bar.market for bar in first.bars] == ["B:z", "B:a", "B:k", "B:b"]
    assert (first.closed_ns, first.covered) == (2**62, ("B:k", "B:a"))


def fields(bar: Bar) -> tuple[float, ...]:
    return bar.open, bar.high, bar.low, bar.close, bar.vbuy, bar.vsell, bar.lbuy, bar.lsell


def test_a_repair_of_long_ago_is_found_from_its_own_partition(
    store: EmbeddedBarStore, keeper: StoreKeeper
) -> None:
    store.append(
        [
            ClosingRecord("main", T0, 0),
            ClosingRecord("main", T0 + 500, 0, repaired=(Interval(MARKET, T0, T0 + 3),)),
        ]
    )
    keeper.roll_over(T0 + 600)
    assert store.coverage(T0, T0 + 2) == (Interval(MARKET, T0, T0 + 2),)
    assert store.coverage(T0, T0 + 2, known_at=T0 + 499) == ()


def test_retention_drops_what_is_older_and_nothing_else(
    path: Path, store: EmbeddedBarStore, keeper: StoreKeeper
) -> None:
    store.append(record(second) for second in range(T0, T0 + 100))
    store.append([record(T0 + 41, "import"), record(T0 - 1000, "gone")])
    keeper.roll_over(T0 + 80)
    store.append([record(T0 + 3, "hot")])
    assert keeper.retain(T0 + 39) == 1
    assert keeper.retain(T0 + 79, spared=lambda name: name == "import") == 1
    assert [each.second - T0 for each in store.records(0, 2**40)] == [3, *range(40, 42), *range(41, 100)]
    assert len(files(path)) == 2
    assert store.span() == (T0 + 3, T0 + 100)
    assert store.last_second("gone") == T0 - 1000
    assert keeper.retain(T0 + 500) == 1
    assert store.span() == (T0 + 3, T0 + 100)
    assert files(path) == set()
    store.append([record(T0 + 100), record(T0 + 50)])
    assert store.span() == (T0 + 3, T0 + 101)


def test_a_store_that_lost_all_has_no_span(store: EmbeddedBarStore, keeper: StoreKeeper) -> None:
    store.append([record(T0)])
    keeper.roll_over(T0 + 40)
    assert keeper.retain(T0 + 40) == 1
    assert store.span() is None
    assert store.collectors() == ("main",)
    assert len(store.bars(0, 2**40)) == 0
    assert store.coverage(0, 2**40) == ()


def test_a_second_keeper_leaves_the_first_alone(
    path: Path, store: EmbeddedBarStore, keeper: StoreKeeper
) -> None:
    store.append([record(T0)])
    partition_dir(path).mkdir()
    with (partition_dir(path) / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert keeper.roll_over(T0 + 40) == Rolled()
        assert keeper.retain(T0 + 40) == 0
    assert keeper.roll_over(T0 + 40).records == 1


@pytest.mark.parametrize("kind", ["bars", "closings"])
@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "foreign"])
def test_a_damaged_partition_is_named_and_left(
    path: Path, store: EmbeddedBarStore, keeper: StoreKeeper, kind: str, damage: str
) -> None:
    store.append(record(second) for second in range(T0, T0 + 40))
    keeper.roll_over(T0 + 40)
    [file] = partition_dir(path).glob(f"*.{kind}.parquet")
    whole = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    elif damage == "foreign":
        [other] = set(partition_dir(path).glob("*.parquet")) - {file}
        file.write_bytes(other.read_bytes())
    else:
        whole[200] ^= 0xFF
        file.write_bytes(bytes(whole if damage == "flip" else whole[:-100]))
    reader = EmbeddedBarStore(path, readonly=True)
    with pytest.raises(StoreCorruptError, match=NAMED):
        list(reader.records(T0, T0 + 40))
    with pytest.raises(StoreCorruptError, match=NAMED):
        _ = reader.bars(T0, T0 + 40) if kind == "bars" else reader.coverage(T0, T0 + 40)
    reader.close()
    store.append([record(T0 + 1, "late")])
    fresh = StoreKeeper(path, Periods(block_s=10, day_s=40))
    with pytest.raises(StoreCorruptError, match=NAMED):
        fresh.roll_over(T0 + 40)
    fresh.close()
    assert hot(path) == [T0 + 1]


def test_a_damaged_partition_keeps_no_other_period_from_being_rolled(
    path: Path, store: EmbeddedBarStore, keeper: StoreKeeper
) -> None:
    store.append(record(second) for second in range(T0, T0 + 20))
    keeper.roll_over(T0 + 10)
    [file] = partition_dir(path).glob("*.bars.parquet")
    file.write_bytes(b"")
    store.append(record(second) for second in range(T0 + 20, T0 + 100))
    with pytest.raises(StoreCorruptError, match=NAMED):
        keeper.roll_over(T0 + 100)
    assert listed(path) == [(0, 10), (40, 80), (80, 90), (90, 100)]
    assert hot(path) == list(range(T0 + 10, T0 + 40))


def test_a_damaged_row_is_not_rolled(path: Path, store: EmbeddedBarStore, keeper: StoreKeeper) -> None:
    store.append([record(T0)])
    query(path, "UPDATE bars SET packed = zeroblob(length(packed))")
    with pytest.raises(StoreCorruptError, match=f"record {T0} fail their checksum"):
        keeper.roll_over(T0 + 40)
    assert files(path) == set()
    assert hot(path) == [T0]


def test_a_pause_that_gives_up_leaves_the_store_whole(path: Path, store: EmbeddedBarStore) -> None:
    def give_up() -> None:
        raise StoreError("stop")

    store.append(record(second) for second in range(T0, T0 + 40))
    keeper = StoreKeeper(path, Periods(block_s=10, day_s=40), pause=give_up)
    with pytest.raises(StoreError, match="stop"):
        keeper.roll_over(T0 + 40)
    keeper.close()
    assert files(path) == set()
    assert len(list(store.records(T0, T0 + 40))) == 40


@pytest.mark.parametrize("allowed_bytes", [0, 100, 1_000, 10_000])
def test_a_disk_that_refuses_at_any_byte_is_a_store_error_and_leaves_nothing_behind(
    path: Path, store: EmbeddedBarStore, keeper: StoreKeeper, allowed_bytes: int
) -> None:
    store.append(record(second) for second in range(T0, T0 + 40))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (allowed_bytes, limits[1]))
        with pytest.raises(StoreError):
            keeper.roll_over(T0 + 40)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert hot(path) == list(range(T0, T0 + 40))
    assert keeper.roll_over(T0 + 40) == Rolled(1, 40, 40)
    assert len(files(path)) == 2


def test_partitions_outlive_the_loss_of_the_file_that_lists_them(
    path: Path, store: EmbeddedBarStore, keeper: StoreKeeper
) -> None:
    store.append(record(second) for second in range(T0, T0 + 40))
    keeper.roll_over(T0 + 40)
    kept = files(path)
    keeper.close()
    store.close()
    path.unlink()
    with closing(EmbeddedBarStore(path)) as fresh:
        fresh.append(record(second) for second in range(T0 + 40, T0 + 90))
        again = StoreKeeper(path, Periods(block_s=10, day_s=40))
        again.roll_over(T0 + 80)
        again.roll_over(T0 + 90)
        again.close()
    assert kept < files(path)
    assert len(files(path)) == 6


def test_what_a_kill_left_is_removed_once_its_period_is_rolled(
    path: Path, store: EmbeddedBarStore, keeper: StoreKeeper
) -> None:
    store.append(record(second) for second in range(T0, T0 + 40))
    partition_dir(path).mkdir()
    for name in (f"{T0}-{T0 + 10}-left.bars.parquet", f"{T0 + 10}-{T0 + 20}-left.closings.parquet.tmp"):
        (partition_dir(path) / name).touch()
    keeper.roll_over(T0)
    assert len(files(path)) == 1
    keeper.roll_over(T0 + 40)
    assert len(files(path)) == 2


def test_what_a_kill_left_and_cannot_be_removed_is_a_store_error(
    path: Path, store: EmbeddedBarStore, keeper: StoreKeeper
) -> None:
    (partition_dir(path) / f"{T0}-{T0 + 10}-left.bars.parquet.tmp").mkdir(parents=True)
    with pytest.raises(StoreError, match="cannot be written"):
        keeper.roll_over(T0)


def test_a_directory_that_cannot_be_made_is_named(
    path: Path, store: EmbeddedBarStore, keeper: StoreKeeper
) -> None:
    partition_dir(path).touch()
    with pytest.raises(StoreError, match="cannot be used"):
        keeper.roll_over(T0)


@pytest.mark.parametrize(
    ("version", "later"), [(1, ("tickers", "partitions", "rolled_repairs")), (2, ("tickers",))]
)
def test_an_older_store_is_brought_up_to_date_by_its_writer(
    path: Path, store: EmbeddedBarStore, version: int, later: tuple[str, ...]
) -> None:
    store.append([record(T0)])
    store.close()
    for statement in (*(f"DROP TABLE {table}" for table in later), f"PRAGMA user_version={version}"):
        query(path, statement)
    with pytest.raises(StoreCorruptError, match=f"schema version {version}"):
        EmbeddedBarStore(path, readonly=True).span()
    again = EmbeddedBarStore(path)
    assert list(again.records(T0, T0 + 1)) == [record(T0)]
    again.close()


def test_tickers_stay_with_their_records_and_go_with_their_period(
    path: Path, store: EmbeddedBarStore, keeper: StoreKeeper
) -> None:
    tickers = {
        s: (DerivativeTicker(MARKET, s * 10**9, 1.0, float(s), 0.0001),) for s in (T0, T0 + 30, T0 + 90)
    }
    records = [record(T0 + i, tickers=tickers.get(T0 + i, ())) for i in range(100)]
    store.append(records)
    keeper.roll_over(T0 + 100)
    assert hot(path) == []
    assert list(store.records(T0, T0 + 100)) == records
    store.append(records)  # known, tickers included
    assert [second for second, _ in store.tickers(0, 2**40)] == [T0, T0 + 30, T0 + 90]
    keeper.retain(T0 + 40)
    assert [second for second, _ in store.tickers(0, 2**40)] == [T0 + 90]
    assert query(path, "SELECT COUNT(*) FROM tickers") == [(1,)]
