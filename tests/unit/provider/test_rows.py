"""Rows of one asset: what a bar, a revision and a missing bar do to them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from squeezeflow_plugin.bars.flow import AssetMarkets
from squeezeflow_plugin.errors import EngineError, FrameError
from squeezeflow_plugin.features.layout import CLOSE, INPUT_NAMES
from squeezeflow_plugin.market import Bar, ClosingRecord, Interval
from squeezeflow_plugin.provider.rows import ROW_NAMES, AssetRows

A, B, P = "X:a", "X:b", "X:p"
MARKETS = AssetMarkets("X", (A, B), (P,), A)
FIRST = 1_000
ALL = (A, B, P)


def bar(market: str, second: int, close: float, buy: float, sell: float = 0.0, revision: int = 0) -> Bar:
    return Bar(market, second, close, close, close, close, buy, sell, 1, 0, 0.0, 0.0, revision)


def record(
    second: int, *bars: Bar, revisions: tuple[Bar, ...] = (), up: tuple[str, ...] = ALL
) -> ClosingRecord:
    return ClosingRecord("main", second, (second + 1) * 10**9, bars, revisions, up)


def rows_of(*records: ClosingRecord, hold: int = 50, horizon_s: int = 20) -> AssetRows:
    rows = AssetRows(MARKETS, FIRST, hold=hold, horizon_s=horizon_s)
    for item in records:
        rows.apply([item])
    return rows


def column(rows: AssetRows, name: str) -> list[float]:
    numbers: list[float] = rows.values(rows.first, rows.stop)[ROW_NAMES.index(name)].tolist()
    return numbers


def test_a_row_sums_its_classes_and_repeats_the_last_close() -> None:
    rows = rows_of(
        record(FIRST, bar(A, FIRST, 2.0, 10.0), bar(B, FIRST, 3.0, 1.0, 4.0), bar(P, FIRST, 9.0, 5.0)),
        record(FIRST + 1, bar(B, FIRST + 1, 3.5, 7.0)),
        record(FIRST + 2),
    )
    assert column(rows, "spot_buy") == [11.0, 7.0, 0.0]
    assert column(rows, "spot_sell") == [4.0, 0.0, 0.0]
    assert column(rows, "perp_buy") == [5.0, 0.0, 0.0]
    assert column(rows, "close") == column(rows, "low") == [2.0, 2.0, 2.0]
    assert column(rows, "volume") == [5.0, 0.0, 0.0]
    assert all(math.isnan(value) for value in column(rows, "oi_change"))


def test_prices_are_unknown_before_the_reference_market_trades() -> None:
    rows = rows_of(record(FIRST, bar(B, FIRST, 3.0, 1.0)), record(FIRST + 1, bar(A, FIRST + 1, 2.0, 1.0)))
    assert rows.first_priced == FIRST + 1
    assert rows_of(record(FIRST)).first_priced is None
    with pytest.raises(FrameError):
        rows.flow(FIRST, FIRST + 2)


def test_a_late_first_trade_makes_the_price_known_earlier() -> None:
    rows = rows_of(record(FIRST), record(FIRST + 1), record(FIRST + 2, bar(A, FIRST + 2, 2.5, 1.0)))
    assert rows.apply([record(FIRST + 3, revisions=(bar(A, FIRST, 2.0, 1.0),))])
    assert column(rows, "close") == [2.0, 2.0, 2.5, 2.5]


def test_a_revised_close_is_repeated_up_to_the_next_trade() -> None:
    rows = rows_of(
        record(FIRST, bar(A, FIRST, 2.0, 1.0)),
        record(FIRST + 1),
        record(FIRST + 2),
        record(FIRST + 3, bar(A, FIRST + 3, 4.0, 1.0)),
    )
    changed = rows.apply([record(FIRST + 4, revisions=(bar(A, FIRST + 1, 3.0, 6.0, revision=1),))])
    assert changed
    assert column(rows, "close") == [2.0, 3.0, 3.0, 4.0, 4.0]
    assert column(rows, "open")[2] == 3.0
    assert column(rows, "spot_buy") == [1.0, 6.0, 0.0, 1.0, 0.0]
    assert column(rows, "volume")[1] == 2.0


def test_a_revision_that_changes_nothing_scored_says_so() -> None:
    rows = rows_of(record(FIRST, bar(A, FIRST, 2.0, 1.0)))
    liquidated = Bar(A, FIRST, 2.0, 2.0, 2.0, 2.0, 1.0, 0.0, 1, 0, 50.0, 0.0, 1)
    foreign = bar("X:other", FIRST, 9.0, 9.0)
    assert not rows.apply([record(FIRST + 1, revisions=(liquidated, foreign))])


def test_liquidations_alone_are_no_trade() -> None:
    only = Bar(A, FIRST + 1, math.nan, math.nan, math.nan, math.nan, 0.0, 0.0, 0, 0, 7.0, 0.0)
    rows = rows_of(record(FIRST, bar(A, FIRST, 2.0, 1.0)), record(FIRST + 1, only))
    assert column(rows, "close") == [2.0, 2.0]


def test_coverage_weighs_by_what_was_traded_before_the_hour() -> None:
    rows = AssetRows(MARKETS, 7_200, hold=50, horizon_s=20)
    rows.know([bar(A, 7_190, 2.0, 30.0), bar(B, 3_000, 2.0, 10.0), bar("X:other", 3_000, 2.0, 99.0)])
    rows.know_volume(B, 0, 6_000)
    rows.apply([record(7_200, bar(B, 7_200, 2.0, 1e6), up=(A,))])
    assert column(rows, "coverage_spot") == [0.3]
    assert column(rows, "coverage_perp") == [0.0]
    assert column(rows, "reference_live") == [1.0]


def test_the_weights_of_an_hour_stay_as_they_were_known_at_its_start() -> None:
    rows = AssetRows(MARKETS, 3_599, hold=50, horizon_s=20)
    rows.apply([record(3_599, bar(A, 3_599, 2.0, 1.0), bar(B, 3_599, 2.0, 3.0))])
    late = bar(A, 3_599, 2.0, 100.0, revision=1)
    rows.apply([record(3_600, revisions=(late,), up=(A, P))])
    rows.apply([record(3_601, up=(A, P))])
    assert column(rows, "coverage_spot") == [1.0, 0.25, 0.25]


def test_a_class_without_markets_is_never_covered() -> None:
    rows = AssetRows(AssetMarkets("X", (A,), (), A), FIRST, hold=50, horizon_s=20)
    rows.apply([record(FIRST, bar(A, FIRST, 2.0, 1.0))])
    assert column(rows, "coverage_perp") == [0.0]


def test_a_repaired_span_is_clipped_to_the_rows() -> None:
    rows = rows_of(record(FIRST, bar(A, FIRST, 2.0, 1.0), up=()), record(FIRST + 1, up=()))
    repair = ClosingRecord(
        "main", FIRST + 2, 0, repaired=(Interval(P, 0, FIRST + 1), Interval("X:other", 0, 9**9))
    )
    assert rows.apply([repair])
    assert column(rows, "coverage_perp") == [1.0, 0.0, 0.0]
    again = ClosingRecord("main", FIRST + 3, 0, repaired=(Interval(P, FIRST, FIRST + 1),))
    assert not rows.apply([again])


def test_old_rows_are_dropped_and_the_newest_stay() -> None:
    rows = rows_of(
        *(record(second, bar(A, second, float(second), 1.0)) for second in range(FIRST, FIRST + 250)),
        hold=100,
    )
    assert rows.stop == FIRST + 250
    assert 100 <= rows.stop - rows.first <= 200
    assert column(rows, "close") == [float(second) for second in range(rows.first, rows.stop)]
    with pytest.raises(EngineError, match="were asked for, held are"):
        rows.values(FIRST, FIRST + 1)


def test_a_revision_past_the_kept_bars_is_refused() -> None:
    rows = rows_of(*(record(second, bar(A, second, 2.0, 1.0)) for second in range(FIRST, FIRST + 100)))
    with pytest.raises(EngineError, match=f"a bar of second {FIRST} was revised at second {FIRST + 100}"):
        rows.apply([record(FIRST + 100, revisions=(bar(A, FIRST, 2.0, 2.0, revision=1),))])


def test_rows_are_the_engines_input() -> None:
    rows = rows_of(record(FIRST, bar(A, FIRST, 2.0, 10.0)), record(FIRST + 1))
    flow = rows.flow(FIRST, FIRST + 2)
    assert flow.time.tolist() == [FIRST, FIRST + 1]
    assert rows.row(FIRST + 1)[1:] == pytest.approx(flow.row(1)[1:], nan_ok=True)
    assert ROW_NAMES[: len(INPUT_NAMES)] == INPUT_NAMES
    before = flow.close.copy()
    rows.apply([record(FIRST + 2, revisions=(bar(A, FIRST, 5.0, 10.0, revision=1),))])
    np.testing.assert_array_equal(flow.close, before)
    assert rows.values(FIRST, FIRST + 1)[CLOSE, 0] == 5.0
