"""The strategy's callbacks where no bot runs around it; tests/integration runs one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from freqtrade.enums import CandleType, RunMode, TradingMode

from squeezeflow_plugin.strategy.bot import SqueezeFlowStrategy
from squeezeflow_plugin.strategy.columns import SHOWN

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TAG = "sf:8.25|e=1700000137"


def strategy(trading_mode: TradingMode = TradingMode.SPOT) -> SqueezeFlowStrategy:
    return SqueezeFlowStrategy({"trading_mode": trading_mode, "candle_type_def": CandleType.SPOT})


def confirm(bot: SqueezeFlowStrategy, tag: str | None) -> bool:
    return bot.confirm_trade_entry("BTC/USDT", "market", 1.0, 1.0, "GTC", NOW, tag, "long")


def test_shorts_need_futures() -> None:
    assert strategy().can_short is False
    assert strategy(TradingMode.FUTURES).can_short is True


@pytest.mark.parametrize("tag", [TAG, "force_entry", None])
def test_nothing_is_confirmed_without_a_session(tag: str | None) -> None:
    assert confirm(strategy(), tag) is False


def test_a_check_that_fails_is_a_refusal(caplog: pytest.LogCaptureFixture) -> None:
    bot = strategy()
    broken: Any = object()
    bot._decider = broken
    assert confirm(bot, TAG) is False
    assert "could not be checked, it is refused" in caplog.text


def test_a_frame_without_decisions_has_every_column_and_no_signal() -> None:
    bot = strategy()
    frame = pd.DataFrame({"date": pd.to_datetime([0, 60_000], unit="ms", utc=True), "close": [1.0, 2.0]})
    frame["enter_tag"] = ""
    analysed = bot.populate_indicators(frame, {"pair": "BTC/USDT"})
    analysed = bot.populate_entry_trend(analysed, {"pair": "BTC/USDT"})
    analysed = bot.populate_exit_trend(analysed, {"pair": "BTC/USDT"})
    assert set(SHOWN) | {"phase", "veto"} <= set(analysed.columns)
    assert analysed[["enter_long", "enter_short", "exit_long", "exit_short"]].to_numpy().sum() == 0
    assert analysed["close"].tolist() == [1.0, 2.0]


def test_stake_and_leverage_follow_the_tag() -> None:
    bot = strategy(TradingMode.FUTURES)
    stake = bot.custom_stake_amount("BTC/USDT", NOW, 1.0, 100.0, 5.0, 1_000.0, 1.0, TAG, "long")
    assert stake == 150.0
    assert bot.custom_stake_amount("BTC/USDT", NOW, 1.0, 100.0, 5.0, 1_000.0, 1.0, "x", "long") == 100.0
    assert bot.leverage("BTC/USDT:USDT", NOW, 1.0, 1.0, 20.0, "x", "long") == 1.0


def test_a_loop_without_a_session_does_nothing() -> None:
    bot = strategy()
    bot.bot_loop_start(NOW)
    bot.ft_bot_cleanup()
    assert bot.version() == "0.1.0"


@pytest.fixture
def our_logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("squeezeflow_plugin")
    before = logger.level
    yield logger
    logger.setLevel(before)


def test_the_bot_logs_from_the_set_level_on(our_logger: logging.Logger) -> None:
    class Stopped(SqueezeFlowStrategy):
        def make_clock(self) -> Any:
            raise InterruptedError

    bot = Stopped({"trading_mode": TradingMode.SPOT, "candle_type_def": CandleType.SPOT})
    bot.config["squeezeflow"] = {"log_level": "WARNING"}
    bot.dp = SimpleNamespace(runmode=RunMode.DRY_RUN)
    with pytest.raises(InterruptedError):
        bot.bot_start()
    assert our_logger.level == logging.WARNING
