"""Files of trades as tables of one kind: Binance's public files, and tables with our own columns.

Binance's ``trades`` and ``aggTrades`` files (https://github.com/binance/binance-public-data) hold one
market each and name it in the file's name, ``BTCUSDT-trades-2024-08-08.csv`` or the zip archive of it.
Older ones have no header; the columns tell spot from futures. Spot files are in microseconds since 2025,
all others in milliseconds. COIN-M quantities are contracts. What such a file covers is the day or month of
its name.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # the same

from squeezeflow_plugin.errors import ImportFileError
from squeezeflow_plugin.feeds.exchanges.binance_futures import default_contract_size, is_coinm
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.store.files import Batch, Where, numbers, read_csv, read_parquet

TRADE_COLUMNS = ("ts_ms", "price", "size", "side", "market", "trade_id")
_OPTIONAL = {"exec_type": pa.string(), "count": pa.int64(), "liquidation": pa.bool_()}
_MARKET_EXECUTIONS = ("MARKET", "RPI", "")
_FILE_NAME = re.compile(
    r"([A-Z0-9]+(?:_[A-Z0-9]+)?)-(trades|aggTrades)(?:-(\d{4})-(\d\d)(?:-(\d\d))?)?\.(?:csv|zip)"
)
# What the rounding of an exchange's own notional can differ by, relative and absolute.
_UNIT_RELATIVE, _UNIT_ABSOLUTE = 1e-4, 1e-6


@dataclass(frozen=True)
class Source:
    """A file's rows as batches of one kind of table, trades or bars.

    Trades: ``market ns id price quote signed liquidation second``, ``signed`` being taker side x fills. Bars:
    ``market second`` and the bar's fields. ``period`` is the span that the file's name says it covers.
    """

    path: Path
    kind: str
    batches: Callable[[], Iterator[Batch]] = field(compare=False)
    period: tuple[int, int] | None = None
    unit: str = "line"


@dataclass(frozen=True)
class _Dialect:
    """The columns of one of Binance's files, in their order; ``notional`` is absent in aggTrades."""

    columns: tuple[str, ...]
    spot: bool
    aggregated: bool


_DIALECTS = (
    _Dialect(("id", "price", "qty", "notional", "time", "maker", "best"), spot=True, aggregated=False),
    _Dialect(("id", "price", "qty", "first", "last", "time", "maker", "best"), spot=True, aggregated=True),
    _Dialect(("id", "price", "qty", "notional", "time", "maker"), spot=False, aggregated=False),
    _Dialect(("id", "price", "qty", "first", "last", "time", "maker"), spot=False, aggregated=True),
)
_TYPES = {
    "id": pa.int64(),
    "price": pa.float64(),
    "qty": pa.float64(),
    "notional": pa.float64(),
    "first": pa.int64(),
    "last": pa.int64(),
    "time": pa.int64(),
    "maker": pa.bool_(),
}


def table_source(path: Path, columns: Sequence[str], parquet: bool) -> Source:
    """Trades with ``TRADE_COLUMNS`` and optionally ``exec_type count liquidation``, CSV or Parquet.

    Raises ImportFileError for a column that is not there.
    """
    missing = [name for name in TRADE_COLUMNS if name not in columns]
    if missing:
        raise ImportFileError(f"{path}: column {missing[0]} is missing; nothing is imported")
    types: dict[str, pa.DataType] = {
        "ts_ms": pa.int64(),
        "price": pa.float64(),
        "size": pa.float64(),
        "side": pa.string(),
        "market": pa.string(),
        "trade_id": pa.string(),
    }
    types |= {name: kind for name, kind in _OPTIONAL.items() if name in columns}

    def batches() -> Iterator[Batch]:
        read = read_parquet(path, types) if parquet else read_csv(path, list(columns), types, header=True)
        for batch in read:
            yield Batch(_own(batch.table, batch.where), batch.where, batch.fraction)

    return Source(path, "trades", batches, unit="row" if parquet else "line")


def _own(table: pa.Table, where: Where) -> pa.Table:
    time_ms, price, size = (numbers(table, name) for name in ("ts_ms", "price", "size"))
    where.check((time_ms > 10**11) & (time_ms < 10**13), table, "ts_ms", "a time in milliseconds")
    where.check(np.isfinite(price) & (price > 0), table, "price", "a positive number")
    where.check(np.isfinite(size) & (size > 0), table, "size", "a positive number")
    side = table.column("side")
    bought, sold = (pc.equal(side, name).to_numpy() for name in ("buy", "sell"))
    where.check(bought | sold, table, "side", "buy or sell")
    where.check(
        pc.match_substring_regex(table.column("market"), r"^[^:]+:.+$").to_numpy(),
        table,
        "market",
        "EXCHANGE:symbol",
    )
    where.check(pc.not_equal(table.column("trade_id"), "").to_numpy(), table, "trade_id", "an id")
    signed = bought.astype(np.int64) - sold
    if "count" in table.column_names:
        count = numbers(table, "count")
        where.check(count > 0, table, "count", "a number of fills")
        signed = signed * count
    liquidation = np.zeros(len(table), dtype=np.bool_)
    if "liquidation" in table.column_names:
        liquidation = numbers(table, "liquidation")
    made = _trades(
        table.column("market"),
        time_ms * 1_000_000,
        table.column("trade_id"),
        price,
        price * size,
        signed,
        liquidation,
    )
    if "exec_type" in table.column_names:
        keep = pc.is_in(table.column("exec_type"), pa.array(_MARKET_EXECUTIONS))
        made = made.filter(keep)
    return made


