"""Higher timeframes in InfluxDB: each made from the one below, in aggr-server's aggregation.

First open, highest high, lowest low, last close, sums of the rest. Continuous queries keep them going, but
only within a window that ends now; a bar that comes later than that, or a revision, changes them through
``resample``, which makes every touched bar that has ended again. Making one again gives the same bar.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from squeezeflow_plugin.market import BAR_FIELDS
from squeezeflow_plugin.store.influx_client import InfluxServer
from squeezeflow_plugin.store.influx_schema import HIGHER, SECOND, Timeframe, quoted, select, span

_AGGREGATES = {"open": "first", "high": "max", "low": "min", "close": "last"}
COLUMNS = ", ".join(f"{_AGGREGATES.get(name, 'sum')}({name}) AS {name}" for name in BAR_FIELDS)
STEPS = tuple(zip((SECOND, *HIGHER), HIGHER, strict=False))


def aggregate(database: str, source: Timeframe, target: Timeframe, where: str = "", into: bool = True) -> str:
    """The statement that makes ``target`` out of ``source``, for the rows that the condition chooses."""
    columns = COLUMNS
    if into:
        place = (database, target.policy, target.measurement)
        columns += f" INTO {'.'.join(map(quoted, place))}"
    rows = ".".join(map(quoted, (database, source.policy, source.measurement)))
    grouping = f"GROUP BY time({target.name}), market"
    if not where:  # a continuous query brings its own times
        return " ".join(("SELECT", columns, "FROM", rows, grouping))
    return f"{select(columns, rows, where)} {grouping} fill(none)"


def resample(server: InfluxServer, seconds: Iterable[int], newest: int) -> None:
    """Make every higher bar again that holds one of the seconds and has ended with second ``newest``."""
    touched = set(seconds)
    for source, target in STEPS:
        length = target.seconds
        touched = {s // length * length for s in touched if s // length * length + length <= newest + 1}
        for start, stop in _joined(sorted(touched), length):
            server.command(aggregate(server.database, source, target, span(start, stop)))


def _joined(starts: Iterable[int], length: int) -> Iterator[tuple[int, int]]:
    """Spans of bars that follow each other.

    >>> list(_joined([0, 60, 180], 60))
    [(0, 120), (180, 240)]
    """
    first = stop = None
    for start in starts:
        if first is None or stop is None:
            first = start
        elif start != stop:
            yield first, stop
            first = start
        stop = start + length
    if first is not None and stop is not None:
        yield first, stop
