from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types
import pytest

from squeezeflow_plugin.errors import FrameError, SimulatorError
from squeezeflow_plugin.simulator.replay import ReplayedAsset, read_recording
from squeezeflow_plugin.simulator.trades import MarketTrades, concatenate
from tests.unit.simulator.markets import ORIGIN

START_MS = 1_700_000_000_123
SPOT, PERP = "BINANCE:solusdt", "BINANCE_FUTURES:solusdt"
JOIN = ORIGIN + 400


def table(**changes: list[Any]) -> dict[str, list[Any]]:
    """Forty trades in both markets of SOL over twenty seconds, and one of a market that is not served."""
    rng = np.random.default_rng(1)
    n = 40
    columns: dict[str, list[Any]] = {
        "ts_ms": [START_MS + 500 * row for row in range(n)],
        "price": [round(float(p), 2) for p in 20.0 + rng.normal(0, 0.05, n)],
        "size": [round(float(s), 3) for s in 0.001 + rng.exponential(2.0, n)],
        "side": ["buy" if x else "sell" for x in rng.random(n) < 0.5],
        "market": [SPOT if row % 2 else PERP for row in range(n)],
        "trade_id": [1_000_000 + row // 2 for row in range(n)],
    }
    columns["market"][-1] = "BINANCE_FUTURES:solusd_perp"
    return columns | changes


def write(folder: Path, columns: dict[str, list[Any]]) -> Path:
    path = folder / "trades.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def changed(name: str, row: int, value: Any) -> dict[str, list[Any]]:
    columns = table()
    columns[name][row] = value
    return columns


def replayed(path: Path, until: int) -> tuple[ReplayedAsset, dict[str, MarketTrades]]:
    source = ReplayedAsset(read_recording(path), "SOL", 1, ORIGIN, JOIN)
    made = []
    while source.second < until:
        made.append(source.advance())
    return source, {
        market: concatenate([minute.trades[market] for minute in made]) for market in (SPOT, PERP)
    }


def test_recorded_trades_keep_their_ids_prices_and_sizes_and_move_by_whole_seconds(tmp_path: Path) -> None:
    columns = table()
    _, trades = replayed(write(tmp_path, columns), JOIN + 120)
    for market in (SPOT, PERP):
        rows = [row for row in range(40) if columns["market"][row] == market]
        live = trades[market].between(JOIN * 1000, (JOIN + 600) * 1000)
        assert live.ids.tolist() == [columns["trade_id"][row] for row in rows]
        assert live.price.tolist() == [columns["price"][row] for row in rows]
        assert live.size.tolist() == [columns["size"][row] for row in rows]
        assert (live.at_ms - [columns["ts_ms"][row] for row in rows]).tolist() == [
            (JOIN - START_MS // 1000) * 1000
        ] * len(rows)


def test_generated_history_leads_up_to_the_first_recorded_trade(tmp_path: Path) -> None:
    _, trades = replayed(write(tmp_path, table()), JOIN + 60)
    for market in (SPOT, PERP):
        before = trades[market].between(0, JOIN * 1000)
        after = trades[market].between(JOIN * 1000, (JOIN + 60) * 1000)
        assert len(before) > 500
        assert (np.diff(trades[market].ids) == 1).all()
        assert before.price[-1] == pytest.approx(after.price[0], rel=1e-3)


def test_after_the_last_recorded_trade_there_is_silence(tmp_path: Path) -> None:
    source, trades = replayed(write(tmp_path, table()), JOIN + 300)
    assert max(each.at_ms[-1] for each in trades.values()) < (JOIN + 21) * 1000
    assert source.episodes == ()
    assert source.release(JOIN) == ()


def test_ids_without_room_below_get_generated_ones_far_above(tmp_path: Path) -> None:
    columns = table()
    columns["trade_id"] = [row // 2 for row in range(40)]
    _, trades = replayed(write(tmp_path, columns), JOIN)
    assert trades[SPOT].between(0, JOIN * 1000).ids.min() > 10**14


def test_the_order_of_rows_in_the_file_does_not_matter(tmp_path: Path) -> None:
    columns = table()
    order = np.random.default_rng(2).permutation(40)
    shuffled = {name: [values[row] for row in order] for name, values in columns.items()}
    one = replayed(write(tmp_path, columns), JOIN + 60)[1][SPOT]
    other = replayed(write(tmp_path, shuffled), JOIN + 60)[1][SPOT]
    assert (one.ids == other.ids).all()
    assert (one.lots == other.lots).all()


def test_rows_of_other_markets_are_counted_and_other_executions_left_out(tmp_path: Path) -> None:
    columns = table() | {"exec_type": [None] * 20 + ["MARKET"] * 18 + ["INSURANCE_FUND", "MARKET"]}
    columns["price"][38] = 0.0
    recording = read_recording(write(tmp_path, columns))
    assert recording.left_out == {"BINANCE_FUTURES:solusd_perp": 1}
    assert recording.bases == ("SOL",)
    assert sum(len(trades) for trades in recording.trades.values()) == 38


@pytest.mark.parametrize("name", ["ts_ms", "price", "size", "side", "market", "trade_id"])
def test_a_missing_column_is_named_with_the_file(tmp_path: Path, name: str) -> None:
    columns = table()
    del columns[name]
    with pytest.raises(FrameError, match=rf"trades\.parquet: column {name} is missing"):
        read_recording(write(tmp_path, columns))


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("price", float("nan"), "a positive number"),
        ("price", -1.0, "a positive number"),
        ("price", 0.0, "a positive number"),
        ("price", 1e-9, "spelled with 8 decimals"),
        ("size", float("inf"), "a positive number"),
        ("size", -0.5, "a positive number"),
        ("side", "Buy", "buy or sell"),
        ("side", None, "buy or sell"),
        ("market", None, "a market's name"),
        ("ts_ms", -5, "a whole number"),
        ("trade_id", None, "a whole number"),
    ],
)
def test_a_value_that_no_trade_has_is_named_with_its_row(
    tmp_path: Path, name: str, value: object, wanted: str
) -> None:
    with pytest.raises(FrameError, match=rf"column {name}, row 7 must be {wanted}.*, was ") as error:
        read_recording(write(tmp_path, changed(name, 7, value)))
    assert "trades.parquet" in str(error.value)


def test_a_row_is_named_as_the_file_counts_it(tmp_path: Path) -> None:
    columns = changed("size", 7, -1.0) | {"exec_type": ["ADL"] * 3 + ["MARKET"] * 37}
    with pytest.raises(FrameError, match="column size, row 7"):
        read_recording(write(tmp_path, columns))


def test_text_where_numbers_stand_is_refused(tmp_path: Path) -> None:
    columns = table() | {"price": ["high"] * 40}
    with pytest.raises(FrameError, match="column price must hold numbers"):
        read_recording(write(tmp_path, columns))


def test_a_file_that_is_none_and_one_without_rows_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.parquet"
    path.write_bytes(b"no parquet")
    with pytest.raises(FrameError, match=r"broken\.parquet cannot be read as Parquet"):
        read_recording(path)
    with pytest.raises(FrameError, match="holds no trade"):
        read_recording(write(tmp_path, {name: [] for name in table()}))


def test_an_asset_needs_both_its_markets(tmp_path: Path) -> None:
    columns = table() | {"market": [SPOT] * 40, "trade_id": list(range(40))}
    with pytest.raises(SimulatorError, match="but of no asset both"):
        read_recording(write(tmp_path, columns))


def test_a_real_recording_is_read_as_it_is(shared: Path) -> None:
    path = shared / "market_data" / "binance_btc_spot_usdm_20260216.parquet"
    recording = read_recording(path)
    file = pq.read_table(path).to_pydict()
    assert recording.bases == ("BTC",)
    for market, trades in recording.trades.items():
        rows = [row for row, name in enumerate(file["market"]) if name == market]
        assert sorted(trades.ids.tolist()) == sorted(file["trade_id"][row] for row in rows)
        assert trades.price.sum() == pytest.approx(sum(file["price"][row] for row in rows), rel=1e-12)
        assert sorted(trades.size.tolist()) == sorted(file["size"][row] for row in rows)
