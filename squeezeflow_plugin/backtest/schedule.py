"""Which seconds FreqTrade must see: those in which one of its own checks can come out differently.

FreqTrade looks at every row. Without an open trade a row does something only where an entry may be taken.
With one, a row does something where the stop or the liquidation price lies within it, where the return could
reach the target of ``minimal_roi``, where a funding fee is due, where an exit has been decided, or
where an order is open. All of these are known from the trade and the chunk's prices, so the rows between are
left out; the extremes they would have noted are noted when the next one is seen. Whatever cannot be known
- a trailing or custom stop, position adjustment, a callback that the user wrote - is looked at every second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from freqtrade.persistence import LocalTrade
from freqtrade.strategy import IStrategy

from squeezeflow_plugin.backtest.rows import PairRows

_SLACK = (
    1e-6  # a price this much (relative) short of a return target is looked at, so that rounding hides none
)
_JUDGING = (
    "custom_exit",
    "should_exit",
    "min_roi_reached",
    "min_roi_reached_entry",
    "ft_stoploss_reached",
    "ft_stoploss_adjust",
)
_KNOWN_ROOTS = frozenset({"freqtrade", "squeezeflow_plugin"})


def watches_every_second(strategy: IStrategy) -> bool:
    """Whether the strategy itself wants to be called each second, trade or not."""
    return _is_users(strategy, "bot_loop_start")


def watches_every_trade_second(strategy: IStrategy) -> bool:
    """Whether an open trade must be looked at each second: its rows cannot be judged ahead."""
    switches = ("trailing_stop", "use_custom_roi", "position_adjustment_enable")
    moving = strategy.use_custom_stoploss and _is_users(
        strategy, "custom_stoploss"
    )  # ours moves at fills only
    return (
        moving
        or any(getattr(strategy, name) for name in switches)
        or any(_is_users(strategy, name) for name in _JUDGING)
    )


def _is_users(strategy: IStrategy, name: str) -> bool:
    """Whether the method is the user's own: neither FreqTrade's nor this project's."""
    module: str = getattr(type(strategy), name).__module__
    return module.partition(".")[0] not in _KNOWN_ROOTS


def targets_of(minimal_roi: Mapping[int, float]) -> tuple[tuple[int, int, float], ...]:
    """FreqTrade's table of return targets as (seconds since the entry: from, until, ratio).

    >>> targets_of({0: 0.05, 30: 0.01})
    ((0, 1800, 0.05), (1800, 4294967296, 0.01))
    """
    minutes = sorted(minimal_roi)
    ends = [*(minute * 60 for minute in minutes[1:]), 2**32]
    return tuple((minute * 60, end, minimal_roi[minute]) for minute, end in zip(minutes, ends, strict=True))


@dataclass(frozen=True)
class Look:
    """A second to look at, and the pairs in which something can happen then."""

    second: int
    pairs: frozenset[str]


class Schedule:
    """Finds the next second to look at; ``funding_s`` is the interval of funding fees, 0 without any.

    ``stacking`` says that a pair with an open trade may enter another one.
    """

    def __init__(
        self, rows: Mapping[str, PairRows], strategy: IStrategy, funding_s: int, *, stacking: bool = False
    ) -> None:
        self._rows = rows
        self._funding_s = funding_s
        self._stacking = stacking
        self._targets = targets_of(strategy.minimal_roi)
        self._always = watches_every_second(strategy)
        self._always_in_trade = watches_every_trade_second(strategy)

    def next_look(
        self, second: int, stop: int, trades: Mapping[str, Any], exits: Mapping[int, int]
    ) -> Look | None:
        """The first second of ``[second, stop)`` to look at, None where there is none.

        ``trades`` are the open ones by pair, ``exits`` the seconds at which their decided exits act, by the
        id of the trade.
        """
        if self._always:
            return Look(second, frozenset(self._rows)) if second < stop else None
        found, pairs = stop, set()
        for pair, rows in self._rows.items():
            at = self._next_of_pair(rows, second, min(found + 1, stop), trades.get(pair, ()), exits)
            if at < found:
                found, pairs = at, {pair}
            elif at == found < stop:
                pairs.add(pair)
        return Look(found, frozenset(pairs)) if found < stop else None

    def _next_of_pair(
        self, rows: PairRows, second: int, stop: int, trades: Sequence[LocalTrade], exits: Mapping[int, int]
    ) -> int:
        """The pair's first second of ``[second, stop)``, ``stop`` where there is none."""
        found = stop
        signal = rows.next_signal(second) if self._stacking or not trades else None
        if signal is not None:
            found = min(found, signal)
        for trade in trades:
            found = min(found, self._next_of_trade(trade, rows, second, found, exits.get(trade.id)))
        return found

    def _next_of_trade(
        self, trade: LocalTrade, rows: PairRows, second: int, stop: int, exit_at: int | None
    ) -> int:
        if self._always_in_trade or trade.has_open_orders:
            return second
        found = stop if exit_at is None else min(stop, max(exit_at, second))
        if self._funding_s:
            found = min(found, -(-second // self._funding_s) * self._funding_s)
        first, last = max(second, rows.first), min(found, rows.stop)
        if first < last:
            touched = self._touched(trade, rows, slice(first - rows.first, last - rows.first))
            if touched.any():
                return first + int(touched.argmax())
        return found

    def _touched(self, trade: LocalTrade, rows: PairRows, part: slice) -> npt.NDArray[np.bool_]:
        """Where the stop, the liquidation price or the lowest return target lies within the row."""
        side = -1 if trade.is_short else 1
        against, along = (rows.low[part], rows.high[part])[::side]
        touched = np.zeros(len(against), dtype=np.bool_)
        for level in (trade.stop_loss, trade.liquidation_price):
            if level:
                touched |= side * against <= side * level
        first = rows.first + part.start
        for after, until, ratio in self._targets:
            opened = int(trade.open_date_utc.timestamp())
            due = slice(max(opened + after - first, 0), max(opened + until - first, 0))
            target = trade.calc_close_rate_for_roi(ratio)
            touched[due] |= side * along[due] >= side * target - _SLACK * abs(target)
        return touched
