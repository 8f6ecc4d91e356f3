"""The one contract of bars in flight; ``memory`` and ``redis`` keep it, tests/contracts proves it.

The bus is never the truth. It carries each closing record once, in order, from one collector to any number
of readers, holds the last hour or so, and may lose everything at any moment: the store has it all. A reader
is told, never left to guess, when what it would get next is not what follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from squeezeflow_plugin.market import ClosingRecord

HOLD_SECONDS = 3600  # at 100 markets some 40 MB; a reader that was away for longer reads the store


class BarBus(Protocol):
    """One stream of closing records a collector; one publisher each, any readers. One thread at a time.

    Every call is bounded in time and raises BusError where the bus cannot be reached or refuses.
    """

    def publish(self, records: Sequence[ClosingRecord]) -> None:
        """Announce the records of one collector, in the order of their seconds.

        A record that the bus carries already, or no longer holds, is passed over. One whose second the
        bus has passed with something else raises BusConflictError; those before it have been announced.
        """
        ...

    def last_second(self, collector: str) -> int | None:
        """The newest second announced for the collector; None where the bus holds nothing of it."""
        ...

    def forget(self, collector: str) -> None:
        """Drop the collector's stream, so that another life of it can begin."""
        ...

    def follow(self, collector: str, after: int, timeout_s: float) -> tuple[ClosingRecord, ...]:
        """The records that follow second ``after`` without a gap, oldest first; waits for the first one.

        Returns at once what is there, at most some hundred records; nothing where ``timeout_s`` passed.
        Raises BusGapError where the next record held is not that of ``after + 1`` or cannot be read.
        """
        ...

    def close(self) -> None: ...
