"""The strategy's parameters: FreqTrade's spaces over the method's ranges, protections that are off at 0."""

from __future__ import annotations

from freqtrade.enums import RunMode

from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.phases.ranges import ENTRY_RANGES, RANGES
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.strategy.bot import SqueezeFlowStrategy
from squeezeflow_plugin.strategy.protections import PROTECTIONS


def strategy() -> SqueezeFlowStrategy:
    return SqueezeFlowStrategy({"runmode": RunMode.OTHER, "stake_currency": "USDT", "stake_amount": 100})


def test_every_range_is_a_space_of_freqtrades() -> None:
    bot = strategy()
    bot.tuned(Settings())
    spaces = {name: space for space in ("buy", "sell") for name, _ in bot.enumerate_parameters(space)}
    assert set(spaces) == set(RANGES)
    assert {name for name, space in spaces.items() if space == "buy"} == set(ENTRY_RANGES)
    for name, given in RANGES.items():
        drawn = getattr(bot, name).get_space(name)
        assert (drawn.low, drawn.high, drawn.step) == (given.low, given.high, given.step)


def test_settings_come_first_and_are_not_searched() -> None:
    bot, other = strategy(), strategy()
    settings = bot.tuned(Settings(params={"min_score": 5.123456789012, "weights": [1, 2, 3, 4]}))
    assert Params.from_mapping(settings.method) == Params(min_score=5.123456789012, weights=(1, 2, 3, 4))
    assert {name for name in RANGES if not getattr(bot, name).optimize} == {
        "min_score",
        "weight_reset",
        "weight_absorption",
        "weight_breakdown",
        "weight_bias",
    }
    assert Params.from_mapping(other.tuned(Settings()).method) == Params(), "another bot's values are its own"


def test_an_epochs_values_are_taken_without_their_rounding() -> None:
    bot = strategy()
    bot.tuned(Settings())
    bot.price_threshold.value = 0.1 + 0.05
    bot.setup_ttl.value = 2_400
    assert bot.searched_params(Params()) == Params(price_threshold=0.15, setup_ttl=2_400)


def test_protections_are_left_out_at_zero() -> None:
    bot = strategy()
    bot.tuned(Settings())
    always = len(PROTECTIONS)
    assert len(bot.protections) == always
    bot.cooldown_minutes.value, bot.stop_pause_minutes.value = 10, 60
    assert bot.protections[always:] == [
        {"method": "CooldownPeriod", "stop_duration": 10},
        {"method": "StoplossGuard", "lookback_period": 360, "trade_limit": 2, "stop_duration": 60},
    ]
