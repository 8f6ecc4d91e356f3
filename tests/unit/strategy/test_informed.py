"""The emergency stop, the filter and the informative columns of a strategy whose seconds are given."""

from __future__ import annotations

import datetime as dt
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.phases.tags import tag_of
from squeezeflow_plugin.provider.informative import (
    SHOWN_INFORMATIVE,
    TIMEFRAMES,
    Indicators,
    ShownCandles,
    indicators_at,
)
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.strategy.informed import InformedStrategy, filtered, informative_columns
from tests.reference.flows import START, flow_of, noise_frame

PAIR = "BTC/USDT"
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
EVENT = START + 6_000


class Given(InformedStrategy):
    """A strategy that was never started: only its seconds and settings are there."""

    def __init__(self, flow: Flow, settings: Settings) -> None:
        self.flow, self._settings = flow, settings

    def populate_indicators(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:  # noqa: ARG002 - FreqTrade's signature
        return dataframe

    def seconds(self, pair: str, start: int, stop: int) -> Flow:
        if pair != PAIR:
            raise KeyError(pair)
        first = int(self.flow.time[0])
        return self.flow.part(max(start - first, 0), stop - first)


@pytest.fixture(scope="module")
def flow() -> Flow:
    return flow_of(noise_frame(3, 8_000))


def trade(
    *, short: bool = False, stop_loss: float = 0.0, leverage: float = 1.0, tag: str | None = None
) -> Any:
    """The fields of FreqTrade's trade that a stop looks at."""
    text = str(tag_of(5.0, EVENT)) if tag is None else tag
    return SimpleNamespace(
        is_short=short, stop_loss=stop_loss, leverage=leverage, open_rate=61_000.0, enter_tag=text,
        open_date_utc=dt.datetime.fromtimestamp(EVENT + 1, dt.UTC),
    )  # fmt: skip  # one line a group of fields


def stop_of(strategy: InformedStrategy, about: Any, rate: float = 61_000.0, *, filled: bool = True) -> Any:
    return strategy.custom_stoploss(PAIR, about, NOW, rate, 0.0, filled)


def test_the_stop_lies_so_many_atrs_of_the_decision_second_away(flow: Flow) -> None:
    atr = indicators_at(flow.part(0, 6_001)).atr
    assert atr > 0
    strategy = Given(flow, Settings(stop_atr=8.0))
    assert 61_000.0 * (1 - stop_of(strategy, trade())) == pytest.approx(61_000.0 - 8 * atr)
    up = stop_of(strategy, trade(short=True, stop_loss=99_000.0))
    assert 61_000.0 * (1 + up) == pytest.approx(61_000.0 + 8 * atr)
    # FreqTrade divides by the leverage again
    assert stop_of(strategy, trade(leverage=3.0)) == pytest.approx(3 * stop_of(strategy, trade()))
    elsewhere = stop_of(strategy, trade(), rate=61_010.0)
    assert 61_010.0 * (1 - elsewhere) == pytest.approx(61_000.0 - 8 * atr)


def test_it_is_never_looser_than_the_stop_that_is_there(flow: Flow) -> None:
    strategy = Given(flow, Settings(stop_atr=500.0))
    assert 61_000.0 * (1 - stop_of(strategy, trade(stop_loss=60_000.0))) == pytest.approx(60_000.0)
    above = stop_of(strategy, trade(short=True, stop_loss=61_500.0))
    assert 61_000.0 * (1 + above) == pytest.approx(61_500.0)


def test_it_is_set_at_fills_only_also_of_a_trade_opened_by_hand(flow: Flow) -> None:
    strategy = Given(flow, Settings())
    assert stop_of(strategy, trade(), filled=False) is None
    assert stop_of(strategy, trade(tag="force_entry")) == stop_of(strategy, trade())
    assert stop_of(Given(flow, Settings(stop_atr=0.0)), trade()) is None
    assert stop_of(Given(flow.part(3_000, 8_000), Settings()), trade()) is None  # too few candles for an ATR


def test_a_pair_that_is_not_scored_keeps_freqtrades_stop(flow: Flow) -> None:
    strategy = Given(flow, Settings())
    assert strategy.custom_stoploss("DOGE/USDT", trade(), NOW, 61_000.0, 0.0, True) is None


def test_the_filter_is_off_until_it_is_set_and_mirrors(flow: Flow) -> None:
    tag = str(tag_of(5.0, EVENT))
    assert Given(flow, Settings()).filter_reason(PAIR, tag, 1) == ""
    rsi = indicators_at(flow.part(0, 6_001)).rsi
    found = Given(flow, Settings(rsi_limit=50.0)).filter_reason(PAIR, tag, 1 if rsi > 50 else -1)
    assert f"the 5m RSI {rsi:.1f} is" in found
    assert filtered(Indicators(1.0, 18.0), -1, 80.0) == "the 5m RSI 18.0 is below 20.0"
    assert filtered(Indicators(1.0, math.nan), 1, 80.0) == ""


def test_every_timeframe_has_its_columns() -> None:
    known = np.array([600, 660], dtype=np.int64)
    empty = informative_columns(None, known)
    assert set(empty) == {f"{name}_{tf}" for tf in TIMEFRAMES for name in SHOWN_INFORMATIVE[tf]}
    assert all(np.isnan(column).all() for column in empty.values())

    def shown_of(timeframe: str) -> ShownCandles:
        ends = np.array([1, 2], dtype=np.int64) * TIMEFRAMES[timeframe]
        columns = len(SHOWN_INFORMATIVE[timeframe])
        return ShownCandles(timeframe, ends, np.tile([1.0, 2.0, math.nan], (columns, 1)))

    found = informative_columns(shown_of, known)
    assert found["atr_5m"].tolist() == [2.0, 2.0]
    assert np.isnan(found["imbalance_spot_15m"]).all()
