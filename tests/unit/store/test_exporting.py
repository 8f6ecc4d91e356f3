"""Export, and back: what is imported from an export is what was exported, coverage included."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from squeezeflow_plugin.errors import StoreEmptyError, StoreError
from squeezeflow_plugin.market import BAR_FIELDS, Bar, ClosingRecord
from squeezeflow_plugin.store.contract import BarColumns
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.store.exporting import export_bars
from squeezeflow_plugin.store.importing import Positions, import_file

MARKETS = ("BINANCE:btcusdt", "BINANCE_FUTURES:btcusdt", "A b:c,d=e")
T0 = 1_723_161_600 - 50  # an hour begins inside


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedBarStore]:
    store = EmbeddedBarStore(tmp_path / "store.sqlite")
    rng = np.random.default_rng(5)
    for second in range(T0, T0 + 100):
        bars = []
        for market in MARKETS:
            if rng.random() < 0.6:
                low, high = sorted(rng.lognormal(0, 1, 2).tolist())
                vbuy, vsell, lbuy, lsell = rng.lognormal(3, 3, 4).tolist()
                bars.append(Bar(market, second, low, high, low, high, vbuy, vsell, 5, 2**32 - 1, lbuy, lsell))
        if second == T0 + 7:
            nan = math.nan
            bars = [Bar(MARKETS[0], second, nan, nan, nan, nan, 0.0, 0.0, 0, 0, 1e-300, 0.1 + 0.2)]
        covered = MARKETS[: 1 + second % 3]
        store.append([ClosingRecord("main", second, second * 10**9, tuple(bars), covered=covered)])
    yield store
    store.close()


def bits(columns: BarColumns) -> list[bytes]:
    names = np.array(columns.names)[columns.market].tolist()
    return [
        repr(names).encode(),
        columns.second.tobytes(),
        *(getattr(columns, f).tobytes() for f in BAR_FIELDS),
    ]


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".lp"])
@pytest.mark.parametrize("markets", [None, list(MARKETS[:1])])
def test_there_and_back(
    tmp_path: Path, store: EmbeddedBarStore, ending: str, markets: list[str] | None
) -> None:
    path = tmp_path / f"bars{ending}"
    fractions = []
    count = export_bars(store, path, 0, 2**40, markets, lambda done, _: fractions.append(done))
    columns = store.bars(0, 2**40, markets)
    assert count == len(columns)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    other = EmbeddedBarStore(tmp_path / "other.sqlite")
    import_file(other, path, Positions(tmp_path / "imports.json"))
    assert bits(other.bars(0, 2**40)) == bits(columns)
    assert other.coverage(0, 2**40) == store.coverage(0, 2**40, markets)
    again = tmp_path / f"again{ending}"
    export_bars(other, again, 0, 2**40)
    assert again.read_bytes() == path.read_bytes()
    other.close()


def test_a_span_is_cut_and_an_empty_one_refused(tmp_path: Path, store: EmbeddedBarStore) -> None:
    path = tmp_path / "bars.csv"
    assert export_bars(store, path, T0 + 10, T0 + 60) == len(store.bars(T0 + 10, T0 + 60))
    with pytest.raises(StoreEmptyError, match=f"the store holds the seconds {T0} to"):
        export_bars(store, path, 0, T0)
    with pytest.raises(StoreEmptyError, match=f"nothing of X:none from {T0} to"):
        export_bars(store, tmp_path / "bars-of-none.csv", 0, 2**40, ["X:none"])
    with pytest.raises(StoreError, match=r"bars.txt must end with .parquet, .csv, .lp"):
        export_bars(store, tmp_path / "bars.txt", 0, 2**40)
    with pytest.raises(StoreError, match="cannot be written"):
        export_bars(store, tmp_path / "nowhere" / "bars.csv", 0, 2**40)
    assert {file.name for file in tmp_path.iterdir() if file.name.startswith(("bars", ".bars"))} == {
        "bars.csv",
        "bars.csv.coverage.csv",
    }
