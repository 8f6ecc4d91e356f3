"""What can be asked of a sweep on the command line."""

from __future__ import annotations

import argparse

import pytest

from squeezeflow_plugin.backtest.sweep_options import SweepOptions, add_sweep_options, sweep_options_of
from squeezeflow_plugin.errors import SettingsError


def asked(*line: str) -> SweepOptions:
    parser = argparse.ArgumentParser()
    add_sweep_options(parser)
    return sweep_options_of(parser.parse_args(["--timerange", "20250809-20250810", *line]))


def test_every_combination_is_a_set() -> None:
    found = asked("--set", "min_score=4,5.5", "--set", "rearm=300")
    assert found.sets == ({"min_score": 4, "rearm": 300}, {"min_score": 5.5, "rearm": 300})


def test_without_a_set_the_settings_own_parameters_are_run() -> None:
    assert asked().sets == ({},)
    assert asked().pairs == ((),)


def test_spans_and_lists_of_pairs_are_repeated() -> None:
    found = asked("--timerange", "20250811-", "--pairs", "BTC/USDT", "ETH/USDT", "--pairs", "SOL/USDT")
    assert found.timeranges == ("20250809-20250810", "20250811-")
    assert found.pairs == (("BTC/USDT", "ETH/USDT"), ("SOL/USDT",))


def test_every_run_leaves_nothing_but_its_row() -> None:
    base = asked("--delay", "2", "--slippage", "0.0002").base
    assert (base.export, base.report, base.delay_s, base.slippage) == ("none", False, 2, 0.0002)


@pytest.mark.parametrize("text", ["min_score", "=4", "min_score=high", "min_score="])
def test_what_is_no_axis_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match=f"was '{text}'; nothing is run"):
        asked("--set", text)
