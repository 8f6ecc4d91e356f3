"""Which pairs are analysed before an order and which after it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pandas as pd
from freqtrade.enums import CandleType, TradingMode

from squeezeflow_plugin.strategy.prompt import PromptStrategy

A, B, C = "A/USDT", "B/USDT", "C/USDT"
PAIRS = [A, B, C]


class Told(PromptStrategy):
    """Notes what is analysed, and is told what an order follows for."""

    timeframe = "1m"
    orders: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__({"trading_mode": TradingMode.SPOT, "candle_type_def": CandleType.SPOT})
        self.analysed: list[str] = []

    def populate_indicators(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:  # noqa: ARG002 - FreqTrade's signature
        return dataframe

    def ordering(self) -> Collection[str]:
        return self.orders

    def analyze_pair(self, pair: str) -> None:
        self.analysed.append(pair)

    def second(self, *orders: str, idle: int = 99) -> tuple[list[str], list[str]]:
        """What is analysed before the orders of a second and, ``idle`` pairs' time, after them."""
        self.orders, self.analysed = orders, []
        self.analyze(PAIRS)
        before, self.analysed = self.analysed, []
        left = iter([True] * idle)
        self.analyze_waiting(lambda: next(left, False))
        return before, self.analysed


def test_without_an_order_every_pair_is_analysed_at_once() -> None:
    assert Told().second() == (PAIRS, [])


def test_before_an_order_only_its_pairs_are_analysed() -> None:
    bot = Told()
    bot.second()
    assert bot.second(C) == ([C], [A, B])
    assert bot.second() == (PAIRS, [])


def test_a_pair_that_was_never_analysed_does_not_wait() -> None:
    assert Told().second(B) == (PAIRS, [])


def test_a_signal_is_taken_back_at_once() -> None:
    bot = Told()
    bot.second(A)
    assert bot.second(B) == ([A, B], [C])


def test_no_pair_waits_twice() -> None:
    bot = Told()
    bot.second()
    assert bot.second(A, idle=1) == ([A], [B])
    assert bot.second(A, idle=0) == ([A, C], [])
    assert bot.second(A) == ([A, B], [C])
