"""A reader of the bus in simulated time, as the bot is one: what does not follow, or come, is read from the
store."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from squeezeflow_plugin.errors import BusError, BusGapError
from squeezeflow_plugin.market import ClosingRecord
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from tests.soak.inner import Inner, TroubledBus, Troubles

_EVERY_S = 0.7
_AT_ONCE = 600


class WireReader:
    """Follows one collector from the first second that it finds stored."""

    def __init__(self, collector: str, bus: TroubledBus, path: Path, troubles: Troubles) -> None:
        self.from_bus = 0
        self._collector = collector
        self._bus = bus
        self._store = EmbeddedBarStore(path, readonly=True)
        self._troubles = troubles
        self._at: int | None = None
        self._read: list[ClosingRecord] = []

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            if not self._troubles.is_on(Inner.AWAY):
                self.read()

    def read(self) -> None:
        """Take what there is."""
        if self._at is None:
            self._at = self._store.last_second(self._collector)
            return
        records: tuple[ClosingRecord, ...] = ()
        try:
            records = self._bus.follow(self._collector, self._at, 0.0)
            self.from_bus += len(records)
        except (BusGapError, BusError):
            records = ()
        if not records:
            span = self._at + 1, self._at + 1 + _AT_ONCE
            records = tuple(self._store.records(*span, [self._collector]))
        self._read += records
        if records:
            self._at = records[-1].second

    def misread(self) -> int:
        """How many of the seconds up to the last are repeated, skipped, or other than the store has them."""
        if not self._read:
            return 1
        last = self._store.last_second(self._collector) or 0
        kept = list(self._store.records(self._read[0].second, last + 1, [self._collector]))
        pairs = zip(self._read, kept, strict=False)
        return abs(len(kept) - len(self._read)) + sum(_bytes(one) != _bytes(two) for one, two in pairs)

    def close(self) -> None:
        self._store.close()


def _bytes(record: ClosingRecord) -> bytes:
    return msgspec.msgpack.encode(record)
