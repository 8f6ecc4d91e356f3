"""What is not merged is named at once, then once a minute."""

from __future__ import annotations

import pytest

from squeezeflow_plugin.bars.outcomes import Outcome, Refused
from squeezeflow_plugin.collector.refusing import RefusalLog
from squeezeflow_plugin.market import NS_PER_SECOND


def refused(number: int, market: str = "X:a") -> Refused:
    return Refused(market, Outcome.BEYOND_HORIZON, 2, 10.0, str(number), number)


def test_a_day_of_wrong_dates_is_a_line_a_minute_and_nothing_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = RefusalLog()
    for second in range(150):
        log.say([refused(second)] if second < 125 else [], second * NS_PER_SECOND)
    log.say([], 400 * NS_PER_SECOND)
    assert [record.getMessage() for record in caplog.records] == [
        f"not merged: {count} trades of X:a (beyond horizon), {5 * count:.2f} in quote currency,"
        f" the last one {last}"
        for count, last in ((2, 0), (120, 60), (120, 120), (8, 124))
    ]


def test_each_market_is_named_and_one_that_was_quiet_for_long_at_once_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = RefusalLog()
    log.say([refused(0), refused(0, "X:b")], 0)
    log.say([], 61 * NS_PER_SECOND)
    log.say([refused(62)], 62 * NS_PER_SECOND)
    assert [record.getMessage().split()[5] for record in caplog.records] == ["X:a", "X:b", "X:a"]
