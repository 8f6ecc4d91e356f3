"""What the session knows of FreqTrade's trades, and the log of their orders."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from squeezeflow_plugin.errors import StoreConflictError
from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.phases.tags import EnterTag
from squeezeflow_plugin.store.decisions import DecisionLog, TradeEvent


@dataclass(frozen=True)
class OpenTrade:
    """An open trade of FreqTrade's; ``tag`` None where it was not entered by this strategy."""

    pair: str
    trade_id: int
    direction: int
    tag: EnterTag | None


@dataclass(frozen=True)
class Entry:
    """An entry that is open now: its tag, +1 or -1, and the second whose decision holds it open."""

    tag: EnterTag
    direction: int
    second: int


@dataclass(frozen=True)
class Fill:
    """What FreqTrade says of a filled order: nanoseconds, price in quote and stake in stake currency."""

    is_entry: bool
    ordered_ns: int
    filled_ns: int
    price: float
    stake: float


class Decider(Protocol):
    """Who answers for the decided seconds: the live session, or a backtest's own decisions."""

    def confirm(self, pair: str, tag: EnterTag, direction: int) -> str:
        """Why the order for this entry must not go out now, empty where it may."""
        ...

    def exit_name(self, pair: str, trade_id: int) -> str | None:
        """The exit that is decided for an open trade by now, None where none is."""
        ...

    def seconds(self, pair: str, start: int, stop: int) -> Flow:
        """The pair's rows of ``[start, stop)`` that are known by now."""
        ...


class FillLog:
    """Orders and fills on their way into the decision log; FreqTrade tells them from any of its threads."""

    def __init__(self, decisions: DecisionLog) -> None:
        self._log = decisions
        self._waiting: deque[TradeEvent] = deque()

    def put(self, trade: OpenTrade, tag: str, fill: Fill, second: int) -> None:
        """Note when the order was placed and when it was filled; ``second`` is the one that caused it."""
        side = "entry" if fill.is_entry else "exit"
        event_second = trade.tag.second if trade.tag else 0
        for what, at_ns in (("order", fill.ordered_ns), ("fill", fill.filled_ns)):
            self._waiting.append(
                TradeEvent(
                    f"{side}_{what}",
                    trade.pair,
                    trade.trade_id,
                    event_second,
                    trade.direction,
                    tag,
                    second,
                    at_ns,
                    fill.price,
                    fill.stake,
                )
            )

    def flush(self) -> None:
        """Log what waits; from the thread that owns the log only.

        Where the disk refuses, it waits for the next call. Raises StoreError; StoreConflictError, which no
        waiting mends, drops what waited.
        """
        events = [self._waiting[place] for place in range(len(self._waiting))]
        if not events:
            return
        try:
            self._log.append((), events)
        except StoreConflictError:
            self._forget(len(events))
            raise
        self._forget(len(events))

    def _forget(self, count: int) -> None:
        for _ in range(count):
            self._waiting.popleft()
