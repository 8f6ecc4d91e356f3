"""The bus in memory keeps the last records only (the contract suite tests the rest)."""

from __future__ import annotations

from squeezeflow_plugin.bus.memory import MemoryBarBus
from squeezeflow_plugin.market import ClosingRecord


def test_no_more_than_the_hold_is_kept() -> None:
    bus = MemoryBarBus(hold_seconds=3)
    bus.publish([ClosingRecord("main", second, second * 10**9) for second in range(10)])
    assert [record.second for record in bus.follow("main", 6, 0)] == [7, 8, 9]
