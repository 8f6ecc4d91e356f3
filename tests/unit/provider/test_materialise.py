"""Sets of backtest data: made once, found again, made anew where the store was revised."""

from __future__ import annotations

import copy
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from squeezeflow_plugin.clock import SteppedClock, SystemClock
from squeezeflow_plugin.errors import StoreEmptyError, StoreError
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.provider.final import final_rows
from squeezeflow_plugin.provider.materialise import KEPT_SETS, Wanted, materialise, store_stamp
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.store.memory import MemoryBarStore
from tests.reference.flows import scripted_frame
from tests.unit.provider.records import INSTRUMENTS, MARKETS, Script, script

START = 1_763_643_600 + 137
PAIRS = {"BTC/USDT": MARKETS}


@pytest.fixture(scope="module")
def told() -> Script:
    return script(scripted_frame(5, 8_000, (), start=START), seed=5, late=0.02)


@pytest.fixture
def store(told: Script) -> MemoryBarStore:
    store = MemoryBarStore()
    store.put_instruments(INSTRUMENTS)
    store.append(told.records)
    return store


WANTED = Wanted(PAIRS, START + 4_000, START + 6_000)


def test_the_rows_are_the_stores_final_view_in_full_hours(store: MemoryBarStore, tmp_path: Path) -> None:
    made = materialise(store, WANTED, tmp_path)
    assert (made.manifest.start % 3600, made.manifest.stop % 3600) == (0, 0)
    assert made.manifest.start <= WANTED.start < WANTED.stop <= made.manifest.stop
    pieces = final_rows(store, MARKETS, made.manifest.start, made.manifest.stop)
    assert (
        made.rows("BTC/USDT").tobytes() == np.concatenate([each.values for each in pieces], axis=1).tobytes()
    )
    part = made.manifest.pairs["BTC/USDT"]
    assert 0 < part.revised < 0.1 * part.traded
    flow = copy.deepcopy(made).flow("BTC/USDT", WANTED.start, 2**40)
    assert (flow.time[0], flow.time[-1] + 1) == (WANTED.start, made.manifest.stop)


def test_a_span_ends_with_the_last_full_minute(store: MemoryBarStore, tmp_path: Path) -> None:
    made = materialise(store, replace(WANTED, start=0, stop=2**40), tmp_path)
    assert made.manifest.start == START
    assert made.manifest.stop == (START + 8_000) // 60 * 60


def test_an_unchanged_store_is_not_read_again(store: MemoryBarStore, tmp_path: Path) -> None:
    first = materialise(store, WANTED, tmp_path, "stamp")
    store._records.clear()  # whoever read it now would find nothing
    inner = replace(WANTED, start=WANTED.start + 60)
    assert materialise(store, inner, tmp_path, "stamp") == first


@pytest.mark.parametrize(
    ("stamp", "change"),
    [("other", {}), ("", {}), ("stamp", {"funding_rate": 0.0}), ("stamp", {"stop": 2**40})],
)
def test_what_a_set_does_not_say_is_read_from_the_store(
    store: MemoryBarStore, tmp_path: Path, stamp: str, change: dict[str, Any]
) -> None:
    first = materialise(store, WANTED, tmp_path, "stamp")
    store.append([])
    again = materialise(store, replace(WANTED, **change), tmp_path, stamp)
    assert (again.folder == first.folder) == (not change)
    assert again.manifest.stamp == stamp


def test_a_revised_bar_makes_another_set(store: MemoryBarStore, told: Script, tmp_path: Path) -> None:
    first = materialise(store, WANTED, tmp_path)
    assert materialise(store, WANTED, tmp_path).folder == first.folder
    last = told.records[-1]
    bar = told.records[5_000].bars[0]
    revised = msgspec.structs.replace(bar, vbuy=bar.vbuy + 1.0, revision=bar.revision + 1)
    store.append([msgspec.structs.replace(last, second=last.second + 1, bars=(), revisions=(revised,))])
    again = materialise(store, WANTED, tmp_path)
    assert again.folder != first.folder
    changed = np.flatnonzero((again.rows("BTC/USDT") != first.rows("BTC/USDT")).any(axis=0))
    assert bar.second - first.manifest.start in changed.tolist()


def test_a_span_without_data_says_what_there_is(store: MemoryBarStore, tmp_path: Path) -> None:
    with pytest.raises(StoreEmptyError, match=r"holds data from 2025-11-20 13:02:17 UTC .* nothing of what"):
        materialise(store, replace(WANTED, start=100, stop=200), tmp_path)
    with pytest.raises(StoreEmptyError, match=r"no data; get some with `squeezeflow simulate --hours 48`"):
        materialise(MemoryBarStore(), WANTED, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(store: MemoryBarStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        materialise(store, WANTED, tmp_path / "file" / "sets")


def test_old_sets_and_unfinished_ones_are_removed(store: MemoryBarStore, tmp_path: Path) -> None:
    clock = SteppedClock(SystemClock().now_ns())
    (tmp_path / ".unfinished-1").mkdir(parents=True)
    made = []
    for place in range(KEPT_SETS + 3):
        clock.advance(NS_PER_SECOND)
        made.append(
            materialise(store, replace(WANTED, funding_rate=place / 1e4), tmp_path, clock=clock).folder
        )
    assert all(folder.is_dir() for folder in made), "used within the last hours"
    clock.advance(7 * 3600 * NS_PER_SECOND)
    kept = materialise(store, replace(WANTED, funding_rate=0.0), tmp_path, clock=clock).folder
    assert kept.is_dir()
    left = [folder for folder in made if folder.is_dir()]
    assert (len(left), left[0]) == (KEPT_SETS, made[0])
    assert not (tmp_path / ".unfinished-1").exists()


def test_a_stores_stamp_follows_its_files(told: Script, tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    assert store_stamp(path) == ""
    store = EmbeddedBarStore(path)
    store.append(told.records[:100])
    assert store_stamp(path) == "", "it has just changed"
    later = SteppedClock(SystemClock().now_ns() + 60 * NS_PER_SECOND)
    stamp = store_stamp(path, later)
    assert stamp
    reader = EmbeddedBarStore(path, readonly=True)
    assert len(list(reader.records(0, 2**40))) == 100
    reader.close()
    assert store_stamp(path, later) == stamp, "reading changes nothing"
    store.append(told.records[100:101])
    os.utime(tmp_path / "store.sqlite-wal", ns=(0, 0))
    assert store_stamp(path, later) != stamp
    store.close()
