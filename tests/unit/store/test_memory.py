"""What is the memory store's own; the contract suite says the rest."""

from __future__ import annotations

from squeezeflow_plugin.market import ClosingRecord
from squeezeflow_plugin.store.memory import MemoryBarStore


def test_a_collector_that_fell_silent_is_still_found() -> None:
    store = MemoryBarStore()
    store.append([ClosingRecord("silent", 100, 0), *(ClosingRecord("main", s, 0) for s in range(100, 200))])
    assert store.last_second("silent") == 100


def test_closing_forgets_nothing() -> None:
    store = MemoryBarStore()
    store.append([ClosingRecord("main", 100, 0)])
    store.close()
    assert store.span() == (100, 101)
