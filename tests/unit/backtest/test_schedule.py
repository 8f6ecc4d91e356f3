"""Which seconds are looked at, for trades whose every number is given."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from squeezeflow_plugin.backtest.rows import PairRows
from squeezeflow_plugin.backtest.schedule import (
    Look,
    Schedule,
    watches_every_second,
    watches_every_trade_second,
)
from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.provider.decisions import Event, Signal
from squeezeflow_plugin.strategy.bot import SqueezeFlowStrategy

START = 1_754_697_600
PAIR = "BTC/USDT"
STOP = START + 1000


@dataclass
class OpenTrade:
    """What the schedule asks of FreqTrade's trade: price targets at a return without fees."""

    id: int = 1
    is_short: bool = False
    stop_loss: float = 90.0
    liquidation_price: float | None = None
    has_open_orders: bool = False
    open_rate: float = 100.0
    open_date_utc: dt.datetime = field(default_factory=lambda: dt.datetime.fromtimestamp(START, dt.UTC))

    def calc_close_rate_for_roi(self, ratio: float) -> float:
        return self.open_rate * (1 - ratio if self.is_short else 1 + ratio)


class Quiet(SqueezeFlowStrategy):
    """The shipped strategy, made without a configuration."""

    __module__ = "squeezeflow_plugin.strategy.bot"

    def __init__(self, targets: dict[int, float] | None = None) -> None:
        """Nothing else is needed for what is asked here; FreqTrade turns the table's keys into numbers."""
        self.__dict__["minimal_roi"] = targets or {0: 100.0}


def rows(signals: tuple[int, ...] = (), **moved: float) -> PairRows:
    """A thousand seconds at 100; ``low_500=80`` makes second 500's low 80."""
    columns: dict[str, Any] = {name: np.full(1000, 100.0) for name in ("open", "high", "low", "close")}
    for name, value in moved.items():
        column, _, second = name.partition("_")
        columns[column][int(second)] = value
    columns |= {name: np.ones(1000) for name in ("spot_buy", "spot_sell", "perp_buy", "perp_sell")}
    found = PairRows(1)
    events = [Signal(START + second, Event(START + second, 1, {"score": 5.0})) for second in signals]
    found.load(Flow.from_columns({"time": np.arange(START, STOP), **columns}), events)
    return found


def look(
    pair: PairRows, *trades: OpenTrade, funding_s: int = 0, strategy: Any = None, **exits: int
) -> int | None:
    """The next second to look at from the start on, counted from it."""
    schedule = Schedule({PAIR: pair}, strategy or Quiet(), funding_s)
    due = {int(name.removeprefix("exit_")): START + second for name, second in exits.items()}
    found = schedule.next_look(START + 1, STOP, {PAIR: list(trades)}, due)
    assert found is None or found.pairs == {PAIR}
    return None if found is None else found.second - START


def test_without_a_trade_only_entries_count() -> None:
    assert look(rows()) is None
    assert look(rows((300, 301))) == 302
    assert look(rows((300,), low_100=1.0)) == 302


@pytest.mark.parametrize(
    ("trade", "moved", "second"),
    [
        (OpenTrade(), {}, None),
        (OpenTrade(), {"low_400": 90.0}, 400),
        (OpenTrade(), {"low_400": 90.1}, None),
        (OpenTrade(is_short=True, stop_loss=110.0), {"high_400": 110.0}, 400),
        (OpenTrade(is_short=True, stop_loss=110.0), {"low_400": 1.0}, None),
        (OpenTrade(liquidation_price=95.0), {"low_400": 94.0}, 400),
        (OpenTrade(has_open_orders=True), {}, 1),
    ],
)
def test_a_trade_is_looked_at_where_its_stops_are_reached(
    trade: OpenTrade, moved: dict[str, float], second: int | None
) -> None:
    assert look(rows((), **moved), trade) == second


def test_an_entry_is_no_reason_while_its_pair_is_in_a_trade() -> None:
    assert look(rows((300,)), OpenTrade()) is None


def test_exits_and_fundings_are_due_at_their_seconds() -> None:
    assert look(rows(), OpenTrade(), exit_1=700) == 700
    assert look(rows(low_650=80.0), OpenTrade(), exit_1=700) == 650
    assert look(rows(), OpenTrade(), funding_s=600) == 600 - START % 600


def test_targets_hold_from_their_minute_on() -> None:
    strategy = Quiet({0: 0.05, 5: 0.01})
    assert look(rows(high_100=102.0), OpenTrade(), strategy=strategy) is None
    assert look(rows(high_100=102.0, high_400=102.0), OpenTrade(), strategy=strategy) == 400
    assert look(rows(high_100=105.0), OpenTrade(), strategy=strategy) == 100
    assert look(rows(low_400=98.0), OpenTrade(is_short=True, stop_loss=200.0), strategy=strategy) == 400


def test_pairs_of_the_same_second_are_looked_at_together() -> None:
    pairs = {"A": rows((300,)), "B": rows((300,)), "C": rows((400,))}
    found = Schedule(pairs, Quiet(), 0).next_look(START, STOP, {}, {})
    assert found == Look(START + 302, frozenset({"A", "B"}))


def test_what_a_user_wrote_is_called_each_second() -> None:
    class Mine(Quiet):
        def custom_exit(self, *_args: Any, **_kwargs: Any) -> str | None:
            return None

    class Looping(Quiet):
        def bot_loop_start(self, *_args: Any, **_kwargs: Any) -> None:
            """Mine."""

    class Trailing(Quiet):
        trailing_stop = True

    assert [watches_every_trade_second(kind()) for kind in (Quiet, Mine, Trailing)] == [False, True, True]
    assert [watches_every_second(kind()) for kind in (Quiet, Mine, Looping)] == [False, False, True]
    assert look(rows(), OpenTrade(), strategy=Mine()) == 1
    assert look(rows(), strategy=Mine()) is None
    assert look(rows(), strategy=Looping()) == 1
