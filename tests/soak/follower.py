"""A reader of the bus as the bot is one: what does not follow, or does not come, is read from the store."""

from __future__ import annotations

import threading

import msgspec

from squeezeflow_plugin.bus.redis import RedisBarBus
from squeezeflow_plugin.errors import BusError, BusGapError
from squeezeflow_plugin.market import ClosingRecord
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from tests.redis_server import RedisServer

_WAIT_S = 0.5


class Follower:
    """Reads every second after ``after`` on a thread; ``from_bus`` counts those the bus gave."""

    def __init__(self, settings: Settings, server: RedisServer, after: int) -> None:
        self.from_bus = 0
        self._settings = settings
        self._server = server
        self._after = after
        self._read: list[ClosingRecord] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(30)

    def misread(self) -> int:
        """How many of the seconds read are repeated, skipped, or other than the store has them."""
        store = EmbeddedBarStore(self._settings.store_path, readonly=True)
        first = self._after + 1
        kept = list(store.records(first, first + len(self._read), [self._settings.collector]))
        store.close()
        pairs = zip(self._read, kept, strict=False)
        return abs(len(kept) - len(self._read)) + sum(_bytes(one) != _bytes(two) for one, two in pairs)

    def _run(self) -> None:
        bus = RedisBarBus(self._server.client(1.0))
        store = EmbeddedBarStore(self._settings.store_path, readonly=True)
        at, name = self._after, self._settings.collector
        while not self._stopping.is_set():
            try:
                records = bus.follow(name, at, _WAIT_S)
                self.from_bus += len(records)
            except (BusGapError, BusError):
                records = ()
                self._stopping.wait(0.05)
            records = records or tuple(store.records(at + 1, at + 600, [name]))
            if records:
                self._read += records
                at = records[-1].second
        bus.close()
        store.close()


def _bytes(record: ClosingRecord) -> bytes:
    return msgspec.msgpack.encode(record)
