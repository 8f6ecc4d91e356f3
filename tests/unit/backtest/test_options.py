"""What can be asked, and what is refused with a way on."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from squeezeflow_plugin.backtest.options import BacktestOptions, add_options, options_of
from squeezeflow_plugin.backtest.stepper import Rules
from squeezeflow_plugin.errors import SettingsError
from squeezeflow_plugin.settings import Settings


def parsed(*arguments: str) -> BacktestOptions:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return options_of(parser.parse_args(arguments))


def test_every_option_arrives() -> None:
    found = parsed(
        *("--date", "2025-08-09", "--pairs", "BTC/USDT", "ETH/USDT", "--export", "none", "--json"),
        *("--slippage", "0.0002", "--delay", "2", "--enable-protections", "--no-report", "-c", "a.json"),
    )
    assert (found.date, found.pairs, found.export) == ("2025-08-09", ("BTC/USDT", "ETH/USDT"), "none")
    assert (found.as_json, found.slippage, found.delay_s) == (True, 0.0002, 2)
    assert (found.protections, found.report, [str(path) for path in found.config]) == (
        True,
        False,
        ["a.json"],
    )


def test_the_defaults() -> None:
    found = parsed()
    assert (found.timeframe, found.delay_s, found.slippage, found.export) == (None, 1, 0.0, "trades")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--timeframe", "1m"), "1s or 5m .*`freqtrade backtesting"),
        (("--date", "2025-08-09", "--timerange", "20250809-"), "exclude each other"),
    ],
)
def test_what_cannot_be_run_says_what_can(arguments: tuple[str, ...], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        parsed(*arguments)


@pytest.mark.parametrize("configured", [Settings(), Settings(enable_1s_mode=False, run_interval=300)])
def test_the_timeframe_chooses_the_mode_and_else_the_settings_do(configured: Settings) -> None:
    assert parsed().applied_to(configured) is configured
    assert parsed("--timeframe", "1s").applied_to(configured).method == {}
    assert parsed("--timeframe", "5m").applied_to(configured).method == {"regular": True}


@pytest.mark.parametrize("rules", [{"delay_s": -1}, {"delay_s": 61}, {"slippage": -0.1}, {"slippage": 0.06}])
def test_rules_are_bounded(rules: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"must be in|must be a share"):
        Rules(**rules)
