"""Rows in FreqTrade's form, and when a decision acts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from freqtrade.optimize.backtesting import HEADERS

from squeezeflow_plugin.backtest.rows import PairRows
from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.phases.tags import NOTED
from squeezeflow_plugin.provider.decisions import Event, Signal

START = 1_754_697_600
EVENT = {**dict.fromkeys(NOTED, 0.0), "score": 6.5, "coverage_spot_1h": 1.0, "coverage_perp_1h": 1.0}


def flow(start: int, n: int) -> Flow:
    price = 100.0 + np.arange(n)
    columns: dict[str, Any] = {"time": np.arange(start, start + n), "open": price, "close": price + 0.5}
    columns |= {"high": price + 1, "low": price - 1}
    columns |= {name: np.ones(n) for name in ("spot_buy", "spot_sell", "perp_buy", "perp_sell")}
    return Flow.from_columns(columns)


def signal(second: int, direction: int = 1) -> Signal:
    return Signal(second, Event(second, direction, EVENT))


def named(row: list[Any] | None) -> dict[str, Any]:
    assert row is not None
    return dict(zip(HEADERS, row, strict=True))


@pytest.mark.parametrize("delay_s", [0, 1, 5])
def test_a_decision_acts_after_its_second_and_the_delay(delay_s: int) -> None:
    rows = PairRows(delay_s)
    rows.load(flow(START, 100), [signal(START + 10, -1)])
    acts = START + 11 + delay_s
    assert rows.next_signal(START) == acts == rows.acts_at(START + 10)
    row = named(rows.row(acts))
    assert row["date"] == pd.Timestamp(acts, unit="s", tz="UTC")
    assert (row["open"], row["high"], row["low"], row["close"]) == (
        100 + acts - START,
        101 + acts - START,
        99 + acts - START,
        100.5 + acts - START,
    )
    assert (row["enter_long"], row["enter_short"], row["exit_long"], row["exit_short"]) == (0, 1, 0, 0)
    assert row["enter_tag"] == f"sf:6.50|div|reset|cov100|e={START + 10}"
    quiet = named(rows.row(acts + 1))
    assert (quiet["enter_long"], quiet["enter_short"], quiet["enter_tag"]) == (0, 0, None)


def test_a_decision_at_a_chunks_end_acts_in_the_next_one() -> None:
    rows = PairRows(1)
    rows.load(flow(START, 100), [signal(START + 99)])
    assert rows.next_signal(START) == START + 101
    assert rows.row(START + 101) is None
    rows.load(flow(START + 100, 100), [])
    assert rows.next_signal(START + 100) == START + 101
    assert rows.next_signal(START + 102) is None
    assert named(rows.row(START + 101))["enter_long"] == 1
    assert named(rows[-1])["open"] == rows.open_at(START + 199) == 199.0
    assert rows.open_at(START) is None


def test_before_the_first_price_there_is_no_row() -> None:
    rows = PairRows(1)
    rows.load(flow(START, 0), [])
    assert rows.row(START) is None
    assert len(rows) == 0
    with pytest.raises(IndexError):
        rows[-1]
