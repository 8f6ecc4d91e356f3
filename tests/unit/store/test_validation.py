"""Records that contradict themselves."""

from __future__ import annotations

import pytest

from squeezeflow_plugin.errors import StoreError
from squeezeflow_plugin.market import Bar, ClosingRecord, Interval
from squeezeflow_plugin.store.validation import check_record


def bar(market: str, second: int) -> Bar:
    return Bar(market, second, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0, 0, 0.0, 0.0)


def test_bars_revisions_and_repairs_of_their_seconds_pass() -> None:
    check_record(
        ClosingRecord(
            "main",
            100,
            0,
            bars=(bar("A:x", 100), bar("B:x", 100)),
            revisions=(bar("A:x", 98), bar("A:x", 99)),
            covered=("A:x",),
            uncovered=("B:x",),
            repaired=(Interval("B:x", 90, 101),),
        )
    )


def test_the_message_names_collector_second_and_value() -> None:
    with pytest.raises(
        StoreError, match=r"collector 'main', second 100: a bar of A:x is of second 99; nothing"
    ):
        check_record(ClosingRecord("main", 100, 0, (bar("A:x", 99),)))
