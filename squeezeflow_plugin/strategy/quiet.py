"""Analysis without the copies of trades that FreqTrade makes each second.

FreqTrade hands callbacks a deep copy of the trade, two for every second of an open trade; they were three
quarters of a backtest's time. In analysis the strategy knows without it that a second has no exit of the
method's, and its stop is set at the fill only; then neither callback is asked. FreqTrade's own stops, the
return table and liquidation are judged by FreqTrade as ever.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from freqtrade.persistence import Trade
from freqtrade.strategy import IStrategy

_CALLBACKS = ("custom_exit", "custom_stoploss")


class QuietStrategy(IStrategy):  # type: ignore[misc]  # FreqTrade ships no types
    """``should_exit`` with the callbacks left out where ``is_quiet`` says that they have nothing to say."""

    use_exit_signal: bool
    use_custom_stoploss: bool

    def is_quiet(self, trade: Trade, current_time: datetime) -> bool:  # noqa: ARG002 - the subclass uses them
        """Whether ``custom_exit`` and ``custom_stoploss`` of this project would answer None."""
        return False

    def should_exit(
        self, trade: Trade, rate: float, current_time: datetime, *, enter: bool, exit_: bool, **rest: Any
    ) -> list[Any]:
        """FreqTrade's judgement of an open trade; see the module's docstring."""
        switches = self.use_exit_signal, self.use_custom_stoploss
        if not exit_ and not self._is_overridden() and self.is_quiet(trade, current_time):
            self.use_exit_signal = self.use_custom_stoploss = False
        try:
            found: list[Any] = super().should_exit(
                trade, rate, current_time, enter=enter, exit_=exit_, **rest
            )
        finally:
            self.use_exit_signal, self.use_custom_stoploss = switches
        return found

    def _is_overridden(self) -> bool:
        """Whether a callback is a user's own, who may count on being asked each second."""
        modules = (getattr(type(self), name).__module__ for name in _CALLBACKS)
        return any(not module.startswith("squeezeflow_plugin.") for module in modules)
