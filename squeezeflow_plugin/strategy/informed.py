"""What the strategy does beside the method: informative columns, an optional filter, the emergency stop.

Both the filter and the stop are pure functions of the rows up to the decision second E, asked for once an
entry, so a backtest and a live bot say the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from freqtrade.persistence import Trade
from freqtrade.strategy import IStrategy, stoploss_from_absolute

from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.phases.tags import parse_tag
from squeezeflow_plugin.provider.informative import (
    MEMORY_S,
    NO_CANDLES,
    Indicators,
    ShownCandles,
    indicators_at,
)
from squeezeflow_plugin.settings import Settings

ShownOf = Callable[[str], ShownCandles]


def informative_columns(shown_of: ShownOf | None, known: npt.NDArray[np.int64]) -> dict[str, Any]:
    """The shown columns of every timeframe, such as ``atr_5m``, of rows that know up to ``known``.

    ``shown_of`` gives the candles of a timeframe; without it all is NaN.
    """
    columns: dict[str, Any] = {}
    for timeframe, nothing in NO_CANDLES.items():
        columns |= (nothing if shown_of is None else shown_of(timeframe)).at(known)
    return columns


def filtered(found: Indicators, direction: int, rsi_limit: float) -> str:
    """Why the filter refuses an entry, empty where it does not; a limit of 0 refuses nothing.

    >>> filtered(Indicators(1.0, 82.0), 1, 80.0)
    'the 5m RSI 82.0 is above 80.0'
    >>> filtered(Indicators(1.0, 82.0), -1, 80.0)
    ''
    """
    if not rsi_limit or math.isnan(found.rsi):
        return ""
    if direction > 0 and found.rsi > rsi_limit:
        return f"the 5m RSI {found.rsi:.1f} is above {rsi_limit:.1f}"
    if direction < 0 and found.rsi < 100.0 - rsi_limit:
        return f"the 5m RSI {found.rsi:.1f} is below {100.0 - rsi_limit:.1f}"
    return ""


def emergency_price(open_rate: float, atr: float, multiple: float, *, short: bool) -> float | None:
    """Where the emergency stop lies: ``multiple`` times the ATR from the entry; None where there is none.

    >>> emergency_price(100.0, 0.25, 10.0, short=False), emergency_price(100.0, 0.25, 10.0, short=True)
    (97.5, 102.5)
    >>> emergency_price(100.0, 0.25, 0.0, short=False)
    """
    distance = multiple * atr
    if not distance > 0.0:  # NaN too
        return None
    return open_rate + distance if short else open_rate - distance


class InformedStrategy(IStrategy):  # type: ignore[misc]  # FreqTrade ships no types
    """FreqTrade's callbacks for the filter and the emergency stop; a subclass says where the seconds are."""

    use_custom_stoploss = True
    _settings: Settings | None = None

    def seconds(self, pair: str, start: int, stop: int) -> Flow:  # noqa: ARG002 - the subclass uses them
        """The pair's rows of ``[start, stop)`` that are known; KeyError for a pair that is not scored."""
        raise KeyError(pair)

    def custom_stoploss(
        self,
        pair: str,
        trade: Trade,
        current_time: datetime,  # noqa: ARG002 - FreqTrade's signature, as the following ones
        current_rate: float,
        current_profit: float,  # noqa: ARG002
        after_fill: bool,
        **_kwargs: Any,
    ) -> float | None:
        """Set when an entry is filled: never looser than the stop that is there, never moved later.

        A trade opened by hand has no decision second; its stop follows from the second before it was opened.
        """
        if not after_fill or self._settings is None:
            return None
        tag = parse_tag(trade.enter_tag)
        second = int(trade.open_date_utc.timestamp()) - 1 if tag is None else tag.second
        try:
            found = self._indicators(pair, second)
        except KeyError:  # a pair that is not scored: FreqTrade's own stop stays
            return None
        price = emergency_price(trade.open_rate, found.atr, self._settings.stop_atr, short=trade.is_short)
        if price is None:
            return None
        tightest = min if trade.is_short else max
        wanted: float = stoploss_from_absolute(
            tightest(price, trade.stop_loss), current_rate, is_short=trade.is_short, leverage=trade.leverage
        )
        return wanted

    def filter_reason(self, pair: str, enter_tag: str | None, direction: int) -> str:
        """Why the optional filter refuses the entry, empty where it does not."""
        if self._settings is None or not self._settings.rsi_limit:
            return ""
        tag = parse_tag(enter_tag)
        if tag is None:
            return ""
        return filtered(self._indicators(pair, tag.second), direction, self._settings.rsi_limit)

    def _indicators(self, pair: str, second: int) -> Indicators:
        """The indicators as known at the end of ``second``."""
        stop = second + 1
        return indicators_at(self.seconds(pair, stop - MEMORY_S, stop))
