"""FreqTrade itself, in dry-run: ``FreqtradeBot.process`` driven second by second on our store."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from freqtrade.persistence import Trade
from freqtrade.rpc.rpc import RPC

from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.provider.replay import run_parity
from squeezeflow_plugin.store.decisions import DecisionLog
from squeezeflow_plugin.strategy.protections import PROTECTIONS
from tests.integration.rehearsal import (
    PAIR,
    Rehearsal,
    Story,
)

# FreqTrade and its dependencies warn about each other; only what they log as an error counts here.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(240)]


def test_a_trade_is_entered_and_left_at_the_decision_seconds(
    rehearsal: Rehearsal, story: Story, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        rehearsal.run_to(story.exit.second + 20)
    trades = list(Trade.get_trades())
    assert len(trades) == 1, "one entry per event, also after its exit"
    trade = trades[0]
    assert (trade.pair, trade.is_open, trade.is_short) == (PAIR, False, False)
    assert trade.enter_tag is not None
    assert trade.enter_tag.startswith("sf:")
    assert trade.enter_tag.endswith(f"|e={story.event}")
    assert trade.exit_reason == story.exit.name
    assert trade.open_rate == pytest.approx(story.price(story.event) + 0.01)

    log = DecisionLog(rehearsal.settings.decisions_path, readonly=True)
    events = {event.kind: event for event in log.events()}
    assert set(events) == {"entry_order", "entry_fill", "exit_order", "exit_fill"}
    assert {event.decision_second for event in events.values()} == {story.event}
    assert events["entry_fill"].second == story.event
    assert (events["exit_fill"].second, events["exit_fill"].tag) == (story.exit.second, story.exit.name)

    rows = rehearsal.decisions()
    assert [row.second for row in rows] == list(range(rows[0].second, rows[-1].second + 1))
    assert all(400 <= row.latency_ms <= 450 for row in rows)
    parity = run_parity(rehearsal.settings, "binance", rows[0].second, rows[-1].second + 1)
    assert (parity.seconds, parity.exits, parity.differences) == (len(rows), 1, ())

    assert "klines" not in rehearsal.asked
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_the_emergency_stop_lies_at_the_exchange_while_the_trade_is_open(
    rehearsal: Rehearsal, story: Story
) -> None:
    rehearsal.run_to(story.event + 5)
    (trade,) = Trade.get_open_trades()
    (stop,) = [order for order in trade.orders if order.ft_order_side == "stoploss"]
    assert (stop.ft_is_open, stop.stop_price) == (True, pytest.approx(trade.stop_loss))
    assert trade.open_rate * (1 + rehearsal.bot.strategy.stoploss) < trade.stop_loss < trade.open_rate
    rehearsal.run_to(story.exit.second + 5)
    assert [order.ft_is_open for order in trade.orders] == [False] * 3
    assert trade.exit_reason == story.exit.name


@pytest.mark.parametrize("force", [True, False])
def test_a_trade_opened_by_hand_is_guarded_by_the_stop_and_left_by_hand(
    rehearsal: Rehearsal, story: Story, force: bool, caplog: pytest.LogCaptureFixture
) -> None:
    rehearsal.run_to(story.event - 4)
    rehearsal.bot.config["force_entry_enable"] = force
    entered = rehearsal.bot.execute_entry(PAIR, 500.0, enter_tag="force_entry")
    assert entered is force, "FreqTrade asks for those only where it is allowed to"
    if not force:
        return
    (trade,) = Trade.get_open_trades()
    assert trade.open_rate * (1 + rehearsal.bot.strategy.stoploss) < trade.stop_loss, (
        "the ATR's of that second"
    )
    rehearsal.run_to(story.event + 3)
    assert caplog.text.count("only the stop loss guards it") == 1
    assert [open_.enter_tag for open_ in Trade.get_open_trades()] == ["force_entry"], "one trade a pair"
    RPC(rehearsal.bot)._rpc_force_exit(str(trade.id))
    assert trade.exit_reason == "force_exit"
    rehearsal.run_to(story.event + 8)
    assert list(Trade.get_open_trades()) == []
    log = DecisionLog(rehearsal.settings.decisions_path, readonly=True)
    assert [(event.decision_second, event.tag) for event in log.events() if event.kind.endswith("fill")] == [
        (0, "force_entry"),
        (0, "force_exit"),
    ]


def test_a_forced_exit_is_not_entered_again(rehearsal: Rehearsal, story: Story) -> None:
    rehearsal.run_to(story.event)
    (trade,) = Trade.get_open_trades()
    RPC(rehearsal.bot)._rpc_force_exit(str(trade.id))
    rehearsal.run_to(story.event + 6)  # the event is still held for some of these seconds
    assert [(each.is_open, each.exit_reason) for each in Trade.get_trades()] == [(False, "force_exit")]


def test_a_position_that_is_added_to_keeps_its_event_and_its_exit(
    rehearsal: Rehearsal, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = rehearsal.bot.strategy
    strategy.position_adjustment_enable = True
    wanted = iter([200.0])

    def add(trade: Trade, *_args: Any, **_kwargs: Any) -> float | None:
        return next(wanted, None)

    monkeypatch.setattr(strategy, "adjust_trade_position", add)
    rehearsal.run_to(story.event + 10)
    (trade,) = Trade.get_open_trades()
    assert trade.nr_of_successful_entries == 2
    before = trade.stop_loss
    rehearsal.run_to(story.exit.second + 5)
    assert (trade.is_open, trade.exit_reason) == (False, story.exit.name)
    assert trade.stop_loss >= before
    log = DecisionLog(rehearsal.settings.decisions_path, readonly=True)
    fills = [event for event in log.events() if event.kind == "entry_fill"]
    assert [event.decision_second for event in fills] == [story.event] * 2


def test_an_order_that_is_filled_in_part_is_judged_from_the_event_all_the_same(
    rehearsal: Rehearsal, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = rehearsal.bot.exchange
    create = exchange.create_order

    def half(**asked: Any) -> Any:
        order = create(**asked)
        if asked["side"] == "buy":
            filled = order["amount"] / 2
            order |= {"status": "canceled", "filled": filled, "remaining": order["amount"] - filled}
            exchange._dry_run_open_orders[order["id"]] = order
        return order

    monkeypatch.setattr(exchange, "create_order", half)
    rehearsal.run_to(story.event + 3)
    (trade,) = Trade.get_open_trades()
    assert trade.amount == pytest.approx(trade.amount_requested / 2, rel=1e-2)
    rehearsal.run_to(story.exit.second + 5)
    assert [(each.is_open, each.exit_reason) for each in Trade.get_trades()] == [(False, story.exit.name)]


@pytest.mark.parametrize("down_s", [0, 90])
def test_a_bot_that_starts_again_takes_up_its_trade(
    rehearsal: Rehearsal,
    story: Story,
    down_s: int,
) -> None:
    """Also where the exit's second fell into the downtime: then it leaves in the first second after."""
    rehearsal.run_to(story.event + 10)
    assert [trade.is_open for trade in Trade.get_trades()] == [True]
    back = story.event + 10 + down_s
    assert (back > story.exit.second) == (down_s > 0)
    rehearsal.clock.advance(down_s * NS_PER_SECOND)
    rehearsal.clock.deliver()
    again = rehearsal.start_again()
    try:
        again.process()
        while rehearsal.clock.last_ended < story.exit.second + 5:
            again.process()
        trades = list(Trade.get_trades())
        assert [(trade.is_open, trade.exit_reason) for trade in trades] == [(False, story.exit.name)]
    finally:
        again.cleanup()
    log = DecisionLog(rehearsal.settings.decisions_path, readonly=True)
    left = [event for event in log.events() if event.kind == "exit_order"]
    assert [event.second for event in left] == [story.exit.second]


