"""The protections are FreqTrade's own, in minutes."""

from __future__ import annotations

from freqtrade.plugins.protectionmanager import ProtectionManager

from squeezeflow_plugin.strategy.protections import PROTECTIONS


def test_freqtrade_takes_them_and_they_last_at_any_timeframe() -> None:
    wanted = [dict(each) for each in PROTECTIONS]
    made = ProtectionManager({"timeframe": "1m", "stake_currency": "USDT"}, wanted)
    assert made.name_list == [each["method"] for each in wanted]
    assert not any(key.endswith("_candles") for each in wanted for key in each)
    assert all(each["stop_duration"] >= 60 and each["lookback_period"] >= 60 for each in wanted)