def binance_source(path: Path, line: str, market: str | None) -> Source | None:
    """One of Binance's files, by its name and its first line; None where it is something else.

    ``market`` replaces what the file's name says. Raises ImportFileError where neither tells the market.
    """
    cells = line.split(",")
    header = not cells[0].isdigit()
    dialect = _dialect(cells, header)
    if dialect is None:
        return None
    named = _FILE_NAME.fullmatch(path.name)
    if market is None and named is None:
        raise ImportFileError(
            f"{path}: its name does not say which market it is of (SYMBOL-trades-YYYY-MM-DD.csv); name the"
            " market, nothing is imported"
        )
    symbol = named[1] if market is None and named else (market or "").partition(":")[2].upper()
    coinm = not dialect.spot and is_coinm(symbol)
    if header and not dialect.aggregated and not dialect.spot and ("base_qty" in cells) != coinm:
        raise ImportFileError(f"{path}: column {cells[3]} does not fit {symbol}; nothing is imported")
    exchange = "BINANCE" if dialect.spot else "BINANCE_FUTURES"
    name = market or f"{exchange}:{symbol.lower()}"
    contract = default_contract_size(symbol) if coinm else 0.0
    types = {column: _TYPES[column] for column in dialect.columns if column in _TYPES}

    def batches() -> Iterator[Batch]:
        for batch in read_csv(path, list(dialect.columns), types, header):
            yield Batch(_binance(batch.table, batch.where, name, contract), batch.where, batch.fraction)

    return Source(path, "trades", batches, _period(path, named))


def _dialect(cells: Sequence[str], header: bool) -> _Dialect | None:
    """Told by the number of columns and by where true and false stand."""
    for dialect in _DIALECTS:
        if len(cells) == len(dialect.columns):
            maker = cells[dialect.columns.index("maker")].strip().lower()
            time = cells[dialect.columns.index("time")].strip().lower()
            if (header and "maker" in maker and "time" in time) or (
                not header and maker in {"true", "false"} and time.isdigit()
            ):
                return dialect
    return None


def _period(path: Path, named: re.Match[str] | None) -> tuple[int, int] | None:
    """The day or month of the name as seconds."""
    if named is None or named[3] is None:
        return None
    try:
        start = dt.datetime(int(named[3]), int(named[4]), int(named[5] or 1), tzinfo=dt.UTC)
    except ValueError as error:
        raise ImportFileError(f"{path}: its name holds no date: {error}; nothing is imported") from error
    days = 1 if named[5] else 31
    stop = start + dt.timedelta(days=days)
    if not named[5]:
        stop = stop.replace(day=1)
    return int(start.timestamp()), int(stop.timestamp())


def _binance(table: pa.Table, where: Where, market: str, contract: float) -> pa.Table:
    time, price, quantity = (numbers(table, name) for name in ("time", "price", "qty"))
    millis = (time > 10**11) & (time < 10**13)
    where.check(
        millis | ((time > 10**14) & (time < 10**16)), table, "time", "a time in milli- or microseconds"
    )
    where.check(np.isfinite(price) & (price > 0), table, "price", "a positive number")
    where.check(np.isfinite(quantity) & (quantity > 0), table, "qty", "a positive number")
    where.check(numbers(table, "id") >= 0, table, "id", "a trade id")
    quote = quantity * contract if contract else price * quantity
    signed = np.where(numbers(table, "maker"), -1, 1).astype(np.int64)
    if "notional" in table.column_names:
        theirs = numbers(table, "notional")
        ours = quote / price if contract else quote  # COIN-M says the size in the base asset
        close = np.abs(theirs - ours) <= _UNIT_RELATIVE * np.abs(ours) + _UNIT_ABSOLUTE
        where.check(close, table, "notional", f"what price and quantity of {market} give (wrong units?)")
    else:
        first, last = numbers(table, "first"), numbers(table, "last")
        where.check(last >= first, table, "last", "an id that is not below the first one")
        signed *= last - first + 1
    ns = np.where(millis, time * 1_000_000, time * 1_000)
    nothing = np.zeros(len(table), dtype=np.bool_)
    names = pa.repeat(market, len(table))
    return _trades(names, ns, table.column("id"), price, quote, signed, nothing)


def _trades(
    market: pa.Array,
    ns: npt.NDArray[np.int64],
    ids: pa.Array,
    price: npt.NDArray[np.float64],
    quote: npt.NDArray[np.float64],
    signed: npt.NDArray[np.int64],
    liquidation: npt.NDArray[np.bool_],
) -> pa.Table:
    columns: Mapping[str, object] = {
        "market": market,
        "ns": ns,
        "id": ids,
        "price": price,
        "quote": quote,
        "signed": signed,
        "liquidation": liquidation,
        "second": ns // NS_PER_SECOND,
    }
    return pa.table(columns)
