"""``build_bars`` on tables and files: real trades against exact decimals, and every kind of bad input."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from squeezeflow_plugin.bars.columns import bars_of_trades, columns_of_trades
from squeezeflow_plugin.errors import FrameError
from squeezeflow_plugin.frames import bars_file, build_bars
from squeezeflow_plugin.tables import frame_of_bars
from tests.unit.bars.tapes import reference_frame, trades_of

COLUMNS = [
    "market",
    "time",
    "open",
    "high",
    "low",
    "close",
    "vbuy",
    "vsell",
    "cbuy",
    "csell",
    "lbuy",
    "lsell",
]
# Here one of the two recordings was cut.
CUT = ("BINANCE:btcusdt", 1_723_161_601)


def table(**columns: object) -> pd.DataFrame:
    """Three good trades, columns replaced or added as asked."""
    good: dict[str, object] = {
        "ts_ms": [7_250, 7_100, 8_000],
        "price": [11.0, 10.0, 12.0],
        "size": [2.0, 1.0, 0.5],
        "side": ["sell", "buy", "buy"],
        "market": ["X:a", "X:a", "X:b"],
        "trade_id": [2, 1, 1],
    }
    return pd.DataFrame({**good, **columns})


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("BINANCE/hftbacktest_btcusdt_20240808", 344),
        ("BINANCE_FUTURES/hftbacktest_btcusdt_20240808", 344),
        ("BINANCE_FUTURES/hftbacktest_btcusd_perp_20240808", 202),
    ],
)
def test_real_bars_equal_the_exact_decimals(shared: Path, name: str, count: int) -> None:
    bars = build_bars(reference_frame(shared)).set_index(["market", "time"])
    lines = (shared / "recordings" / f"{name}.expected_decimal_bars_1s.jsonl").read_text().splitlines()
    compared = 0
    for expected in map(json.loads, lines):
        key = (expected["market"], expected["time"] // 1000)
        if key == CUT:
            continue
        bar = bars.loc[key]
        for field in ("open", "high", "low", "close"):
            assert bar[field] == float(expected[field]), (key, field)
        for field in ("cbuy", "csell"):
            assert bar[field] == expected[field], (key, field)
        for field in ("vbuy", "vsell"):
            assert math.isclose(bar[field], float(expected[field]), rel_tol=1e-12), (key, field)
        compared += 1
    assert compared == count


def test_shuffled_or_delivered_twice_nothing_changes(shared: Path) -> None:
    frame = reference_frame(shared)
    bars = build_bars(frame)
    assert list(bars.columns) == COLUMNS
    assert bars["time"].is_monotonic_increasing
    pd.testing.assert_frame_equal(build_bars(frame.sample(frac=1, random_state=3)), bars, check_exact=True)
    twice = pd.concat([frame, frame.sample(frac=1, random_state=4)])
    pd.testing.assert_frame_equal(build_bars(twice), bars, check_exact=True)


def test_the_files_are_the_same_function(shared: Path, tmp_path: Path) -> None:
    """Parquet, and the lines of ``parse``, which carry quote volume of their own."""
    frame = reference_frame(shared).head(3000)
    expected = build_bars(frame)
    frame.to_parquet(tmp_path / "trades.parquet")
    bars_file(tmp_path / "trades.parquet", tmp_path / "bars.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "bars.parquet"), expected, check_exact=True)
    trades = trades_of(frame)
    lines = [
        {
            "line": number,
            "market": each.market,
            "exchange_ns": each.exchange_ns,
            "trade_id": each.trade_id,
            "price": each.price,
            "size": each.size,
            "quote": each.quote,
            "side": "buy" if each.side > 0 else "sell",
            "count": each.count,
            "liquidation": each.liquidation,
        }
        for number, each in enumerate(trades)
    ]
    (tmp_path / "trades.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    bars_file(tmp_path / "trades.jsonl", tmp_path / "parsed.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "parsed.parquet"), expected, check_exact=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "bars.parquet",
        "parsed.parquet",
        "trades.jsonl",
        "trades.parquet",
    ]


def test_the_small_table_by_hand() -> None:
    first, second = build_bars(table()).itertuples(index=False)
    assert tuple(first) == ("X:a", 7, 10.0, 11.0, 10.0, 11.0, 10.0, 22.0, 1, 1, 0.0, 0.0)
    assert tuple(second) == ("X:b", 8, 12.0, 12.0, 12.0, 12.0, 6.0, 0.0, 1, 0, 0.0, 0.0)


def test_fills_and_liquidations() -> None:
    frame = table(count=[3, 1, 1], liquidation=[False, False, True])
    first, second = build_bars(frame).itertuples(index=False)
    assert (first.cbuy, first.csell) == (1, 3)
    assert (second.cbuy, second.vbuy, second.lbuy) == (0, 0.0, 6.0)
    assert build_bars(frame).loc[1, ["open", "high", "low", "close"]].isna().all()


def test_what_is_no_market_trade_is_left_out_unread() -> None:
    frame = table(exec_type=["MARKET", "INSURANCE_FUND", None], price=[11.0, 0.0, 12.0])
    assert build_bars(frame)[["market", "cbuy", "csell"]].to_numpy().tolist() == [
        ["X:a", 0, 1],
        ["X:b", 1, 0],
    ]
    assert len(build_bars(table(exec_type=["RPI", "ADL", "NA"]))) == 1
    # Rows are counted in the table that was handed in.
    with pytest.raises(FrameError, match=r"column price, row 2: -1\.0"):
        build_bars(table(exec_type=["MARKET", "NA", None], price=[11.0, 10.0, -1.0]))


@pytest.mark.parametrize(
    "ids", [["b", "a", "a"], ["10", "9", "1"], [2.0, 1.0, 1.0], np.array([2, 1, 1], dtype=np.uint32)]
)
def test_ids_may_be_text_or_numbers(ids: object) -> None:
    assert build_bars(table(trade_id=ids, ts_ms=[7_100, 7_100, 8_000]))["open"].tolist() == [10.0, 12.0]


def test_an_empty_table_has_no_bars() -> None:
    bars = build_bars(table().head(0))
    assert list(bars.columns) == COLUMNS
    assert len(bars) == 0


@pytest.mark.parametrize("name", ["ts_ms", "price", "size", "side", "market", "trade_id"])
def test_a_missing_column_is_named(name: str) -> None:
    with pytest.raises(FrameError, match=f"column {name} is missing"):
        build_bars(table().drop(columns=name))


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("price", [11.0, math.nan, 12.0], "row 1: .*nan.* is not a positive number"),
        ("price", [11.0, 10.0, -12.5], r"row 2: .*-12\.5.* is not a positive number"),
        ("price", [math.inf, 10.0, 12.0], "row 0: .*inf.* is not a positive number"),
        ("price", ["11", "ten", "12"], "row 1: 'ten' is not a positive number"),
        ("size", [2.0, 0.0, 0.5], r"row 1: .*0\.0.* is not a positive number"),
        ("size", [2.0, None, 0.5], "row 1: .*nan.* is not a positive number"),
        ("side", ["sell", "buy", "Bid"], "row 2: 'Bid' is not buy or sell"),
        ("side", ["sell", None, "buy"], "row 1: .* is not buy or sell"),
        ("side", [-1, 0, 1], "row 1: .*0.* is not buy or sell"),
        ("market", ["X:a", None, "X:b"], "row 1: .* is not a market's name"),
        ("market", ["X:a", "", "X:b"], "row 1: '' is not a market's name"),
        ("trade_id", [2, None, 1], "row 1: .*nan.* is not a trade id"),
        ("trade_id", ["2", None, "1"], "row 1: .* is not a trade id"),
        ("ts_ms", [7_250, -1, 8_000], "row 1: .*-1.* is not an exchange time"),
        ("ts_ms", [7_250, math.nan, 8_000], "row 1: .*nan.* is not an exchange time"),
        ("ts_ms", [7_250.5, 7_100, 8_000], r"row 0: .*7250\.5.* is not an exchange time"),
        ("ts_ms", [1_723_161_255_342_000_000] * 3, "row 0: .*is not an exchange time"),
        ("ts_ms", pd.to_datetime([7, 8, 9]), "not an exchange time"),
        ("count", [1, 0, 1], "row 1: .*0.* is not a number of fills"),
        ("liquidation", [False, None, True], "row 1: .* is not true or false"),
        ("liquidation", ["no", "no", "yes"], "row 0: 'no' is not true or false"),
    ],
)
def test_a_bad_value_is_named_with_column_row_and_value(name: str, values: object, said: str) -> None:
    with pytest.raises(FrameError, match=f"column {name}.* {said}|column {name}.*{said}"):
        build_bars(table(**{name: values}))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2"),
        ('{"market": "X:a"}', "line 2: .*exchange_ns"),
        ('{"price": -1.0}', "line 2: price -1.0 is not a positive number"),
        ('{"side": "up"}', "line 2: side 'up' is not buy or sell"),
        ('{"count": 0}', "line 2: count 0 is not a number of fills"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_written(tmp_path: Path, line: str, said: str) -> None:
    good = {
        "market": "X:a",
        "exchange_ns": 1,
        "trade_id": "1",
        "price": 1.0,
        "size": 1.0,
        "quote": 1.0,
        "side": 1,
    }
    second = json.dumps({**good, **json.loads(line)}) if line != "{" and "market" not in line else line
    (tmp_path / "in.jsonl").write_text(f"{json.dumps(good)}\n{second}\n")
    with pytest.raises(FrameError, match=rf"in\.jsonl, {said}"):
        bars_file(tmp_path / "in.jsonl", tmp_path / "out.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match=r"none\.parquet: cannot be read"):
        bars_file(tmp_path / "none.parquet", tmp_path / "out.parquet")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(FrameError, match=r"torn\.parquet"):
        bars_file(tmp_path / "torn.parquet", tmp_path / "out.parquet")
    table(price=[1.0, -1.0, 1.0]).to_parquet(tmp_path / "bad.parquet")
    with pytest.raises(FrameError, match=r"bad\.parquet: column price, row 1"):
        bars_file(tmp_path / "bad.parquet", tmp_path / "out.parquet")
    table().to_parquet(tmp_path / "good.parquet")
    with pytest.raises(FrameError, match=r"out\.parquet: cannot be written"):
        bars_file(tmp_path / "good.parquet", tmp_path / "absent" / "out.parquet")


def test_a_table_and_its_trades_one_by_one_give_the_same_bits(shared: Path) -> None:
    frame = reference_frame(shared)
    one_by_one = frame_of_bars(bars_of_trades(columns_of_trades(trades_of(frame))))
    pd.testing.assert_frame_equal(build_bars(frame), one_by_one, check_exact=True)


def test_a_file_that_only_begins_as_parquet_is_named_once(tmp_path: Path) -> None:
    path = tmp_path / "cut.parquet"
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(FrameError, match=r"cut\.parquet: cannot be read as Parquet: .*[^.]$") as caught:
        bars_file(path, tmp_path / "out.parquet")
    assert str(caught.value).count(str(path)) <= 2  # ours, and pyarrow's
    assert not str(caught.value).startswith(f"{path}: {path}")
