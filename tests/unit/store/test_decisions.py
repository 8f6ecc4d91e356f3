"""The decision log: what was decided stays, readable while the bot writes."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from squeezeflow_plugin.errors import StoreConflictError, StoreCorruptError, StoreError
from squeezeflow_plugin.store.decisions import DecisionLog, LoggedDecision, TradeEvent

COLUMNS = ("context", "score", "entry")


def decision(pair: str, second: int, score: float = 4.5, veto: str = "") -> LoggedDecision:
    return LoggedDecision(
        pair=pair,
        second=second,
        known=second,
        decided_ns=(second + 1) * 10**9 + 450_000_000,
        latency_ms=450.0,
        numbers=(0.5, score, 1.0),
        veto=veto,
    )


def event(kind: str = "entry_fill", at_ns: int = 5_100, price: float = 60_000.5) -> TradeEvent:
    return TradeEvent(kind, "BTC/USDT", 1, 100, 1, "sf:B|e=100", 100, at_ns, price, 50.0)


def named(row: LoggedDecision) -> LoggedDecision:
    return LoggedDecision(
        row.pair, row.second, row.known, row.decided_ns, row.latency_ms, row.numbers, row.veto, COLUMNS, "f1"
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "decisions.sqlite"


@pytest.fixture
def log(path: Path) -> Iterator[DecisionLog]:
    log = DecisionLog(path, COLUMNS, "f1")
    yield log
    log.close()


def test_reads_back_what_was_written_in_order(log: DecisionLog) -> None:
    rows = [decision(pair, second) for second in (101, 100) for pair in ("ETH/USDT", "BTC/USDT")]
    log.append(rows[:2])
    log.append(rows[2:])
    assert list(log.read(100, 102)) == [named(row) for row in reversed(rows)]
    assert list(log.read(100, 101, ["ETH/USDT"])) == [named(rows[2])]
    assert log.newest() == (named(rows[1]), named(rows[0]))
    assert log.last_second("BTC/USDT") == 101
    assert log.last_second("LTC/USDT") is None


def test_a_column_is_read_by_name(log: DecisionLog) -> None:
    log.append([decision("BTC/USDT", 100, score=math.nan)])
    (row,) = log.newest()
    assert row.value("context") == 0.5
    assert math.isnan(row.value("score"))
    with pytest.raises(KeyError, match="'oi' was not logged"):
        row.value("oi")


def test_the_same_again_is_a_no_op_and_another_is_refused_whole(log: DecisionLog) -> None:
    first = decision("BTC/USDT", 100, score=math.nan)
    log.append([first])
    log.append([first])
    with pytest.raises(StoreConflictError, match="BTC/USDT at 100"):
        log.append([decision("ETH/USDT", 100), decision("BTC/USDT", 100, score=5.0)])
    with pytest.raises(StoreConflictError):
        log.append([decision("BTC/USDT", 100, score=math.nan, veto="hole_spot_5m")])
    assert [row.pair for row in log.read(0, 200)] == ["BTC/USDT"]


def test_events_are_kept_once(log: DecisionLog) -> None:
    log.append([], [event(), event("exit_fill", 7_000)])
    log.append([], [event()])
    assert log.events() == (event(), event("exit_fill", 7_000))
    assert log.events(start_ns=6_000) == (event("exit_fill", 7_000),)
    with pytest.raises(StoreConflictError, match="entry_fill of trade 1"):
        log.append([decision("BTC/USDT", 101)], [event(price=1.0)])
    assert list(log.read(0, 200)) == []


def test_pages_join_without_a_seam(log: DecisionLog) -> None:
    seconds = range(1000, 1000 + 2100)
    log.append([decision(pair, second) for second in seconds for pair in ("A/X", "B/X", "C/X")])
    read = [(row.second, row.pair) for row in log.read(0, 10_000)]
    assert read == [(second, pair) for second in seconds for pair in ("A/X", "B/X", "C/X")]


def test_rows_keep_the_engine_that_made_them(log: DecisionLog, path: Path) -> None:
    log.append([decision("BTC/USDT", 100)])
    newer = DecisionLog(path, ("score",), "f2")
    newer.append([LoggedDecision("BTC/USDT", 101, 101, 0, 1.0, (3.0,))])
    newer.close()
    old, new = log.read(0, 200)
    assert (old.fingerprint, old.columns) == ("f1", COLUMNS)
    assert (new.fingerprint, new.columns, new.numbers) == ("f2", ("score",), (3.0,))


def test_a_reader_sees_a_log_that_is_made_later(path: Path) -> None:
    reader = DecisionLog(path, readonly=True)
    assert (reader.newest(), list(reader.read(0, 200)), reader.events(), reader.last_second("A/X")) == (
        (),
        [],
        (),
        None,
    )
    writer = DecisionLog(path, COLUMNS, "f1")
    assert reader.newest() == ()
    writer.append([decision("BTC/USDT", 100)], [event()])
    assert [row.second for row in reader.newest()] == [100]
    assert reader.events() == (event(),)
    with pytest.raises(StoreError, match="not open for writing"):
        reader.append([decision("BTC/USDT", 101)])
    reader.close()
    writer.close()


def test_a_wrong_number_of_values_is_named(log: DecisionLog) -> None:
    with pytest.raises(StoreError, match="2 numbers for 3 columns"):
        log.append([LoggedDecision("BTC/USDT", 100, 100, 0, 0.0, (1.0, 2.0))])
    assert log.newest() == ()


@pytest.mark.parametrize("readonly", [True, False])
def test_a_foreign_file_is_left_as_it_is(path: Path, readonly: bool) -> None:
    path.parent.mkdir()
    foreign = sqlite3.connect(path)
    foreign.execute("CREATE TABLE theirs (x)")
    foreign.close()
    before = path.read_bytes()
    with pytest.raises(StoreCorruptError, match="is not a decision log"):
        DecisionLog(path, COLUMNS, readonly=readonly).newest()
    assert path.read_bytes() == before


def test_a_damaged_row_is_named(log: DecisionLog, path: Path) -> None:
    log.append([decision("BTC/USDT", 100)])
    raw = sqlite3.connect(path)
    raw.execute("UPDATE decisions SET numbers = x'00'")
    raw.commit()
    raw.close()
    with pytest.raises(StoreCorruptError, match="BTC/USDT at 100 holds 1 bytes"):
        list(log.read(0, 200))


def test_old_decisions_are_forgotten_and_trades_are_not(path: Path) -> None:
    log = DecisionLog(path, COLUMNS, "f1", keep_s=50)
    log.append((), [event(at_ns=100 * 10**9)])
    for second in range(100, 400):
        log.append([decision(pair, second) for pair in ("BTC/USDT", "ETH/USDT")])
    kept = [row.second for row in log.read(0, 1000, ["BTC/USDT"])]
    assert kept == list(range(349, 400))  # the newest and the fifty before it
    assert [row.second for row in log.newest()] == [399, 399]
    assert log.events() == (event(at_ns=100 * 10**9),)
    log.close()


def test_a_log_that_keeps_less_than_it_did_shrinks_a_little_at_a_time(path: Path) -> None:
    long = DecisionLog(path, COLUMNS, "f1")
    long.append(decision("BTC/USDT", second) for second in range(100, 400))
    long.close()
    short = DecisionLog(path, COLUMNS, "f1", keep_s=50)
    left = []
    for second in range(400, 440):
        short.append([decision("BTC/USDT", second)])
        left.append(len(list(short.read(0, second))))
    assert left[:2] == [290, 281]
    assert left[-1] == 50
    short.close()


def test_what_is_refused_forgets_nothing(path: Path) -> None:
    log = DecisionLog(path, COLUMNS, "f1")
    log.append([decision("BTC/USDT", 100), decision("BTC/USDT", 900, score=1.0)])
    log.close()
    log = DecisionLog(path, COLUMNS, "f1", keep_s=50)
    with pytest.raises(StoreConflictError):
        log.append([decision("BTC/USDT", 900, score=2.0)])
    assert [row.second for row in log.read(0, 1000)] == [100, 900]
    log.close()


def test_the_file_stays_bounded(path: Path) -> None:
    """Pages of what was forgotten are written again."""
    log = DecisionLog(path, COLUMNS, "f1", keep_s=500)
    sizes = []
    for start in range(0, 5000, 500):
        log.append(decision("BTC/USDT", second) for second in range(start, start + 500))
        for second in range(start + 500, start + 560):
            log.append([decision("ETH/USDT", second)])
        with sqlite3.connect(path) as connection:
            sizes.append(connection.execute("PRAGMA page_count").fetchone()[0])
        connection.close()
    log.close()
    assert max(sizes[4:]) == sizes[3]
