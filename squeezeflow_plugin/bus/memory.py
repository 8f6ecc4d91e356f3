"""The bus in memory, for tests and for a publisher and readers that live in one process."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from itertools import pairwise, takewhile

import msgspec

from squeezeflow_plugin.bus.contract import HOLD_SECONDS
from squeezeflow_plugin.errors import BusConflictError, BusGapError
from squeezeflow_plugin.market import ClosingRecord


class MemoryBarBus:
    """Keeps the ``BarBus`` contract for one process, from any of its threads."""

    def __init__(self, hold_seconds: int = HOLD_SECONDS) -> None:
        self._hold_seconds = hold_seconds
        self._streams: dict[str, deque[ClosingRecord]] = {}
        self._changed = threading.Condition()

    def publish(self, records: Sequence[ClosingRecord]) -> None:
        """As the contract says."""
        with self._changed:
            for record in records:
                self._add(record)
            self._changed.notify_all()

    def last_second(self, collector: str) -> int | None:
        """As the contract says."""
        with self._changed:
            stream = self._streams.get(collector)
            return stream[-1].second if stream else None

    def forget(self, collector: str) -> None:
        """As the contract says."""
        with self._changed:
            self._streams.pop(collector, None)

    def follow(self, collector: str, after: int, timeout_s: float) -> tuple[ClosingRecord, ...]:
        """As the contract says."""
        with self._changed:
            self._changed.wait_for(lambda: self._newer(collector, after), timeout_s)
            found = self._newer(collector, after)
        if not found:
            return ()
        if found[0].second != after + 1:
            raise BusGapError(
                f"bus: collector {collector!r} goes on at second {found[0].second}, not at {after + 1};"
                " the store has what is between"
            )
        joined = takewhile(lambda two: two[1].second == two[0].second + 1, pairwise(found))
        return (found[0], *(later for _, later in joined))

    def close(self) -> None:
        """Nothing to do; the records stay."""

    def _add(self, record: ClosingRecord) -> None:
        stream = self._streams.setdefault(record.collector, deque(maxlen=self._hold_seconds))
        if not stream or record.second > stream[-1].second:
            stream.append(record)
            return
        held = next((each for each in stream if each.second == record.second), None)
        # Encoded, because a NaN price differs from itself.
        same = held is not None and msgspec.msgpack.encode(held) == msgspec.msgpack.encode(record)
        if not same and record.second >= stream[0].second:
            raise BusConflictError(
                f"bus: collector {record.collector!r} has passed second {record.second} with"
                f" {'another record' if held else 'no record'}; the stream stays as it is"
            )

    def _newer(self, collector: str, after: int) -> list[ClosingRecord]:
        return [record for record in self._streams.get(collector, ()) if record.second > after]
