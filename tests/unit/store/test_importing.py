"""Import: every kind of file gives the bars of ``build_bars``; repeated, resumed, refused with the line."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from squeezeflow_plugin.errors import ImportFileError, StoreConflictError
from squeezeflow_plugin.frames import build_bars
from squeezeflow_plugin.market import BAR_FIELDS, ClosingRecord, Interval
from squeezeflow_plugin.store import importing
from squeezeflow_plugin.store.contract import BarColumns
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.store.importing import Positions, import_file

SPOT, PERP, COIN = "BINANCE:btcusdt", "BINANCE_FUTURES:btcusdt", "BINANCE_FUTURES:btcusd_perp"
DAY = 1_723_075_200  # 2024-08-08
T0 = DAY + 7200


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedBarStore]:
    store = EmbeddedBarStore(tmp_path / "store.sqlite")
    yield store
    store.close()


@pytest.fixture
def positions(tmp_path: Path) -> Positions:
    return Positions(tmp_path / "imports.json")


def trades(market: str = SPOT, count: int = 400, first: int = T0, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    size = np.round(rng.lognormal(-3, 1, count), 3) + 0.001
    price = np.round(60_000 + np.cumsum(rng.normal(0, 1, count)), 1)
    return pd.DataFrame(
        {
            "ts_ms": np.sort(first * 1000 + rng.integers(0, 60_000, count)),
            "price": price,
            "size": size,
            "side": np.where(rng.random(count) < 0.5, "buy", "sell"),
            "market": market,
            "trade_id": np.arange(count) + 1000,
        }
    )


def frame(columns: BarColumns) -> pd.DataFrame:
    names = np.array(columns.names, dtype=object)[columns.market]
    return pd.DataFrame(
        {"market": names, "time": columns.second, **{name: getattr(columns, name) for name in BAR_FIELDS}}
    )


def assert_holds(store: EmbeddedBarStore, expected: pd.DataFrame) -> None:
    found = frame(store.bars(0, 2**40))
    pd.testing.assert_frame_equal(found, expected, check_exact=True, check_dtype=False)


def as_binance(table: pd.DataFrame, kind: str, micro: bool = False) -> pd.DataFrame:
    """The same trades in the columns of one of Binance's files."""
    time = table["ts_ms"] * (1000 if micro else 1)
    maker = table["side"] == "sell"
    out = {"id": table["trade_id"], "price": table["price"], "qty": table["size"]}
    if kind.endswith("agg"):
        out |= {"first": table["trade_id"] * 10, "last": table["trade_id"] * 10 + 2}
    elif kind == "coin":
        out |= {"base_qty": (table["size"] * 100 / table["price"]).round(8)}
    else:
        out |= {"quote_qty": (table["price"] * table["size"]).round(8)}
    out |= {"time": time, "is_buyer_maker": maker}
    if kind.startswith("spot"):
        out["best"] = maker | True
    return pd.DataFrame(out)


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_trades_in_our_columns_in_any_order(
    tmp_path: Path, store: EmbeddedBarStore, positions: Positions, ending: str
) -> None:
    table = pd.concat([trades(SPOT), trades(PERP, first=T0 + 5, seed=2)]).sample(frac=1, random_state=3)
    table["exec_type"] = np.where(np.arange(len(table)) % 50 == 0, "INSURANCE_FUND", "MARKET")
    table["liquidation"] = np.arange(len(table)) % 40 == 1
    path = tmp_path / f"trades{ending}"
    if ending == ".csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path, index=False)
    done = import_file(store, path, positions)
    assert_holds(store, build_bars(table))
    assert done.rows == len(table[table["exec_type"] == "MARKET"])
    assert store.collectors() == ("import",)
    last = {
        m: t // 1000
        for m, t in table[table["exec_type"] == "MARKET"].groupby("market")["ts_ms"].max().items()
    }
    assert {i.market: i.stop - 1 for i in store.coverage(0, 2**40)} == last


