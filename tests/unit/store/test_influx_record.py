"""Closing records as points: nothing is lost on the way, and a record knows its own bars."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.errors import StoreCorruptError, StoreIncompleteError
from squeezeflow_plugin.market import Bar, ClosingRecord, Interval
from squeezeflow_plugin.store.influx_record import checksum, closing_of, digest

MARKETS = ("A:x", "B:y", "C:z", "D:w")
names = st.lists(st.sampled_from(MARKETS), unique=True).map(tuple)


def bar(market: str, second: int = 7, revision: int = 0, close: float = 2.0) -> Bar:
    return Bar(market, second, 1.0, 3.0, 1.0, close, 4.0, 5.0, 1, 2, 0.0, 0.5, revision)


@given(covered=names, uncovered=names, own=names, revised=names, repaired=st.booleans())
def test_a_record_comes_back_as_it_was(
    covered: tuple[str, ...],
    uncovered: tuple[str, ...],
    own: tuple[str, ...],
    revised: tuple[str, ...],
    repaired: bool,
) -> None:
    record = ClosingRecord(
        "main", 7, 8_400_000_000, tuple(map(bar, own)), tuple(bar(m, 3, 1) for m in revised), covered,
        tuple(m for m in uncovered if m not in covered), (Interval("A:x", 1, 5),) if repaired else (),
    )  # fmt: skip  # the record's fields in their order
    closing, listed = closing_of(record)
    assert closing.own_markets(listed) == own
    assert closing.record(listed, record.bars) == record
    assert closing.lag == (4 if revised else None)


def test_the_usual_record_needs_no_odd_field() -> None:
    closing, listed = closing_of(ClosingRecord("main", 7, 8, (bar("A:x"),), (), ("A:x", "C:z"), ("B:y",)))
    assert listed == ("A:x", "B:y", "C:z")
    assert (closing.covered, closing.bars, closing.odd, closing.revised) == ("5", "1", None, None)
    assert closing.line() == (
        f'closings_1s,collector=main closed_ns=8i,markets="{digest(listed)}",covered="5",bars="1",'
        f"checksum={closing.checksum}i 7"
    )


def test_bars_that_are_not_its_own_are_refused() -> None:
    closing, listed = closing_of(ClosingRecord("main", 7, 8, (bar("A:x"), bar("B:y"))))
    for wrong in ((bar("A:x"),), (bar("A:x"), bar("B:y", close=2.5)), (bar("B:y"), bar("A:x"))):
        with pytest.raises(StoreIncompleteError, match="collector 'main', second 7 are not those"):
            closing.record(listed, wrong)


def test_every_nan_counts_as_the_same_price() -> None:
    other_nan = math.copysign(math.nan, -1.0)
    assert checksum([bar("A:x", close=math.nan)]) == checksum([bar("A:x", close=other_nan)])
    assert checksum([bar("A:x", close=math.nan)]) != checksum([bar("A:x")])


def test_what_is_kept_does_not_make_another_record() -> None:
    closing, _ = closing_of(ClosingRecord("main", 7, 8, (bar("A:x"),)))
    assert closing.says_the_same(replace(closing, kept="something"))
    assert not closing.says_the_same(replace(closing, closed_ns=9))


def test_damage_is_named() -> None:
    closing, listed = closing_of(ClosingRecord("main", 7, 8, (), (bar("A:x", 3, 1),)))
    with pytest.raises(StoreCorruptError, match="'main', second 7 in InfluxDB cannot be unpacked"):
        replace(closing, revised="!").record(listed, ())
    assert msgspec.msgpack.encode(closing.revisions()) == msgspec.msgpack.encode((bar("A:x", 3, 1),))
