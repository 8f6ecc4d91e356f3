"""Open trades in analysis, without asking what cannot be answered otherwise.

FreqTrade judges an open trade each second: two callbacks with a deep copy of the trade, and its profit in
decimal arithmetic. That is nearly all of a backtest's time, and of an epoch of hyperopt. In analysis the
strategy knows without a copy that a second has no exit of the method's, and its own stop moves at the fill
only. Where moreover the second's prices reach neither stop nor liquidation, and no return table is in use,
the answer is: nothing. Every other second is judged by FreqTrade.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from freqtrade.persistence import Trade
from freqtrade.strategy import IStrategy

_CALLBACKS = ("custom_exit", "custom_stoploss")
_NO_RETURN = 10.0  # a return table that begins at 1000 % is none: the way to switch it off is {"0": 100}


class QuietStrategy(IStrategy):  # type: ignore[misc]  # FreqTrade ships no types
    """``should_exit`` for seconds of which ``is_quiet`` says that the callbacks would answer None."""

    def is_quiet(self, trade: Trade, current_time: datetime) -> bool:  # noqa: ARG002 - the subclass uses them
        """Whether ``custom_exit`` and ``custom_stoploss`` of this project would answer None."""
        return False

    def should_exit(
        self,
        trade: Trade,
        rate: float,
        current_time: datetime,
        *,
        low: float | None = None,
        high: float | None = None,
        **rest: Any,
    ) -> list[Any]:
        """FreqTrade's judgement of an open trade; see the module's docstring."""
        if low is not None and high is not None and not rest.get("exit_") and self._is_simple():
            reached = _reached(trade, low, high)
            if not reached and self.is_quiet(trade, current_time):
                trade.adjust_min_max_rates(high, low)
                return []
        found: list[Any] = super().should_exit(trade, rate, current_time, low=low, high=high, **rest)
        return found

    def _is_simple(self) -> bool:
        """Whether stops stand still, no return table is in use, and no callback is a user's own."""
        moving = self.trailing_stop or self.use_custom_roi
        if moving or any(least < _NO_RETURN for least in self.minimal_roi.values()):
            return False
        modules = (getattr(type(self), name).__module__ for name in _CALLBACKS)
        return all(module.startswith("squeezeflow_plugin.") for module in modules)


def _reached(trade: Trade, low: float, high: float) -> bool:
    """Whether prices between ``low`` and ``high`` touch the trade's stop, if it has one, or liquidation."""
    if not trade.stop_loss:
        return True  # FreqTrade has not set it yet
    limits = (trade.stop_loss, trade.liquidation_price)
    if trade.is_short:
        return any(limit is not None and limit <= high for limit in limits)
    return any(limit is not None and limit >= low for limit in limits)
