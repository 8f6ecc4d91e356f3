"""A market whose gaps are watched, and its trades."""

from __future__ import annotations

from squeezeflow_plugin.bars.gaps import MarketGaps
from squeezeflow_plugin.feeds.recovery import Continuity
from squeezeflow_plugin.market import NS_PER_SECOND, Trade

MARKET = "X:a"
START = 1_767_225_600
LATER = (START + 10_000) * NS_PER_SECOND


def trade(number: int, at: float, count: int = 1, received: float | None = None) -> Trade:
    """Dated and received ``at`` seconds after START."""
    at_ns, heard_ns = (
        START * NS_PER_SECOND + round(each * NS_PER_SECOND)
        for each in (at, at if received is None else received)
    )
    return Trade(MARKET, at_ns, str(number), 1.0, 1.0, 1.0, 1, count, received_ns=heard_ns)


def ns(at: float) -> int:
    return START * NS_PER_SECOND + round(at * NS_PER_SECOND)


def market(*, sequence: bool = True, replayed: bool = False) -> MarketGaps:
    return MarketGaps(MARKET, Continuity(sequence, replayed), lambda _: True)


def taken(gaps: MarketGaps, *trades: Trade) -> MarketGaps:
    for each in trades:
        gaps.take(each)
    return gaps


def seconds(spans: list[tuple[int, int]]) -> list[int]:
    return [second - START for start, stop in spans for second in range(start, stop)]
