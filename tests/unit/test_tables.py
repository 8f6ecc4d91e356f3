"""Files of trades and bars: what is written is read again, and appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from squeezeflow_plugin.errors import FrameError
from squeezeflow_plugin.market import Trade
from squeezeflow_plugin.tables import is_parquet, read_parsed_trades, read_table, write_table

LINE = (
    '{"line":7,"market":"X:a","exchange_ns":5,"trade_id":"9","price":2.0,"size":1.5,"quote":3.0,'
    '"side":"sell","count":2,"liquidation":true}\n'
)


def test_parsed_lines_are_the_trades_they_were(tmp_path: Path) -> None:
    (tmp_path / "trades.jsonl").write_text(LINE + "\n" + LINE.replace('"9"', "10"))
    first = Trade("X:a", 5, "9", 2.0, 1.5, 3.0, -1, 2, True)
    second = Trade("X:a", 5, "10", 2.0, 1.5, 3.0, -1, 2, True)
    assert read_parsed_trades(tmp_path / "trades.jsonl") == [first, second]
    assert not is_parquet(tmp_path / "trades.jsonl")


def test_tables_come_back_as_written(tmp_path: Path) -> None:
    frame = pd.DataFrame({"time": [1, 2], "close": [1.5, float("nan")], "market": ["X:a", "X:b"]})
    write_table(frame, tmp_path / "table.parquet")
    assert is_parquet(tmp_path / "table.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "table.parquet"), frame)
    assert [path.name for path in tmp_path.iterdir()] == ["table.parquet"]


def test_what_is_no_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "lines.jsonl").write_text(LINE)
    with pytest.raises(FrameError, match=r"lines\.jsonl: is no Parquet file"):
        read_table(tmp_path / "lines.jsonl")
    with pytest.raises(FrameError, match=r"none\.jsonl: cannot be read"):
        read_parsed_trades(tmp_path / "none.jsonl")
