"""Why the stock backtest and the stepper differ: FreqTrade's minute, limit by limit, for every trade.

``freqtrade backtesting --timeframe-detail 1s`` asks for entries within a candle only where the candle before
it was armed, on one side, and never again once a trade was left in it. A trade that one run has and the
other has not then changes what follows of the pair, until both stand alike again.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from freqtrade.optimize.backtesting import Backtesting

from squeezeflow_plugin.phases.tags import parse_tag
from tests.integration.seconds_stage import COMPARED, trades_of

CANDLE_S = 60
Armed = Callable[[str, int], int]
"""The side on which a pair's candle, by its first second, is looked at for entries; 0 for none."""


class Cause(enum.StrEnum):
    """A limit of FreqTrade's, or what follows from one."""

    FIRST_CANDLE = "the first candle of the time range only arms"
    LAST_CANDLE = "the last candle ends the run where it begins"
    UNARMED = "the setup began within the candle of its entry"
    OTHER_SIDE = "the candle is looked at for entries of the other side only"
    EXIT_CANDLE = "the pair was left within the candle of the entry"
    HELD = "the pair was held by a trade that the other run does not have, or not as long"
    SLOTS = "as many trades as are allowed were open"


@dataclass(frozen=True)
class Taken:
    """One trade of a run: its event, when it was open, and everything that is compared."""

    pair: str
    event: int
    direction: int
    opened: int
    closed: int
    values: tuple[Any, ...]

    @property
    def key(self) -> tuple[str, int]:
        return self.pair, self.event

    @property
    def forced(self) -> bool:
        """Whether the end of the run ended it."""
        return bool(self.values[-1] == "force_exit")


@dataclass(frozen=True)
class Named:
    """One difference: the trade, which run has it (``both`` where it only differs), and why."""

    where: str
    taken: Taken
    cause: Cause | None


def taken_of(run: Backtesting) -> list[Taken]:
    """Every trade of a finished run."""
    found = []
    for values in trades_of(run):
        row = dict(zip(COMPARED, values, strict=True))
        tag = parse_tag(row["enter_tag"])
        assert tag is not None
        opened, closed = row["open_timestamp"] // 1000, row["close_timestamp"] // 1000
        direction = -1 if row["is_short"] else 1
        found.append(Taken(row["pair"], tag.second, direction, opened, closed, values))
    return found


def armed_of(run: Backtesting) -> Armed:
    """Which side each candle is looked at on, as the stock run's strategy armed it."""
    scored = run.strategylist[0]._offline._scored

    def armed(pair: str, candle: int) -> int:
        place = (candle - scored[pair].first) // CANDLE_S - 1
        return int(scored[pair].armed[place])

    return armed


@dataclass(frozen=True)
class Differences:
    """Names the differences between a stock run and the stepper's over the seconds ``[start, stop)``."""

    start: int
    stop: int
    slots: int
    armed: Armed

    def between(self, stock: Sequence[Taken], stepper: Sequence[Taken]) -> Iterator[Named]:
        """Each trade that is not the same in both, in order of time."""
        kept, fine = {each.key: each for each in stock}, {each.key: each for each in stepper}
        for key in sorted(kept.keys() | fine.keys(), key=lambda key: key[1]):
            if key not in kept:
                yield Named("stepper", fine[key], self._missed(fine[key], stock))
            elif key not in fine:
                yield Named("stock", kept[key], self._held(kept[key], stepper))
            elif kept[key].values != fine[key].values:
                yield Named("both", fine[key], self._changed(kept[key], fine[key], stock))

    def _missed(self, trade: Taken, stock: Sequence[Taken]) -> Cause | None:
        """Why the stock run did not enter where the stepper did."""
        second, candle = trade.opened, trade.opened // CANDLE_S * CANDLE_S
        if candle < self.start + CANDLE_S:
            return Cause.FIRST_CANDLE
        if candle >= self.stop - CANDLE_S:
            return Cause.LAST_CANDLE
        armed = self.armed(trade.pair, candle)
        if armed != trade.direction:
            return Cause.OTHER_SIDE if armed else Cause.UNARMED
        if any(each.pair == trade.pair and candle <= each.closed <= second for each in stock):
            return Cause.EXIT_CANDLE
        return self._held(trade, stock)

    def _held(self, trade: Taken, others: Sequence[Taken]) -> Cause | None:
        """What else was open in the other run when the trade was entered."""
        open_then = [each for each in others if each.opened <= trade.opened <= each.closed]
        if any(each.pair == trade.pair for each in open_then):
            return Cause.HELD
        return Cause.SLOTS if len(open_then) >= self.slots else None

    def _changed(self, kept: Taken, fine: Taken, stock: Sequence[Taken]) -> Cause | None:
        """Why one trade is not the same in both: entered late, or cut off by the end of the run."""
        if kept.opened != fine.opened:
            return self._missed(fine, [each for each in stock if each is not kept])
        return Cause.LAST_CANDLE if kept.forced else None


def counted(differences: Sequence[Named]) -> Mapping[str, int]:
    """How many differences each cause has."""
    found: dict[str, int] = {}
    for each in differences:
        name = "without a cause" if each.cause is None else each.cause.name.lower()
        found[name] = found.get(name, 0) + 1
    return found
