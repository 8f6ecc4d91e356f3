"""When the strategy's constructor brings data, and which span of it."""

from __future__ import annotations

from typing import Any

import pytest
from freqtrade.enums import RunMode

from squeezeflow_plugin.market import Instrument, MarketKind
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.strategy.loader import _markets, _span, needs_data

TIMERANGE = {"timerange": "20251120-20251121"}
START, STOP = 1_763_596_800, 1_763_683_200


@pytest.mark.parametrize("mode", [RunMode.BACKTEST, RunMode.HYPEROPT, RunMode.PLOT])
def test_analysis_on_candles_needs_data(mode: RunMode) -> None:
    assert needs_data({"runmode": mode}, "1m")
    assert not needs_data({"runmode": mode}, "1s"), "run_backtest.py reads the store itself"


@pytest.mark.parametrize("mode", [RunMode.WEBSERVER, RunMode.UTIL_NO_EXCHANGE])
def test_modes_that_also_look_at_strategies_need_data_for_a_time_range(mode: RunMode) -> None:
    assert needs_data({"runmode": mode, **TIMERANGE}, "1m")
    assert needs_data({"runmode": mode, **TIMERANGE}, "1s")
    assert not needs_data({"runmode": mode}, "1m")


@pytest.mark.parametrize("mode", [RunMode.DRY_RUN, RunMode.LIVE, RunMode.UTIL_EXCHANGE, RunMode.OTHER])
def test_other_modes_need_none(mode: RunMode) -> None:
    assert not needs_data({"runmode": mode, **TIMERANGE}, "1m")


@pytest.mark.parametrize(
    ("config", "span"),
    [
        (TIMERANGE, (START - 9_000, STOP + 60)),
        ({**TIMERANGE, "startup_candle_count": 400}, (START - 24_000, STOP + 60)),
        ({"timerange": "20251120-"}, (START - 9_000, 2**40)),
        ({"timerange": "-20251121"}, (0, STOP + 60)),
        ({}, (0, 2**40)),
    ],
)
def test_the_span_reaches_from_start_up_to_the_last_candle(
    config: dict[str, Any], span: tuple[int, int]
) -> None:
    assert _span(config, 60, 150) == span


def test_the_first_max_symbols_pairs_are_kept_and_the_others_named(caplog: pytest.LogCaptureFixture) -> None:
    instruments = [
        Instrument(f"BINANCE:{base.lower()}usdt", f"{base}USDT", MarketKind.SPOT, base, "USDT", "USDT")
        for base in ("BTC", "ETH", "SOL")
    ]
    config = {"exchange": {"name": "binance", "pair_whitelist": ["SOL/USDT", "BTC/USDT", "ETH/USDT"]}}
    assert list(_markets(config, Settings(max_symbols=2), instruments)) == ["SOL/USDT", "BTC/USDT"]
    assert "max_symbols is 2: ETH/USDT are left out" in caplog.text
