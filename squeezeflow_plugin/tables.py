"""Tables and files of trades and bars: pandas and Parquet on one side, columns of ``bars`` on the other.

Everything that comes in is checked; FrameError names the column (or the file's line), the row, counted
from 0, and the value.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from squeezeflow_plugin.bars.columns import BarTable, TradeColumns, id_ranks
from squeezeflow_plugin.errors import FrameError
from squeezeflow_plugin.market import BAR_FIELDS, Side, Trade

TRADE_COLUMNS = ("ts_ms", "price", "size", "side", "market", "trade_id")
# Binance's execution types that are trades on the market; insurance fund, ADL and NA are not.
MARKET_EXECUTIONS = ("MARKET", "RPI", "")
_SIDES = {"buy": int(Side.BUY), "sell": int(Side.SELL), 1: int(Side.BUY), -1: int(Side.SELL)}
_NS_PER_MS = 1_000_000
_MAX_MS = np.iinfo(np.int64).max // _NS_PER_MS


class _Rows:
    """The rows of a frame that count, read column by column; remembers where they stood."""

    def __init__(self, frame: pd.DataFrame) -> None:
        if "exec_type" in frame:
            kinds = frame["exec_type"]
            keep = (kinds.isna() | kinds.isin(MARKET_EXECUTIONS)).to_numpy()
            self._places = np.flatnonzero(keep)
            frame = frame.iloc[self._places]
        else:
            self._places = np.arange(len(frame))
        self.frame = frame

    def __len__(self) -> int:
        return len(self.frame)

    def check(self, name: str, good: npt.NDArray[np.bool_], what: str) -> None:
        """Raise FrameError for the first row that is not good."""
        if not good.all():
            at = int(np.argmin(good))
            value = self.frame[name].iloc[at]
            value = value.item() if isinstance(value, np.generic) else value
            raise FrameError(f"column {name}, row {self._places[at]}: {value!r} is not {what}")

    def floats(self, name: str) -> npt.NDArray[np.float64]:
        values = pd.to_numeric(self.frame[name], errors="coerce").to_numpy(np.float64, na_value=np.nan)
        self.check(name, np.isfinite(values) & (values > 0), "a positive number")
        return values

    def integers(self, name: str, low: int, high: int, what: str) -> npt.NDArray[np.int64]:
        column = self.frame[name]
        if column.dtype.kind not in "iu":
            if column.dtype.kind in "bmM":
                raise FrameError(f"column {name} holds {column.dtype}, not {what}")
            values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
            self.check(name, np.isfinite(values) & (values == np.floor(values)), what)
            self.check(name, (values >= low) & (values <= high), what)
            return values.astype(np.int64)
        whole = column.to_numpy()
        self.check(name, (whole >= low) & (whole <= high), what)
        return whole.astype(np.int64)

    def codes(self, name: str, what: str) -> tuple[npt.NDArray[np.int64], list[Any]]:
        """Each row's place in the list of the column's distinct values; NaN and None are refused."""
        codes, values = pd.factorize(self.frame[name])
        self.check(name, codes >= 0, what)
        return codes.astype(np.int64), list(values)


def trades_of_frame(frame: pd.DataFrame) -> TradeColumns:
    """The trades of a table with ``TRADE_COLUMNS`` and optionally ``exec_type count liquidation``.

    Rows of an ``exec_type`` that is no market trade are left out. ``side`` is buy or sell (or +1, -1),
    ``market`` the aggr name, ``trade_id`` whole numbers or text; volume is price x size. Raises FrameError.
    """
    missing = [name for name in TRADE_COLUMNS if name not in frame]
    if missing:
        raise FrameError(f"column {missing[0]} is missing; a table of trades has {', '.join(TRADE_COLUMNS)}")
    rows = _Rows(frame)
    time_ms = rows.integers("ts_ms", 0, _MAX_MS, "an exchange time in whole milliseconds")
    price, size = rows.floats("price"), rows.floats("size")
    market, names = rows.codes("market", "a market's name")
    named = np.array([isinstance(name, str) and name != "" for name in names], dtype=np.bool_)
    rows.check("market", named[market], "a market's name")
    signed = _sides(rows)
    if "count" in frame:
        signed = signed * rows.integers("count", 1, np.iinfo(np.int32).max, "a number of fills")
    liquidation = np.zeros(len(rows), dtype=np.bool_)
    if "liquidation" in frame:
        flags, values = rows.codes("liquidation", "true or false")
        known = np.array([value in (0, 1) for value in values], dtype=np.bool_)
        rows.check("liquidation", known[flags], "true or false")
        liquidation = np.array([bool(value) for value in values], dtype=np.bool_)[flags]
    return TradeColumns(
        tuple(names), market, time_ms * _NS_PER_MS, _ranks(rows), price, price * size, signed, liquidation
    )


def _sides(rows: _Rows) -> npt.NDArray[np.int64]:
    codes, values = rows.codes("side", "buy or sell")
    signs = np.array([_SIDES.get(value, 0) for value in values], dtype=np.int64)
    rows.check("side", signs[codes] != 0, "buy or sell")
    return signs[codes]


def _ranks(rows: _Rows) -> npt.NDArray[np.int64]:
    kind = rows.frame["trade_id"].dtype.kind
    if kind in "iu":
        return id_ranks(rows.frame["trade_id"].to_numpy())
    if kind == "f":
        # What a column of whole numbers becomes where rows without one stood beside; 2^53 is where it blurs.
        return id_ranks(rows.integers("trade_id", 0, 1 << 53, "a trade id"))
    codes, values = rows.codes("trade_id", "a trade id")
    return id_ranks([str(value) for value in values])[codes] if values else codes


def frame_of_bars(table: BarTable) -> pd.DataFrame:
    """``market time open high low close vbuy vsell cbuy csell lbuy lsell``, ordered by (time, market)."""
    names = np.array(table.names, dtype=object)
    columns = {name: getattr(table, name) for name in BAR_FIELDS}
    return pd.DataFrame({"market": names[table.market], "time": table.second, **columns})


class _ParsedTrade(msgspec.Struct):
    """One line of ``squeezeflow parse``."""

    market: str
    exchange_ns: int
    trade_id: str | int
    price: float
    size: float
    quote: float
    side: int | str
    count: int = 1
    liquidation: bool = False


_PARSED = msgspec.json.Decoder(_ParsedTrade)


def is_parquet(path: Path | str) -> bool:
    """Whether the file begins as Parquet does. Raises FrameError where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return file.read(4) == b"PAR1"
    except OSError as error:
        raise FrameError(f"{path}: cannot be read: {error.strerror}") from error


