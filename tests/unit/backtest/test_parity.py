"""A live bot's trades beside a backtest's: what counts as the same, and what causes a difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from squeezeflow_plugin.backtest.parity import (
    Causes,
    Deal,
    TradeParity,
    compare_deals,
    deals_of_backtest,
    deals_of_log,
)
from squeezeflow_plugin.provider.final_parity import Cause, FinalDifference, FinalParity
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.decisions import DecisionLog, LoggedDecision, TradeEvent

PAIR, OTHER = "BTC/USDT", "ETH/USDT"
START, STOP = 1000, 2000
DEAL = Deal(PAIR, 1100, 1, 1100, 1300, "flow_reversal")
REVISION = Cause(PAIR, "BINANCE:btcusdt", 1095, 1102, "spot_buy", 10.0, 12.0)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[DecisionLog]:
    """Every second of the span decided in time, but 1150 never, 1160 far too late and 1165 with the next."""
    made = DecisionLog(tmp_path / "decisions.sqlite", ("score",), "engine")
    seconds = [second for second in range(START, STOP) if second != 1150]
    made.append(
        LoggedDecision(
            pair,
            second,
            second,
            (second + (2 if second == 1165 else 1)) * 10**9 + 420_000_000,
            9000.0 if second == 1160 else 420.0,
            (0.0,),
        )
        for pair in (PAIR, OTHER)
        for second in seconds
    )
    yield made
    made.close()


def compared(
    log: DecisionLog,
    live: Sequence[Deal],
    tested: Sequence[Deal],
    final: Sequence[FinalDifference] = (),
    slots: int = 3,
) -> TradeParity:
    causes = Causes(log, Settings(), FinalParity(1000, (), tuple(final)), slots)
    return compare_deals(live, tested, (START, STOP), causes)


def deal(event: int, left: int | None = None, reason: str = "flow_reversal", **more: Any) -> Deal:
    values = {"pair": PAIR, "direction": 1, "entered": event, **more}
    return Deal(event=event, left=left, reason="" if left is None else reason, **values)


def the_cause(found: TradeParity) -> str:
    (difference,) = found.differences
    return difference.cause


def test_the_same_trades_do_not_differ(log: DecisionLog) -> None:
    still_open = deal(1700, pair=OTHER)
    assert compared(log, [DEAL, still_open], [DEAL, still_open]) == TradeParity(2, 1, ())


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        (1150, "second 1150 was not decided live"),
        (1160, "second 1160 was decided 9000 ms after its end, too late to order"),
        (1165, "second 1165 was decided together with 1166, on which the bot acted"),
        (1170, ""),
    ],
)
def test_an_entry_the_bot_did_not_take(log: DecisionLog, event: int, cause: str) -> None:
    found = compared(log, [], [deal(event, 1400)])
    assert the_cause(found) == cause
    assert found.unexplained == (() if cause else found.differences)
    assert "logged None, backtest at" in str(found.differences[0])


@pytest.mark.parametrize("live", [True, False])
def test_a_revision_is_the_cause_of_an_entry_that_only_one_side_has(log: DecisionLog, live: bool) -> None:
    final = [FinalDifference(PAIR, 1100, "score", 4.0, 3.9, REVISION)]
    found = compared(log, [DEAL] * live, [DEAL] * (not live), final)
    assert "written again in record 1102" in the_cause(found)


@pytest.mark.parametrize(("column", "known", "explained"), [
    ("coverage_spot", 1103, True), ("coverage_spot", 1100, False), ("spot_buy", 1103, False)
])  # fmt: skip  # one table
def test_a_span_that_was_covered_later_is_the_cause_of_a_later_entry(
    log: DecisionLog, column: str, known: int, explained: bool
) -> None:
    later = replace(REVISION, second=1100, known=known, column=column)
    final = FinalParity(1000, (later,), ())
    causes = Causes(log, Settings(), final, 3)
    found = compare_deals([deal(1100, 1300, entered=1101)], [DEAL], (START, STOP), causes)
    assert the_cause(found) == (str(later) if explained else "")


def test_a_difference_of_the_final_view_without_a_cause_explains_nothing(log: DecisionLog) -> None:
    final = [FinalDifference(PAIR, 1100, "score", 4.0, 3.9, None)]
    assert the_cause(compared(log, [DEAL], [], final)) == ""


def test_a_trade_that_is_held_longer_keeps_the_next_one_out(log: DecisionLog) -> None:
    final = [FinalDifference(PAIR, 1290, "z_spot_5m", 1.0, 1.1, REVISION)]
    longer, following = deal(1100, 1500), deal(1400, 1600)
    found = compared(log, [longer], [DEAL, following], final)
    assert [(each.what, each.event) for each in found.differences] == [("exit", 1100), ("entry", 1400)]
    assert found.differences[0].logged == "flow_reversal at 1500"
    assert found.differences[1].cause == "the bot held the pair by the trade of event 1100"
    assert found.unexplained == ()


def test_no_free_slot_is_a_cause(log: DecisionLog) -> None:
    other = deal(1050, 1900, pair=OTHER)
    found = compared(log, [other], [other, DEAL], slots=1)
    assert the_cause(found) == "the bot had 1 trades open"


def test_a_later_entry_on_the_same_event_is_a_difference(log: DecisionLog) -> None:
    late = deal(1158, 1300, entered=1161)
    found = compared(log, [late], [deal(1158, 1300)])
    assert [each.what for each in found.differences] == ["entry"]
    assert (found.differences[0].logged, found.differences[0].tested) == ("at 1161", "at 1158")
    assert the_cause(found) == "second 1160 was decided 9000 ms after its end, too late to order"


def test_a_stop_follows_a_price(log: DecisionLog) -> None:
    found = compared(log, [DEAL], [deal(1100, 1250, "stop_loss")])
    assert the_cause(found).startswith("stop_loss is FreqTrade's own")


def test_an_exit_that_nothing_explains_is_said_to_be_one(log: DecisionLog) -> None:
    found = compared(log, [DEAL], [deal(1100, 1310)])
    assert found.unexplained == found.differences != ()
    assert "nothing explains it" in str(found.differences[0])


def test_what_the_ends_of_the_span_cut_off_does_not_count(log: DecisionLog) -> None:
    before, after = deal(900, 1200), deal(2000)
    cut = deal(1800, 2001, pair=OTHER)
    found = compared(log, [before, cut, after], [deal(1800, pair=OTHER)])
    assert found == TradeParity(1, 0, ())


def test_trades_of_a_log_and_of_a_backtest_are_told_by_their_decisions() -> None:
    def event(kind: str, trade: int, tag: str, second: int, decided: int = 1100) -> TradeEvent:
        return TradeEvent(kind, PAIR, trade, decided, 1, tag, second, 0, 100.0, 10.0)

    events = [
        event("entry_order", 1, "sf:4.50|e=1100", 1100),
        event("entry_fill", 1, "sf:4.50|e=1100", 1100),
        event("exit_order", 1, "flow_reversal", 1300),
        event("entry_order", 2, "force_entry", 1400, decided=0),
    ]
    trade = {
        "pair": PAIR,
        "enter_tag": "sf:4.50|e=1100",
        "is_short": False,
        "open_timestamp": 1_102_000,
        "close_timestamp": 1_302_000,
        "exit_reason": "flow_reversal",
    }
    assert deals_of_log(events) == deals_of_backtest([trade], 2) == [DEAL]
    stopped = {**trade, "exit_reason": "stop_loss"}
    assert deals_of_backtest([stopped], 2) == [deal(1100, 1302, "stop_loss")]
    assert deals_of_backtest([{**trade, "exit_reason": "force_exit"}], 2) == [deal(1100)]
    assert deals_of_backtest([{**trade, "enter_tag": "mine"}], 2) == []
