"""The shipper between stores in memory: order, positions, alignment. Faults of a real server: integration."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from squeezeflow_plugin.clock import SteppedClock
from squeezeflow_plugin.collector.shipping import Shipper, open_shipper
from squeezeflow_plugin.errors import StoreLostError, StoreUnavailableError
from squeezeflow_plugin.market import Bar, ClosingRecord
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.memory import MemoryBarStore

T0 = 1_767_225_600


class MemoryTarget(MemoryBarStore):
    """A store in memory with the two steps that a server needs besides; remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[tuple[int, str]]] = []

    def set_up(self) -> Sequence[str]:
        return ()

    def append(self, records: Iterable[ClosingRecord]) -> None:
        batch = list(records)
        self.batches.append([(record.second, record.collector) for record in batch])
        super().append(batch)

    def resample(self, records: Iterable[ClosingRecord]) -> None:
        """Nothing to resample in memory."""


class FailingTarget(MemoryTarget):
    """Takes nothing."""

    def __init__(self, error: StoreUnavailableError) -> None:
        super().__init__()
        self._error = error

    def append(self, records: Iterable[ClosingRecord]) -> None:
        del records
        raise self._error


def record(second: int, collector: str = "main", bars: int = 0) -> ClosingRecord:
    own = tuple(Bar(f"A:{i}", second, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1, 0, 0.0, 0.0) for i in range(bars))
    return ClosingRecord(collector, second, (second + 1) * 10**9, own)


def ship(
    source: MemoryBarStore,
    target: MemoryTarget,
    path: Path,
    keep_s: int | None = None,
    name: str = "memory",
    now: int = T0 + 100_000,
) -> Shipper:
    """One life of a shipper: it ships what is there, and ends."""
    shipper = Shipper(source, target, name, path, SteppedClock(now * 10**9), keep_s)
    shipper.start()
    shipper.stop(30)
    return shipper


def test_the_furthest_behind_goes_first(tmp_path: Path) -> None:
    source, target = MemoryBarStore(), MemoryTarget()
    source.append(record(T0 + i, "written-ahead") for i in range(1500))
    source.append(record(T0 + 1500 + i, "a-live-one") for i in range(3))
    status = ship(source, target, tmp_path / "position").status
    assert [batch[0] for batch in target.batches] == [
        (T0, "written-ahead"), (T0 + 900, "written-ahead"), (T0 + 1500, "a-live-one"),
    ]  # fmt: skip  # a line of batches
    assert status.positions == (("a-live-one", T0 + 1502), ("written-ahead", T0 + 1499))
    assert (status.records, status.lag_s, status.failure) == (1503, 0, None)


def test_batches_are_bounded_by_bars(tmp_path: Path) -> None:
    source, target = MemoryBarStore(), MemoryTarget()
    source.append(record(T0 + i, bars=200) for i in range(250))
    ship(source, target, tmp_path / "position")
    assert [len(batch) for batch in target.batches] == [100, 100, 50]


def test_a_gap_of_days_is_one_step(tmp_path: Path) -> None:
    source, target = MemoryBarStore(), MemoryTarget()
    source.append([record(T0), record(T0 + 5_000_000)])
    ship(source, target, tmp_path / "position")
    assert target.batches == [[(T0, "main")], [(T0 + 5_000_000, "main")]]


def test_the_position_is_remembered_for_its_target(tmp_path: Path) -> None:
    source, target = MemoryBarStore(), MemoryTarget()
    source.append(record(T0 + i) for i in range(10))
    ship(source, target, tmp_path / "position")
    ship(source, target, tmp_path / "position")
    assert len(target.batches) == 1
    other = MemoryTarget()
    ship(source, other, tmp_path / "position", name="another")
    assert len(other.batches[0]) == 10


def test_a_target_that_was_set_back_is_filled_again(tmp_path: Path) -> None:
    source = MemoryBarStore()
    source.append(record(T0 + i) for i in range(10))
    ship(source, MemoryTarget(), tmp_path / "position")
    set_back = MemoryTarget()
    MemoryBarStore.append(set_back, [record(T0 + i) for i in range(4)])
    ship(source, set_back, tmp_path / "position")
    assert set_back.batches == [[(T0 + i, "main") for i in range(4, 10)]]


def test_a_position_that_cannot_be_read_costs_a_comparison(tmp_path: Path) -> None:
    source, target = MemoryBarStore(), MemoryTarget()
    source.append(record(T0 + i) for i in range(10))
    (tmp_path / "position").write_text("no JSON")
    assert ship(source, target, tmp_path / "position").status.records == 10
    assert ship(source, target, tmp_path / "position").status.records == 0


def test_what_is_too_old_for_the_target_is_passed_over(tmp_path: Path) -> None:
    source, target = MemoryBarStore(), MemoryTarget()
    source.append(record(T0 + i) for i in range(100))
    status = ship(source, target, tmp_path / "position", keep_s=50, now=T0 + 100).status
    assert target.batches == [[(T0 + i, "main") for i in range(50, 100)]]
    assert status.expired == 0  # never shipped there, so nothing was missed
    source.append(record(T0 + i) for i in range(100, 300))
    status = ship(source, target, tmp_path / "position", keep_s=50, now=T0 + 300).status
    assert (status.expired, status.records) == (150, 50)


def test_a_collector_that_ended_long_ago_lacks_nothing_however_old_its_records_are(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, target = MemoryBarStore(), MemoryTarget()
    source.append(record(T0 + i, "import") for i in range(10))
    ship(source, target, tmp_path / "position", keep_s=50, now=T0 + 10)
    status = ship(source, target, tmp_path / "position", keep_s=50, now=T0 + 100_000).status
    assert (status.expired, caplog.messages) == (0, [])


def test_a_target_that_loses_what_it_acknowledged_is_told_from_one_that_is_down(tmp_path: Path) -> None:
    for error, mismatches in ((StoreLostError("lost"), 1), (StoreUnavailableError("down"), 0)):
        source, target = MemoryBarStore(), FailingTarget(error)
        source.append([record(T0)])
        status = ship(source, target, tmp_path / str(error)).status
        assert (status.failures, status.mismatches, status.failure) == (1, mismatches, str(error))


def test_without_an_address_nothing_is_shipped() -> None:
    assert open_shipper(Settings(), SteppedClock()) is None
