"""What a closing record must be before any store takes it."""

from __future__ import annotations

from squeezeflow_plugin.errors import StoreError
from squeezeflow_plugin.market import NS_PER_SECOND, ClosingRecord


def check_record(record: ClosingRecord) -> None:
    """Raise StoreError naming the record and the value where the record contradicts itself.

    A bar stands in the record of its own second, a revision in a later one; a record holds one bar of a
    market and second; a market is covered or uncovered; a repaired span is not empty and lies before the
    record's end; a ticker speaks of no later time than that either, and of each market there is one.

    >>> check_record(ClosingRecord("main", 100, 100_400_000_000, covered=("BINANCE:btcusdt",)))
    """
    second = record.second
    if any(bar.second != second for bar in record.bars):
        wrong = next(bar for bar in record.bars if bar.second != second)
        raise _error(record, f"a bar of {wrong.market} is of second {wrong.second}")
    if any(bar.second >= second for bar in record.revisions):
        wrong = next(bar for bar in record.revisions if bar.second >= second)
        raise _error(
            record, f"a revision of {wrong.market} is of second {wrong.second}, which is not earlier"
        )
    if len({bar.market for bar in record.bars}) != len(record.bars) or (
        record.revisions and len({(b.market, b.second) for b in record.revisions}) != len(record.revisions)
    ):
        raise _error(record, "a market has two bars of one second")
    named = record.covered + record.uncovered
    if len(set(named)) != len(named):
        twice = next(name for name in named if named.count(name) > 1)
        raise _error(record, f"{twice} is named twice in its coverage")
    for span in record.repaired:
        if not span.start < span.stop <= second + 1:
            raise _error(record, f"repaired span [{span.start}, {span.stop}) of {span.market} is impossible")
    for ticker in record.tickers:
        if ticker.exchange_ns >= (second + 1) * NS_PER_SECOND:
            raise _error(
                record, f"the ticker of {ticker.market} is of {ticker.exchange_ns} ns, which is later"
            )
    if len({ticker.market for ticker in record.tickers}) != len(record.tickers):
        raise _error(record, "a market has two tickers")


def _error(record: ClosingRecord, reason: str) -> StoreError:
    return StoreError(
        f"closing record of collector {record.collector!r}, second {record.second}: {reason};"
        " nothing was stored"
    )
