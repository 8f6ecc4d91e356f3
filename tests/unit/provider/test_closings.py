"""Which seconds are complete, and what is handed on for them."""

from __future__ import annotations

from squeezeflow_plugin.market import ClosingRecord
from squeezeflow_plugin.provider.closings import ClosedSecond, closed_seconds, complete_until
from squeezeflow_plugin.store.memory import MemoryBarStore


def store_of(**seconds: range) -> MemoryBarStore:
    store = MemoryBarStore()
    for collector, closed in seconds.items():
        store.append(ClosingRecord(collector, second, (second + 1) * 10**9) for second in closed)
    return store


def test_an_empty_store_has_no_complete_second() -> None:
    assert complete_until(MemoryBarStore(), ["main"]) is None


def test_the_slowest_configured_collector_decides() -> None:
    store = store_of(main=range(10, 20), other=range(10, 15))
    assert complete_until(store, ["main", "other"]) == 15
    assert complete_until(store, ["main"]) == 20


def test_a_history_is_complete_before_the_collector_has_written() -> None:
    store = store_of(history=range(10, 20))
    assert complete_until(store, ["main"]) == 20


def test_a_collector_that_never_wrote_holds_back_what_follows_the_history() -> None:
    store = store_of(history=range(10, 20), main=range(22, 30))
    assert complete_until(store, ["main", "other"]) == 20
    assert complete_until(store, ["main"]) == 30


def test_gaps_are_handed_on_as_seconds_without_records() -> None:
    store = store_of(history=range(10, 12), main=range(14, 16))
    seconds = list(closed_seconds(store, 9, 17))
    assert [item.second for item in seconds] == list(range(9, 17))
    assert [len(item.records) for item in seconds] == [0, 1, 1, 0, 0, 1, 1, 0]
    assert seconds[0] == ClosedSecond(9)
    assert [item.closed_ns for item in seconds[2:4]] == [12 * 10**9, None]


def test_the_records_of_a_second_come_ordered_by_collector() -> None:
    store = store_of(b=range(10, 12), a=range(10, 12))
    assert [[r.collector for r in item.records] for item in closed_seconds(store, 10, 12)] == [["a", "b"]] * 2


def test_an_empty_span_has_no_seconds() -> None:
    assert list(closed_seconds(MemoryBarStore(), 5, 5)) == []
