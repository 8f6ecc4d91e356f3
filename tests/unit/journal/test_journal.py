"""What ``append`` returned for survives: a killed writer, a cut file, a changed byte, a full disk."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from squeezeflow_plugin.errors import JournalCorruptError, JournalError
from squeezeflow_plugin.journal.journal import TradeJournal
from squeezeflow_plugin.market import NS_PER_SECOND, Trade

START = 1_700_000_000


def batch(number: int, size: int = 4) -> list[Trade]:
    when = (START + number) * NS_PER_SECOND
    return [
        Trade("X:a", when + n, f"{number}-{n}", 10.0, 1.0, 10.0, 1, 1, False, when + n) for n in range(size)
    ]


def batches(numbers: range) -> list[Trade]:
    return [trade for number in numbers for trade in batch(number)]


def filled(directory: Path, numbers: range, **options: int) -> list[Trade]:
    with TradeJournal(directory, **options) as journal:
        for number in numbers:
            journal.append(batch(number))
    return batches(numbers)


def test_trades_come_back_as_they_went_in(tmp_path: Path) -> None:
    trades = filled(tmp_path, range(20))
    with TradeJournal(tmp_path) as journal:
        journal.append([])
        assert list(journal.replay(0)) == trades
        assert list(journal.replay(START + 15)) == trades[15 * 4 :]
        assert list(journal.replay(START + 20)) == []
        assert journal.damages == ()


def test_the_writer_can_read_while_it_writes(tmp_path: Path) -> None:
    with TradeJournal(tmp_path) as journal:
        journal.append(batch(0))
        assert list(journal.replay(0)) == batch(0)
        journal.append(batch(1))
        assert list(journal.replay(0)) == batch(0) + batch(1)


def test_segments_begin_with_time_size_and_start_and_are_pruned_by_receipt(tmp_path: Path) -> None:
    filled(tmp_path, range(10), segment_s=5)
    filled(tmp_path, range(10, 12), segment_bytes=10)
    with TradeJournal(tmp_path) as journal:
        assert len(journal.segments()) == 4
        journal.append(batch(12))
        assert journal.prune(START + 5) == 1
        assert journal.prune(START + 5) == 0
        assert list(journal.replay(0)) == batches(range(5, 13))
        # The segment in use stays, however old.
        assert journal.prune(START + 1000) == 3
        assert list(journal.replay(0)) == batch(12)


def test_a_trade_dated_far_ahead_keeps_no_segment_alive(tmp_path: Path) -> None:
    with TradeJournal(tmp_path) as journal:
        [trade, *_] = batch(0)
        ahead = Trade("X:a", trade.exchange_ns + 10**18, "9", 1.0, 1.0, 1.0, 1, 1, False, trade.received_ns)
        journal.append([ahead])
    with TradeJournal(tmp_path) as journal:
        assert journal.prune(START + 1) == 1


def test_segments_of_a_clock_that_was_ahead_go_with_those_that_came_after_them(tmp_path: Path) -> None:
    filled(tmp_path, range(1000, 1010), segment_s=5)
    with TradeJournal(tmp_path, segment_s=5) as journal:
        for number in range(16):
            journal.append(batch(number, 1))
        assert journal.prune(START) == 0  # this process's own trades are all to be kept
        assert journal.prune(START + 5) == 3
        assert list(journal.replay(0)) == [trade for n in range(5, 16) for trade in batch(n, 1)]


def numbers(trades: Iterator[Trade]) -> list[int]:
    return [each.second - START for each in trades]


def test_what_came_before_a_second_was_closed_is_told_from_what_came_after(tmp_path: Path) -> None:
    with TradeJournal(tmp_path, segment_bytes=400) as journal:
        for number in range(6):
            journal.append(batch(number, 1))
            journal.mark(START + number)
    with TradeJournal(tmp_path) as journal:
        assert list(journal.replay(0)) == [each for number in range(6) for each in batch(number, 1)]
        for closed in range(6):
            earlier, later = journal.split(START + 1, START + closed)
            assert numbers(earlier) == list(range(1, closed + 1))
            assert numbers(later) == list(range(max(closed + 1, 1), 6))
        assert journal.damages == ()


def test_the_last_time_that_a_second_was_closed_counts(tmp_path: Path) -> None:
    """A run that stored less than it closed is followed by one that closes the same seconds again."""
    with TradeJournal(tmp_path) as journal:
        journal.append(batch(0, 1))
        journal.mark(START)
        journal.append(batch(1, 1))
        journal.mark(START + 1)
        journal.append(batch(2, 1))
    with TradeJournal(tmp_path) as journal:
        journal.append(batch(3, 1))
        journal.mark(START + 1)
        journal.append(batch(4, 1))
        assert [numbers(part) for part in journal.split(0, START + 1)] == [[0, 1, 2, 3], [4]]
        assert [numbers(part) for part in journal.split(0, START)] == [[0], [1, 2, 3, 4]]


def test_a_missing_mark_leaves_more_to_what_came_after(tmp_path: Path) -> None:
    with TradeJournal(tmp_path) as journal:
        journal.append(batch(0, 1))
        assert [numbers(part) for part in journal.split(0, START)] == [[], [0]]
        journal.mark(START)
        journal.append(batch(1, 1))
        assert [numbers(part) for part in journal.split(0, START + 7)] == [[0], [1]]


def test_marks_alone_are_pruned_like_trades(tmp_path: Path) -> None:
    with TradeJournal(tmp_path) as journal:
        journal.mark(START)
    with TradeJournal(tmp_path) as journal:
        journal.append(batch(100, 1))
        assert journal.prune(START) == 0
        assert journal.prune(START + 1) == 1


def test_a_torn_tail_is_cut_off_and_the_rest_kept(tmp_path: Path) -> None:
    filled(tmp_path, range(3))
    with TradeJournal(tmp_path) as journal:
        [segment] = journal.segments()
    whole = segment.read_bytes()
    for cut in (1, 30, len(whole) // 3 - 1):
        segment.write_bytes(whole[:-cut])
        with TradeJournal(tmp_path) as journal:
            assert journal.torn_bytes == len(whole) // 3 - cut
            assert list(journal.replay(0)) == batch(0) + batch(1)
            assert journal.damages == ()
        assert segment.stat().st_size == len(whole) // 3 * 2


def test_a_corrupt_segment_is_named_and_its_other_trades_kept(tmp_path: Path) -> None:
    trades = filled(tmp_path, range(9), segment_s=3)
    with TradeJournal(tmp_path) as journal:
        damaged = journal.segments()[1]
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    with TradeJournal(tmp_path) as journal:
        assert list(journal.replay(0)) == trades[: 4 * 4] + trades[5 * 4 :]
        [damage] = journal.damages
        assert damage.segment == str(damaged)
        assert (damage.start, damage.stop) == (len(data) // 3, len(data) * 2 // 3)
        with pytest.raises(JournalCorruptError, match=damaged.name):
            list(journal.replay(0, strict=True))
        assert len(journal.damages) == 1


def test_a_second_writer_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    with TradeJournal(tmp_path), pytest.raises(JournalError, match="another process"):
        TradeJournal(tmp_path)
    TradeJournal(tmp_path).close()


def test_closing_twice_is_once(tmp_path: Path) -> None:
    journal = TradeJournal(tmp_path)
    journal.append(batch(0))
    journal.close()
    journal.close()
    with TradeJournal(tmp_path) as again:
        assert list(again.replay(0)) == batch(0)


def test_a_directory_that_cannot_be_is_a_journal_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot keep a journal"):
        TradeJournal(tmp_path / "file")


def test_a_stranger_among_the_segments_is_named(tmp_path: Path) -> None:
    (tmp_path / "trades-copy.sfj").write_bytes(b"")
    with pytest.raises(JournalError, match=r"trades-copy\.sfj"):
        TradeJournal(tmp_path)
    (tmp_path / "trades-copy.sfj").unlink()
    TradeJournal(tmp_path).close()


@contextlib.contextmanager
def small_files() -> Iterator[None]:
    """No file of this process may grow beyond 1,000 bytes: how a full disk looks, without filling one.

    Never around a whole test: pytest's own report may go to a file.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_said_and_leaves_no_half_batch(tmp_path: Path) -> None:
    with small_files(), TradeJournal(tmp_path) as journal:
        kept = 0
        while journal._size + 300 < 1000:
            journal.append(batch(kept))
            kept += 1
        with pytest.raises(JournalError, match="cannot append 40 trades"):
            journal.append(batch(kept, 40))
        assert kept > 0
        assert list(journal.replay(0)) == batches(range(kept))
        # Goes on as soon as there is room.
        journal._size = 1 << 30
        journal.append(batch(kept))
        assert list(journal.replay(0)) == batches(range(kept + 1))
        assert journal.damages == ()