def read_table(path: Path | str) -> pd.DataFrame:
    """A Parquet file as a frame. Raises FrameError naming the file."""
    if not is_parquet(path):
        raise FrameError(f"{path}: is no Parquet file")
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise FrameError(f"{path}: cannot be read as Parquet: {str(error).rstrip('.')}") from error


def write_table(frame: pd.DataFrame, path: Path | str) -> None:
    """Write Parquet; the file appears whole or not at all. Raises FrameError naming the file."""
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        frame.to_parquet(unfinished, index=False)
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise FrameError(f"{path}: cannot be written: {error.strerror or error}") from error


def read_parsed_trades(path: Path | str) -> list[Trade]:
    """The JSON lines that ``squeezeflow parse`` writes. Raises FrameError naming file, line and value."""
    trades = []
    try:
        with Path(path).open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    trades.append(_parsed_trade(line, f"{path}, line {number}"))
    except OSError as error:
        raise FrameError(f"{path}: cannot be read: {error.strerror}") from error
    return trades


def _parsed_trade(line: bytes, where: str) -> Trade:
    try:
        parsed = _PARSED.decode(line)
    except msgspec.MsgspecError as error:
        raise FrameError(f"{where}: {error}") from error
    for name in ("price", "size", "quote"):
        value = getattr(parsed, name)
        if not (math.isfinite(value) and value > 0):
            raise FrameError(f"{where}: {name} {value!r} is not a positive number")
    if parsed.side not in _SIDES:
        raise FrameError(f"{where}: side {parsed.side!r} is not buy or sell")
    if parsed.count < 1:
        raise FrameError(f"{where}: count {parsed.count} is not a number of fills")
    return Trade(
        parsed.market,
        parsed.exchange_ns,
        str(parsed.trade_id),
        parsed.price,
        parsed.size,
        parsed.quote,
        _SIDES[parsed.side],
        parsed.count,
        parsed.liquidation,
    )