@pytest.mark.parametrize(
    ("kind", "name", "market", "header", "micro"),
    [
        ("spot", "BTCUSDT-trades-2024-08-08.csv", SPOT, False, False),
        ("spot", "BTCUSDT-trades-2024-08-08.csv", SPOT, False, True),
        ("spot-agg", "BTCUSDT-aggTrades-2024-08-08.zip", SPOT, False, True),
        ("usdm", "BTCUSDT-trades-2024-08-08.zip", PERP, True, False),
        ("usdm", "BTCUSDT-trades-2024-08-08.csv", PERP, False, False),
        ("usdm-agg", "BTCUSDT-aggTrades-2024-08-08.csv", PERP, True, False),
        ("coin", "BTCUSD_PERP-trades-2024-08-08.csv", COIN, True, False),
        ("coin-agg", "BTCUSD_PERP-aggTrades-2024-08-08.csv", COIN, False, False),
    ],
)
def test_binances_files(
    tmp_path: Path,
    store: EmbeddedBarStore,
    positions: Positions,
    kind: str,
    name: str,
    market: str,
    header: bool,
    micro: bool,
) -> None:
    table = trades(market)
    if kind.startswith("coin"):
        table["size"] = np.arange(len(table)) % 7 + 1.0  # contracts of 100 USD
    text = as_binance(table, kind, micro).to_csv(index=False, header=header)
    path = tmp_path / name
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(path.with_suffix(".csv").name, text)
    else:
        path.write_text(text)
    import_file(store, path, positions)
    expected = table.assign(count=3) if kind.endswith("agg") else table
    bars = build_bars(expected)
    if kind.startswith("coin"):
        contracts = (
            table.assign(second=table["ts_ms"] // 1000).groupby(["second", "side"])["size"].sum() * 100
        )
        for side, volume in (("buy", "vbuy"), ("sell", "vsell")):
            sums = contracts.xs(side, level="side")
            bars[volume] = [sums.get(second, 0.0) for second in bars["time"]]
    assert_holds(store, bars)
    assert store.collectors() == (f"import:{market}",)
    assert store.coverage(0, 2**40) == (Interval(market, DAY, DAY + 86_400),)


def test_the_period_of_a_month(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-trades-2024-02.csv"
    path.write_text("1,6,1,6,1706745600000,true,true\n")
    assert importing.open_source(path).period == (1_706_745_600, 1_709_251_200)


LINES = """# DDL
CREATE DATABASE significant_trades
trades_1s,market=BINANCE:btcusdt close=60000.5,high=60001,low=60000,open=60000,vbuy=1.5,cbuy=3i 1723082400
trades_1s,market=A\\ b:c\\,d\\=e lsell=7.25 1723082402000
trades_1s,market=BINANCE:btcusdt open=1,high=1,low=1,close=1,vsell=2,csell=1 1723082401000000000
"""


def test_line_protocol_with_sparse_fields(
    tmp_path: Path, store: EmbeddedBarStore, positions: Positions
) -> None:
    path = tmp_path / "export.txt"
    path.write_text(LINES)
    import_file(store, path, positions)
    found = frame(store.bars(0, 2**40))
    assert found["market"].tolist() == [SPOT, SPOT, "A b:c,d=e"]
    assert found["time"].tolist() == [T0, T0 + 1, T0 + 2]
    assert found["cbuy"].tolist() == [3, 0, 0]
    assert found["vsell"].tolist() == [0.0, 2.0, 0.0]
    assert found["lsell"].tolist() == [0.0, 0.0, 7.25]
    assert found["close"].isna().tolist() == [False, False, True]


def test_a_file_is_imported_once_and_again_without_its_position(
    tmp_path: Path, store: EmbeddedBarStore, positions: Positions
) -> None:
    path = tmp_path / "trades.csv"
    trades().to_csv(path, index=False)
    assert import_file(store, path, positions).rows == 400
    before = list(store.records(0, 2**40))
    assert import_file(store, path, Positions(tmp_path / "imports.json")).rows == 0
    assert import_file(store, path, Positions(tmp_path / "none.json")).rows == 400
    assert list(store.records(0, 2**40)) == before
    changed = trades()
    changed["price"] = changed["price"].where(changed.index != 5, 1.0)
    changed.to_csv(path, index=False)
    with pytest.raises(StoreConflictError, match="'import:BINANCE:btcusdt' has closed second"):
        import_file(store, path, positions)
    assert list(store.records(0, 2**40)) == before


def test_a_stopped_import_goes_on_where_it_stopped(
    tmp_path: Path, store: EmbeddedBarStore, positions: Positions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "_WHOLE_ROWS", 100)
    table = pd.concat([trades(first=T0 + 600 * i, count=100, seed=i) for i in range(6)])
    table["trade_id"] = np.arange(len(table))
    path = tmp_path / "trades.parquet"
    table.to_parquet(path, index=False, row_group_size=50)
    batches: list[object] = []

    def stop_at_the_third(progress: object) -> None:
        batches.append(progress)
        if len(batches) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("squeezeflow_plugin.store.files._BATCH_ROWS", 50)
    with pytest.raises(KeyboardInterrupt):
        import_file(store, path, positions, progress=stop_at_the_third)
    there = store.last_second(f"import:{SPOT}")
    assert there is not None
    assert there < T0 + 3000
    days: list[int] = []
    done = import_file(store, path, Positions(tmp_path / "imports.json"), day_over=days.append)
    assert_holds(store, build_bars(table))
    assert 0 < done.bars < len(build_bars(table))
    assert [each.second for each in store.records(0, 2**40)] == list(
        range(int(table["ts_ms"].min()) // 1000, int(table["ts_ms"].max()) // 1000 + 1)
    )


def test_long_files_must_be_in_order(
    tmp_path: Path, store: EmbeddedBarStore, positions: Positions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "_WHOLE_ROWS", 100)
    monkeypatch.setattr("squeezeflow_plugin.store.files._BATCH_ROWS", 50)
    table = pd.concat([trades(first=T0 + 600, count=200), trades(count=1)])
    path = tmp_path / "trades.parquet"
    table.to_parquet(path, index=False)
    with pytest.raises(ImportFileError, match=r"trades.parquet, row 200: its second .* sort it by time"):
        import_file(store, path, positions)


def put(column: str, value: object) -> str:
    """A file of trades with this value in its line 9."""
    table = trades(count=20).astype(object)
    table[column] = table[column].where(table.index != 7, value)
    return table.to_csv(index=False)


SPOT_FILE, AGG_FILE = "BTCUSDT-trades-2024-08-08.csv", "BTCUSDT-aggTrades-2024-08-08.csv"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", put("price", "cheap"), r"t.csv, line 9: .*'cheap'"),
        ("t.csv", put("price", -1.0), r"t.csv, line 9: price -1.0 is not a positive number"),
        ("t.csv", put("size", "nan"), r"t.csv, line 9: size nan is not"),
        ("t.csv", put("side", "hold"), r"t.csv, line 9: side 'hold' is not buy or sell"),
        ("t.csv", put("market", "btc"), r"t.csv, line 9: market 'btc' is not EXCHANGE:symbol"),
        ("t.csv", put("trade_id", ""), r"t.csv, line 9: trade_id '' is not an id"),
        ("t.csv", put("ts_ms", T0), rf"t.csv, line 9: ts_ms {T0} is not a time in milliseconds"),
        ("t.csv", put("ts_ms", 1.5), r"t.csv, line 9: .*'1.5'"),
        ("t.csv", trades().drop(columns="side").to_csv(index=False), r"column side is missing"),
        ("t.csv", "ts_ms,price,size,side,market,trade_id\n", r"t.csv holds no rows"),
        ("t.csv", "hello\n", r"t.csv, line 1: 'hello' is neither"),
        ("t.csv", "market,time,open\n", r"column high is missing"),
        ("t.csv", "1,60000,0.5,30000,1723082400000,true,true\n", r"name does not say which market"),
        ("BTCUSDT-trades-2024-13-01.csv", "1,6,1,6,1723082400000,true,true\n", r"holds no date"),
        (SPOT_FILE, "1,6,1,6,1723082400,true,true\n", r"line 1: time 1723082400 is"),
        (SPOT_FILE, "1,6,1,6,1723082400000,true,true\n2,6,1\n", r"line 2: Expected 7"),
        (SPOT_FILE, "1,60000,2,2,1723082400000,true,true\n", r"line 1: notional 2.0 .*wrong units"),
        (AGG_FILE, "1,6,1,6,5,1723082400000,true\n", r"line 1: last 5 is not"),
        (SPOT_FILE, "id,price,qty,base_qty,time,is_buyer_maker\n", r"column base_qty does not fit BTCUSDT"),
        (
            "x.lp",
            LINES + "trades_10s,market=A:b open=1 1723082400\n",
            r"x.lp, line 6: measurement trades_10s is not",
        ),
        ("x.lp", LINES + "trades_1s,market=A:b open=1 1723082400500\n", r"x.lp, line 6: .* whole second"),
        ("x.lp", LINES + "trades_1s,market=A:b price=1 1723082400\n", r"x.lp, line 6: field 'price'"),
        ("x.lp", LINES + "trades_1s,market=A:b vbuy=-1 1723082400\n", r"x.lp, line 6: vbuy -1.0 is not"),
        ("x.lp", LINES + "trades_1s,market=A:b cbuy=1.5 1723082400\n", r"x.lp, line 6: cbuy 1.5 is not"),
        (
            "x.lp",
            LINES + "trades_1s,market=A:b,pair=x vbuy=1 1723082400\n",
            r"x.lp, line 6: its tags are market, pair",
        ),
        (
            "x.lp",
            LINES + "trades_1s,market=A:b open=2,high=1,low=1,close=1 1723082400\n",
            r"line 6: high 1.0 is not",
        ),
        ("x.lp", LINES + LINES.splitlines()[2] + "\n", r"x.lp, line 6: a second bar of BINANCE:btcusdt"),
        ("x.lp", LINES + "what\n", r"x.lp, line 6: b'what' is no line protocol"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_line(
    tmp_path: Path,
    store: EmbeddedBarStore,
    positions: Positions,
    name: str,
    text: str,
    message: str,
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ImportFileError, match=message):
        import_file(store, path, positions)
    assert store.span() is None


def test_files_that_are_not_there_or_no_archive_are_named(
    tmp_path: Path, store: EmbeddedBarStore, positions: Positions
) -> None:
    with pytest.raises(ImportFileError, match=r"nothing.csv cannot be read"):
        import_file(store, tmp_path / "nothing.csv", positions)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1" + bytes(100))
    with pytest.raises(ImportFileError, match=r"broken.parquet cannot be read"):
        import_file(store, tmp_path / "broken.parquet", positions)
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a", "")
        archive.writestr("b", "")
    with pytest.raises(ImportFileError, match=r"two.zip holds 2 files"):
        import_file(store, tmp_path / "two.zip", positions)
    (tmp_path / "imports.json").write_text("no")
    with pytest.raises(ImportFileError, match=r"imports.json cannot be read"):
        Positions(tmp_path / "imports.json")


def test_a_second_without_a_trade_is_covered_and_has_a_record(
    tmp_path: Path, store: EmbeddedBarStore, positions: Positions
) -> None:
    path = tmp_path / "bars.csv"
    header = "market,time," + ",".join(BAR_FIELDS)
    path.write_text(f"{header}\n{SPOT},{T0},1,1,1,1,1,0,1,0,0,0\n{SPOT},{T0 + 2},1,1,1,1,1,0,1,0,0,0\n")
    import_file(store, path, positions)
    assert list(store.records(T0 + 1, T0 + 2)) == [
        ClosingRecord(f"import:{SPOT}", T0 + 1, (T0 + 2) * 10**9, covered=(SPOT,))
    ]
