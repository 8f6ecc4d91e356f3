"""The store's closing records second by second: what is complete, and what a second without any means.

A second is complete once every configured collector has closed it. Records of one collector follow
each other without gaps, so a second that a collector has passed and left no record for lies before
its first one: such a second is a *gap* and is handed on with no record at all, to become a row without
volume that nothing covers. Records of collectors that are not configured (a history written ahead)
count where they are, and are never waited for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from squeezeflow_plugin.market import ClosingRecord
from squeezeflow_plugin.store.contract import BarStore


@dataclass(frozen=True)
class ClosedSecond:
    """One complete second: its closing records ordered by collector, none where it is a gap."""

    second: int
    records: tuple[ClosingRecord, ...] = ()

    @property
    def closed_ns(self) -> int | None:
        """The market time at which the last of its collectors closed it; None for a gap."""
        return max((record.closed_ns for record in self.records), default=None)


def complete_until(store: BarStore, collectors: Iterable[str]) -> int | None:
    """The first second that is not complete; None where the store is empty.

    As long as a configured collector has never written, only what the others closed is complete: the
    history that was written ahead.
    """
    configured = frozenset(collectors)
    newest = [store.last_second(collector) for collector in sorted(configured)]
    written = [second for second in newest if second is not None]
    if written and len(written) == len(configured):
        return min(written) + 1
    others = (store.last_second(name) for name in store.collectors() if name not in configured)
    return max((second + 1 for second in others if second is not None), default=None)


def closed_seconds(store: BarStore, start: int, stop: int) -> Iterator[ClosedSecond]:
    """Every second of ``[start, stop)`` in order, gaps included; the caller knows that they are complete."""
    second = start
    found: list[ClosingRecord] = []
    for record in store.records(start, stop):
        if record.second != second:
            yield ClosedSecond(second, tuple(found))
            yield from (ClosedSecond(gap) for gap in range(second + 1, record.second))
            second, found = record.second, []
        found.append(record)
    if start < stop:
        yield ClosedSecond(second, tuple(found))
        yield from (ClosedSecond(gap) for gap in range(second + 1, stop))
