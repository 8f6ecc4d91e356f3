"""Faults behind the feeds, in simulated time: kills of the collector, a failing journal, store and bus.

The journal, the store and the bus are the real ones; while a fault lasts, they answer as theirs answers when
the disk is full, the file locked or the server gone.
"""

from __future__ import annotations

import enum
import os
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from squeezeflow_plugin.bus.memory import MemoryBarBus
from squeezeflow_plugin.errors import BusError, JournalError, StoreError
from squeezeflow_plugin.feeds.blocks import TradeBlock
from squeezeflow_plugin.journal.journal import TradeJournal
from squeezeflow_plugin.journal.segment import encode_frame
from squeezeflow_plugin.market import ClosingRecord, Trade
from squeezeflow_plugin.store.embedded import EmbeddedBarStore

HOLD_S = 20
"""So few seconds does the bus hold, that a reader who is away must turn to the store."""


class Inner(enum.Enum):
    """What can go wrong behind the feeds."""

    KILL = "kill -9"
    """The collector ends at once, in the middle of an append half of the time, and comes back later."""
    JOURNAL = "journal fails"
    """No append is taken."""
    STORE = "store refuses"
    """No record is taken."""
    UNSURE = "store silent"
    """Records are taken, and the collector is told that they are not."""
    BUS = "bus down"
    """Nothing is announced or read."""
    FLUSH = "bus emptied"
    """Everything announced is gone."""
    AWAY = "reader away"
    """Nobody follows the bus."""


_LONGEST_S = {
    Inner.KILL: 5.0,
    Inner.JOURNAL: 6.0,
    Inner.STORE: 15.0,
    Inner.UNSURE: 6.0,
    Inner.BUS: 15.0,
    Inner.FLUSH: 1.0,
    Inner.AWAY: 20.0,
}
_KILLS = (0, 1, 1, 2)


@dataclass(frozen=True)
class InnerFault:
    """One fault over ``[start_s, stop_s)``, seconds from the beginning; ``torn``: a kill in an append."""

    kind: Inner
    start_s: float
    stop_s: float
    torn: bool = False


def inner_script(seed: int, first_s: float, last_s: float) -> tuple[InnerFault, ...]:
    """Each kind once, kills up to twice, at random times, over by ``last_s``; in order of time."""
    rng = random.Random(f"inner {seed}")
    found: list[InnerFault] = []
    for kind in Inner:
        for _ in range(rng.choice(_KILLS) if kind is Inner.KILL else 1):
            length_s = rng.uniform(0.3, _LONGEST_S[kind])
            start_s = rng.uniform(first_s, last_s - length_s)
            stop_s, is_torn = start_s + length_s, kind is Inner.KILL and rng.random() < 0.5
            found.append(InnerFault(kind, start_s, stop_s, is_torn))
    return tuple(sorted(found, key=lambda fault: fault.start_s))


class Troubles:
    """Which of the faults last now, by ``now_s``."""

    def __init__(self, faults: Iterable[InnerFault], now_s: Callable[[], float]) -> None:
        self.faults = tuple(faults)
        self.now_s = now_s

    def of(self, kind: Inner) -> list[InnerFault]:
        return [fault for fault in self.faults if fault.kind is kind]

    def is_on(self, kind: Inner) -> bool:
        now_s = self.now_s()
        return any(each.kind is kind and each.start_s <= now_s < each.stop_s for each in self.faults)


class TroubledJournal(TradeJournal):
    """The journal on a disk that fails for a while."""

    def __init__(self, directory: Path, troubles: Troubles) -> None:
        super().__init__(directory)
        self._troubles = troubles
        self._newest: Sequence[Trade] | TradeBlock = ()

    def append(self, trades: Sequence[Trade]) -> None:
        if self._troubles.is_on(Inner.JOURNAL):
            raise JournalError(f"{self.directory}: cannot append {len(trades)} trades: the disk fails")
        super().append(trades)
        self._newest = trades or self._newest

    def append_block(self, block: TradeBlock) -> None:
        if self._troubles.is_on(Inner.JOURNAL):
            raise JournalError(f"{self.directory}: cannot append {len(block.ints)} trades: the disk fails")
        super().append_block(block)
        self._newest = block

    def mark(self, second: int) -> None:
        if self._troubles.is_on(Inner.JOURNAL):
            raise JournalError(f"{self.directory}: cannot append a mark: the disk fails")
        super().mark(second)

    def tear(self) -> None:
        """Leave what a kill in the middle of an append leaves; to be called when it is closed."""
        newest = self._newest.newest() if isinstance(self._newest, TradeBlock) else self._newest
        if newest and (segments := self.segments()):
            frame = encode_frame(newest)
            with segments[-1].open("ab") as file:
                file.write(frame[: len(frame) // 2])
                os.fsync(file.fileno())


class TroubledStore(EmbeddedBarStore):
    """The store in a file that is locked for a while."""

    def __init__(self, path: Path, troubles: Troubles) -> None:
        super().__init__(path)
        self._troubles = troubles

    def append(self, records: Iterable[ClosingRecord]) -> None:
        if self._troubles.is_on(Inner.STORE):
            raise StoreError("the store is locked; nothing was stored")
        super().append(records)
        if self._troubles.is_on(Inner.UNSURE):
            raise StoreError("the store says nothing")


class TroubledBus(MemoryBarBus):
    """A bus that is away for a while."""

    def __init__(self, troubles: Troubles) -> None:
        super().__init__(HOLD_S)
        self._troubles = troubles

    def publish(self, records: Sequence[ClosingRecord]) -> None:
        self._check()
        super().publish(records)

    def last_second(self, collector: str) -> int | None:
        self._check()
        return super().last_second(collector)

    def follow(self, collector: str, after: int, timeout_s: float) -> tuple[ClosingRecord, ...]:
        self._check()
        return super().follow(collector, after, timeout_s)

    def _check(self) -> None:
        if self._troubles.is_on(Inner.BUS):
            raise BusError("the bus does not answer")
