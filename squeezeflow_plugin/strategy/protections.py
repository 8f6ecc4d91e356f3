"""FreqTrade's protections as this strategy sets them.

Durations are in minutes: counted in candles they would be 0 in a backtest that steps through seconds. None of
them speaks where the method works as it should - it waits between two events of an asset by itself - so a
backtest without ``--enable-protections`` trades what the bot trades until one of them does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PROTECTIONS: tuple[Mapping[str, Any], ...] = (
    # three stops in two hours: whatever this market does, the stops do not suit it
    {
        "method": "StoplossGuard",
        "lookback_period": 120,
        "trade_limit": 3,
        "stop_duration": 120,
        "only_per_pair": False,
    },
    # a tenth of the account in a day
    {
        "method": "MaxDrawdown",
        "lookback_period": 1440,
        "trade_limit": 5,
        "stop_duration": 720,
        "max_allowed_drawdown": 0.1,
    },
)
