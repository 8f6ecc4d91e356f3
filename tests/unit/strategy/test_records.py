"""What FreqTrade's records of trades say of an entry that is open."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from freqtrade.persistence import LocalTrade, disable_database_use, enable_database_use

from squeezeflow_plugin.phases.tags import tag_of
from squeezeflow_plugin.strategy.records import is_taken, was_traded
from squeezeflow_plugin.strategy.trades import Entry

PAIR, EVENT = "BTC/USDT", 1_700_000_000


@pytest.fixture(autouse=True)
def records() -> Iterator[None]:
    """FreqTrade's records without a database, as its backtest keeps them."""
    disable_database_use("1m")
    LocalTrade.reset_trades()
    yield
    LocalTrade.reset_trades()
    enable_database_use()


def add(event: int, *, is_open: bool, short: bool = False, pair: str = PAIR) -> None:
    opened = datetime.fromtimestamp(event + 2, UTC)
    trade = LocalTrade(
        id=event,
        pair=pair,
        is_short=short,
        is_open=is_open,
        open_date=opened,
        enter_tag=str(tag_of(5.0, event)),
        exchange="binance",
        open_rate=100.0,
        amount=1.0,
        stake_amount=100.0,
        fee_open=0.0,
        fee_close=0.0,
        leverage=1.0,
    )
    (LocalTrade.add_bt_trade if is_open else LocalTrade.bt_trades.append)(trade)


def entry(direction: int = 1) -> Entry:
    return Entry(tag_of(6.0, EVENT), direction, EVENT)


def test_an_event_is_entered_once() -> None:
    assert not is_taken(PAIR, entry())
    add(EVENT, is_open=False)
    assert was_traded(PAIR, entry().tag)
    assert is_taken(PAIR, entry())


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("short", [True, False])
def test_an_entry_waits_until_the_trade_on_its_side_is_left(direction: int, short: bool) -> None:
    add(EVENT - 100, is_open=True, short=short)
    assert is_taken(PAIR, entry(direction)) == (short == (direction < 0))


def test_trades_that_are_left_or_of_another_pair_keep_nothing_out() -> None:
    add(EVENT - 100, is_open=False)
    add(EVENT - 50, is_open=True, pair="ETH/USDT")
    assert not is_taken(PAIR, entry())
