"""Files of bars as tables of one kind: our own columns in CSV or Parquet, and aggr-server's line protocol.

In line protocol a field that is not there is what aggr-server means by it: a volume or count of 0, a price
that the second did not have
(https://docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_reference/).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # the same

from squeezeflow_plugin.errors import ImportFileError
from squeezeflow_plugin.market import BAR_FIELDS
from squeezeflow_plugin.store.files import Batch, Where, numbers, read_csv, read_lines, read_parquet
from squeezeflow_plugin.store.import_trades import Source

BAR_COLUMNS = ("market", "time", *BAR_FIELDS)
MEASUREMENT = "trades_1s"
_PRICES = BAR_FIELDS[:4]
_COUNTS = ("cbuy", "csell")
_LARGEST_COUNT = 2**32 - 1
_LINES = 1 << 16
_TYPES = {
    "market": pa.string(),
    "time": pa.int64(),
    **{name: pa.int64() if name in _COUNTS else pa.float64() for name in BAR_FIELDS},
}
# measurement and tags; fields; time - separated by spaces that no backslash stands before
_LINE = re.compile(
    r"(?P<measurement>(?:\\.|[^, \\])+)(?P<tags>(?:\\.|[^ \\])*) (?P<fields>[^ ]+)(?: (?P<time>-?\d+))?"
)
_TAG = re.compile(r",((?:\\.|[^,=\\])+)=((?:\\.|[^,\\])+)")
_ESCAPED = re.compile(r"\\([,= \\])")
_UNIT_OF_DIGITS = {10: 1, 13: 10**3, 16: 10**6, 19: 10**9}


def table_source(path: Path, columns: Sequence[str], parquet: bool) -> Source:
    """Bars with ``BAR_COLUMNS``, CSV or Parquet. Raises ImportFileError for a column that is not there."""
    missing = [name for name in BAR_COLUMNS if name not in columns]
    if missing:
        raise ImportFileError(f"{path}: column {missing[0]} is missing; nothing is imported")

    def batches() -> Iterator[Batch]:
        read = read_parquet(path, _TYPES) if parquet else read_csv(path, list(columns), _TYPES, header=True)
        for batch in read:
            yield Batch(_checked(batch.table, batch.where), batch.where, batch.fraction)

    return Source(path, "bars", batches, unit="row" if parquet else "line")


def line_source(path: Path) -> Source:
    """Points of ``trades_1s``; comments and the statements of an export are passed over."""

    def batches() -> Iterator[Batch]:
        for lines, first, fraction in read_lines(path):
            for at in range(0, len(lines), _LINES):
                table, where = _points(lines[at : at + _LINES], Where(path, "line", first + at))
                if len(table):
                    yield Batch(_checked(table, where), where, fraction)

    return Source(path, "bars", batches)


def is_line_protocol(line: str) -> bool:
    """Whether a file that begins with this line is line protocol, or an export of it.

    >>> is_line_protocol("trades_1s,market=BINANCE:btcusdt open=1 1723161600"), is_line_protocol("a,b,c")
    (True, False)
    """
    return line.startswith(("#", "CREATE ")) or _LINE.fullmatch(line) is not None


def _points(lines: Sequence[bytes], where: Where) -> tuple[pa.Table, Where]:
    """The points as a table, and where each of them stood."""
    rows: list[tuple[str, int, dict[str, float]]] = []
    places = []
    for index, raw in enumerate(lines):
        if not raw or raw.startswith((b"#", b"CREATE ")):
            continue
        rows.append(_point(raw, index, where))
        places.append(where.number(index))
    columns: dict[str, object] = {
        "market": pa.array([market for market, _, _ in rows], pa.string()),
        "time": np.array([time for _, time, _ in rows], dtype=np.int64),
    }
    for name in BAR_FIELDS:
        absent = math.nan if name in _PRICES else 0.0
        values = np.array([fields.get(name, absent) for _, _, fields in rows], dtype=np.float64)
        if name in _COUNTS:
            whole = (values >= 0) & (values <= _LARGEST_COUNT) & (values == np.floor(values))
            if not whole.all():
                at = int(np.argmin(whole))
                Where(where.path, "line", 0, places).refuse(at, f"{name} {values[at]} is not a count")
            values = values.astype(np.int64)
        columns[name] = values
    return pa.table(columns), Where(where.path, "line", 0, places)


def _point(raw: bytes, index: int, where: Where) -> tuple[str, int, dict[str, float]]:
    """Market, second and fields of one line."""
    try:
        found = _LINE.fullmatch(raw.decode())
    except UnicodeDecodeError:
        found = None
    if found is None:
        where.refuse(index, f"{raw[:80]!r} is no line protocol")
    if found["measurement"] != MEASUREMENT:
        where.refuse(index, f"measurement {found['measurement']} is not {MEASUREMENT}")
    tags = {_unescaped(name): _unescaped(value) for name, value in _TAG.findall(found["tags"])}
    if tags.keys() != {"market"}:
        where.refuse(index, f"its tags are {', '.join(sorted(tags)) or 'none'}, expected market")
    unit = _UNIT_OF_DIGITS.get(len(found["time"] or ""))
    time = int(found["time"] or 0)
    if unit is None or time % unit:
        where.refuse(index, f"{found['time']} is not the time of a whole second")
    fields = {}
    for part in found["fields"].split(","):
        name, _, value = part.partition("=")
        if name not in BAR_FIELDS:
            where.refuse(index, f"field {name!r} is not one of {' '.join(BAR_FIELDS)}")
        try:
            fields[name] = float(value.removesuffix("i"))
        except ValueError:
            where.refuse(index, f"{name} {value!r} is not a number")
    return tags["market"], time // unit, fields


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


def _checked(table: pa.Table, where: Where) -> pa.Table:
    """The table with ``second`` in place of ``time``, after every value has been looked at."""
    time = numbers(table, "time")
    where.check((time > 10**8) & (time < 10**10), table, "time", "a time in seconds")
    names = table.column("market")
    where.check(pc.match_substring_regex(names, r"^[^:]+:.+$").to_numpy(), table, "market", "EXCHANGE:symbol")
    prices = {name: numbers(table, name) for name in _PRICES}
    absent = np.logical_and.reduce([np.isnan(values) for values in prices.values()])
    for name, values in prices.items():
        where.check(absent | (np.isfinite(values) & (values > 0)), table, name, "a positive number")
    where.check(absent | _is_highest(prices), table, "high", "at least open, low and close")
    where.check(absent | _is_lowest(prices), table, "low", "at most open and close")
    for name in ("vbuy", "vsell", "lbuy", "lsell"):
        values = numbers(table, name)
        where.check(np.isfinite(values) & (values >= 0), table, name, "a volume in quote currency")
    for name in _COUNTS:
        values = numbers(table, name)
        where.check((values >= 0) & (values <= _LARGEST_COUNT), table, name, "a count")
    return table.rename_columns(["second" if name == "time" else name for name in table.column_names])


def _is_highest(prices: dict[str, npt.NDArray[np.float64]]) -> npt.NDArray[np.bool_]:
    return prices["high"] >= np.maximum(np.maximum(prices["open"], prices["close"]), prices["low"])


def _is_lowest(prices: dict[str, npt.NDArray[np.float64]]) -> npt.NDArray[np.bool_]:
    return prices["low"] <= np.minimum(prices["open"], prices["close"])