WRITER = """
import sys
from squeezeflow_plugin.journal.journal import TradeJournal
from tests.unit.journal.test_journal import batch

journal = TradeJournal(sys.argv[1], segment_s=50)
for number in range(int(sys.argv[2]), 1_000_000):
    journal.append(batch(number, 1 + number % 7))
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


def test_a_killed_writer_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    """A real process, killed at random points of its work, eight times over the same directory."""
    rng = random.Random(20240808)
    root = Path(__file__).resolve().parents[3]
    number = 0
    for _ in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(number)],
            stdout=subprocess.PIPE,
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        assert writer.stdout is not None
        for _ in range(rng.randrange(1, 400)):
            writer.stdout.readline()
        writer.kill()
        # What it said before it died is acknowledged, though nobody had read it.
        said = writer.stdout.read().split(b"\n")
        writer.stdout.close()
        writer.wait()
        acknowledged = [int(line) for line in said[:-1]]
        with TradeJournal(tmp_path) as journal:
            found = list(journal.replay(0))
            assert journal.damages == ()
        last = max(int(trade.trade_id.partition("-")[0]) for trade in found)
        assert last >= max(acknowledged, default=0)
        expected = [trade for each in range(last + 1) for trade in batch(each, 1 + each % 7)]
        assert found == expected
        number = last + 1
    assert number > 8


def test_a_sync_may_run_beside_appends_and_leaves_nothing_open(tmp_path: Path) -> None:
    with TradeJournal(tmp_path, segment_bytes=1) as journal:
        before = len(os.listdir("/proc/self/fd"))
        journal.append(batch(0))
        sync = journal.syncing()
        journal.append(batch(1))  # begins another segment
        journal.append(batch(2))
        sync()
        journal.sync()
        assert len(os.listdir("/proc/self/fd")) == before + 1
        assert list(journal.replay(0)) == batches(range(3))
        sync = journal.syncing()
    sync()
