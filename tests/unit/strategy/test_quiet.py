"""Analysis asks the callbacks when they can have an answer, and a user's own callbacks always."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from freqtrade.enums import ExitType, RunMode
from freqtrade.persistence import LocalTrade

from squeezeflow_plugin.strategy.bot import SqueezeFlowStrategy

NOW = datetime(2025, 11, 20, 12, tzinfo=UTC)


class Counting(SqueezeFlowStrategy):
    """Its seconds are quiet until ``due``; ``copies`` counts FreqTrade's deep copies of the trade."""

    minimal_roi: ClassVar[dict[Any, float]] = {0: 100.0}  # as FreqTrade's resolver leaves it, keys as numbers
    due = NOW + timedelta(seconds=3)

    def is_quiet(self, trade: Any, current_time: datetime) -> bool:
        del trade
        return current_time < self.due


class UsersOwn(Counting):
    asked = 0

    def custom_exit(self, *_: Any, **__: Any) -> str | None:
        self.asked += 1
        return None


class CountedTrade(LocalTrade):  # type: ignore[misc]  # FreqTrade ships no types
    copies = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> CountedTrade:
        CountedTrade.copies += 1
        return self


def trade(*, short: bool = False) -> CountedTrade:
    CountedTrade.copies = 0
    return CountedTrade(
        pair="BTC/USDT",
        open_rate=100.0,
        open_date=NOW,
        stake_amount=100.0,
        amount=1.0,
        fee_open=0.0,
        fee_close=0.0,
        exchange="binance",
        is_short=short,
        leverage=1.0,
        max_rate=100.0,
        min_rate=100.0,
    )


def strategy(kind: type[Counting]) -> Counting:
    config = {"runmode": RunMode.OTHER, "dry_run": True, "stake_currency": "USDT", "stake_amount": 100}
    return kind(config)


def judged(
    bot: Counting,
    open_trade: CountedTrade,
    second: int,
    low: float = 99.9,
    high: float = 100.1,
    *,
    exit_: bool = False,
) -> list[Any]:
    moment = NOW + timedelta(seconds=second)
    return bot.should_exit(open_trade, 100.0, moment, enter=False, exit_=exit_, low=low, high=high)


def test_a_quiet_second_asks_nobody_and_the_next_one_does() -> None:
    bot, open_trade = strategy(Counting), trade()
    open_trade.adjust_stop_loss(100.0, -0.08, initial=True)
    for second in range(3):
        assert judged(bot, open_trade, second) == []
    assert CountedTrade.copies == 0
    assert (open_trade.min_rate, open_trade.max_rate) == (99.9, 100.1)
    assert judged(bot, open_trade, 3) == []
    assert CountedTrade.copies == 2


@pytest.mark.parametrize("short", [False, True])
def test_freqtrades_own_stop_and_liquidation_are_judged_in_a_quiet_second_too(short: bool) -> None:
    bot, open_trade = strategy(Counting), trade(short=short)
    open_trade.adjust_stop_loss(100.0, -0.08, initial=True)
    assert judged(bot, open_trade, 1, low=92.5, high=107.5) == []
    assert [found.exit_type for found in judged(bot, open_trade, 1, low=91.5, high=108.5)] == [
        ExitType.STOP_LOSS
    ]
    open_trade.liquidation_price = 105.0 if short else 95.0
    assert [found.exit_type for found in judged(bot, open_trade, 1, low=94.0, high=106.0)] == [
        ExitType.LIQUIDATION
    ]


@pytest.mark.parametrize(
    "switch", [{"trailing_stop": True}, {"minimal_roi": {0: 0.05}}, {"use_custom_roi": True}]
)
def test_what_moves_or_earns_is_judged_each_second(switch: dict[str, Any]) -> None:
    bot = strategy(Counting)
    for name, value in switch.items():
        setattr(bot, name, value)
    judged(bot, trade(), 0)
    assert CountedTrade.copies >= 1


def test_a_users_own_exit_or_exit_column_is_always_asked() -> None:
    bot = strategy(UsersOwn)
    judged(bot, trade(), 0)
    assert isinstance(bot, UsersOwn)
    assert bot.asked == 1
    ours = strategy(Counting)
    assert [found.exit_reason for found in judged(ours, trade(), 0, exit_=True)] == ["exit_signal"]


def test_outside_of_analysis_no_second_is_quiet() -> None:
    bot = SqueezeFlowStrategy({"runmode": RunMode.OTHER, "stake_currency": "USDT", "stake_amount": 100})
    assert not bot.is_quiet(trade(), NOW)