def test_no_more_trades_are_open_than_freqtrade_is_told_and_its_protections_are_on(
    rehearsal: Rehearsal, story: Story
) -> None:
    assert rehearsal.bot.protections.name_list == [each["method"] for each in PROTECTIONS]
    rehearsal.bot.config["max_open_trades"] = 0
    rehearsal.run_to(story.event + 6)
    assert next(row.second for row in rehearsal.decisions() if row.value("entry")) == story.event
    assert list(Trade.get_trades()) == []


def test_without_closed_seconds_the_emergency_stop_still_leaves(
    rehearsal: Rehearsal, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    rehearsal.run_to(story.event + 3)
    (trade,) = Trade.get_open_trades()
    rehearsal.clock.missing = {story.event + 5}
    rehearsal.run_to(story.event + 8)
    assert (rehearsal.decisions()[-1].second, trade.is_open) == (story.event + 4, True)
    price = trade.stop_loss * 0.999
    monkeypatch.setattr(Story, "price", lambda _self, _second: price)
    rehearsal.run_to(story.event + 12)
    assert rehearsal.decisions()[-1].second == story.event + 4
    assert (trade.is_open, trade.exit_reason) == (False, "stoploss_on_exchange")


def test_without_closed_seconds_nothing_is_entered(
    rehearsal: Rehearsal, story: Story, caplog: pytest.LogCaptureFixture
) -> None:
    rehearsal.clock.missing = {story.event}
    rehearsal.run_to(story.event + 3)
    assert list(Trade.get_trades()) == []
    assert "was not closed in time" in caplog.text
    rehearsal.clock.missing = set()
    rehearsal.clock.advance(60 * NS_PER_SECOND)
    rehearsal.clock.deliver()
    rehearsal.run_to(story.event + 90)
    assert list(Trade.get_trades()) == [], "an event of a past second never fires"
    seconds = [row.second for row in rehearsal.decisions()]
    assert seconds == list(range(seconds[0], seconds[-1] + 1)), "pending seconds are decided, each once"
