"""One asset, second by second, as it was known: closing records in, decisions and exits out.

A revision changes rows that were scored already. The engine is then built anew and fed the rows its
memory can reach, before the next second is stepped: that second stands on the corrected past, and what
was decided before stays as it was. Exit watches are treated the same way; their sums up to the
revision horizon can no longer change and are kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from squeezeflow_plugin.bars.flow import AssetMarkets
from squeezeflow_plugin.errors import EngineError
from squeezeflow_plugin.features.flow import FlowRow
from squeezeflow_plugin.phases.decision import Decision, FloatArray
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.exits import Baseline, Exit, ExitWatch
from squeezeflow_plugin.phases.layout import COLUMN_NAMES, SCORE
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.provider.candles import MAX_CANDLES, GrowingCandles, candle_frame
from squeezeflow_plugin.provider.closings import ClosedSecond
from squeezeflow_plugin.provider.informative import TIMEFRAMES, ShownCandles, shown_candles
from squeezeflow_plugin.provider.rows import CLOSING_SLACK_S, AssetRows

CANDLE_S = 60


@dataclass(frozen=True)
class TimelineSpec:
    """What a timeline needs to know beside its markets.

    ``hold_rows`` is how many rows it keeps at least, ``horizon_s`` how long a bar can be revised.
    """

    params: Params
    hold_rows: int
    horizon_s: int

    @property
    def rerun_rows(self) -> int:
        """How many rows are run again after a revision or a restart: the memory and the revisable ones."""
        return self.params.warmup_rows + self.horizon_s


def numbers_of(decision: Decision) -> FloatArray:
    """float64[len(COLUMN_NAMES)]: the fields of a decision in the engine's order, flags as 0 and 1."""
    return np.array([getattr(decision, name) for name in COLUMN_NAMES], dtype=np.float64)


class AssetTimeline:
    """Rows, engine, recent decisions and exit watches of one asset; ``first`` is its first second."""

    def __init__(self, markets: AssetMarkets, spec: TimelineSpec, first: int) -> None:
        hold = max(spec.hold_rows, spec.rerun_rows)
        self.rows = AssetRows(markets, first, hold=hold, horizon_s=spec.horizon_s)
        self._spec = spec
        self._engine: Engine | None = None
        self._baselines: dict[int, Baseline] = {}
        self._awaited: dict[int, tuple[int, int]] = {}
        self._watches: dict[int, _Watch] = {}
        self._at_close: dict[int, FloatArray] = {}
        self._score_high: dict[int, float] = {}
        self._candles = GrowingCandles(CANDLE_S)
        self._informative: dict[str, tuple[tuple[int, int], ShownCandles]] = {}
        self.exits: dict[int, Exit] = {}
        """The first exit of each watched trade that has one, by the key given to ``watch``."""

    @property
    def next_second(self) -> int:
        """The second that must come next."""
        return self.rows.stop

    def absorb(self, closed: ClosedSecond) -> None:
        """Take a second in as history: nothing is entered on it, but exits of watched trades are judged.

        A trade that was open while nobody decided leaves at the first second after, as it would have then.
        """
        self._take(closed)
        awaited = any(second == closed.second for second, _ in self._awaited.values())
        if not awaited and all(key in self.exits for key in self._watches):
            self._engine = None
            for watch in self._watches.values():
                watch.forget_revisable()
            return
        decision = self._score(closed.second)
        if decision is not None:
            self._judge(closed.second, decision)
            self._begin_watches(decision)

    def prime(self) -> None:
        """Score every row held once, after history was absorbed: to be warm, and for the past's candles."""
        first = self.rows.first_priced
        if first is None:
            return
        self._engine = Engine(self._spec.params)
        decided = self._engine.run(self.rows.flow(first, self.rows.stop))
        closes = np.flatnonzero((decided.second + 1) % CANDLE_S == 0).tolist()
        for place in [*closes, len(decided) - 1]:
            self._remember(int(decided.second[place]), numbers_of(decided.at(place)))
        minutes = decided.second - decided.second % CANDLE_S
        begins = np.flatnonzero(np.diff(minutes, prepend=-1))
        highs = np.maximum.reduceat(decided.score, begins).tolist()
        self._score_high = dict(zip(minutes[begins].tolist(), highs, strict=True))

    def push(self, closed: ClosedSecond) -> Decision | None:
        """Take the next second in and decide it; None as long as the reference market has not traded.

        Raises EngineError where the second does not follow or a row cannot be scored.
        """
        self._take(closed)
        decision = self._score(closed.second)
        if decision is None:
            return None
        self._judge(closed.second, decision)
        if decision.event:
            self._baselines[closed.second] = Baseline.of(decision)
        self._begin_watches(decision)
        self._remember(closed.second, numbers_of(decision))
        return decision

    def watch(self, key: int, event_second: int, direction: int) -> None:
        """Watch the trade ``key`` that entered on the event of ``event_second``; again is a no-op.

        An event still to come (history is being absorbed) is waited for. Raises EngineError where the
        second is past and no event was decided at it: then only the records can tell.
        """
        if key in self._watches or key in self._awaited:
            return
        baseline = self._baselines.get(event_second)
        if event_second >= self.next_second:
            self._awaited[key] = (event_second, direction)
        elif baseline is None or baseline.direction != direction:
            raise EngineError(
                f"{self.rows.markets.asset}: no entry event of direction {direction} was decided at second"
                f" {event_second}, trade {key} cannot be watched before the records since then are read again"
            )
        else:
            self._watches[key] = _Watch(baseline, self._spec)

    def unwatch(self, keys: Iterable[int]) -> None:
        """Forget trades that are closed."""
        for key in keys:
            self._watches.pop(key, None)
            self._awaited.pop(key, None)
            self.exits.pop(key, None)

    @property
    def watched(self) -> frozenset[int]:
        return frozenset(self._watches) | frozenset(self._awaited)

    def candles(self, seconds: int) -> pd.DataFrame:
        """Candles of the rows held, the last one forming; see ``candle_frame``."""
        first = self._first_known()
        if seconds == CANDLE_S:
            return self._candles.frame(self.rows.values(first, self.rows.stop), first)
        if seconds == 1:
            first = max(first, self.rows.stop - MAX_CANDLES)
        return candle_frame(self.rows.values(first, self.rows.stop), first, seconds)

    def informative(self, timeframe: str) -> ShownCandles:
        """Complete candles' columns; made again where one more is complete or a row of theirs was revised."""
        complete = self.rows.stop // TIMEFRAMES[timeframe], self.rows.first
        held = self._informative.get(timeframe)
        if held is None or held[0] != complete:
            first = self._first_known()
            made = shown_candles(self.rows.values(first, self.rows.stop), first, timeframe)
            held = self._informative[timeframe] = complete, made
        return held[1]

    def _first_known(self) -> int:
        """The first row with a price, ``rows.stop`` where none has."""
        first = self.rows.first_priced
        return self.rows.stop if first is None else first

    def decisions_at_close(self, starts: Iterable[int]) -> FloatArray:
        """The last decision within each one-minute candle: float64[len(COLUMN_NAMES), n], NaN for none."""
        nothing = np.full(len(COLUMN_NAMES), np.nan)
        found = [self._at_close.get(start, nothing) for start in starts]
        return np.array(found, dtype=np.float64).reshape(len(found), len(COLUMN_NAMES)).T

    def score_highs(self, starts: Iterable[int]) -> FloatArray:
        """The largest score decided within each one-minute candle: float64[n], NaN for none."""
        return np.array([self._score_high.get(start, np.nan) for start in starts], dtype=np.float64)

    def _take(self, closed: ClosedSecond) -> None:
        if closed.second != self.rows.stop:
            raise EngineError(
                f"{self.rows.markets.asset}: second {closed.second} was given, {self.rows.stop} comes next"
            )
        changed = self.rows.apply(closed.records)
        if changed:
            self._engine = None
        if self.rows.revised_from < self.rows.stop:
            self._forget_candles(self.rows.revised_from)
        for watch in self._watches.values():
            watch.settle(self.rows)
            if changed:
                watch.forget_revisable()

    def _forget_candles(self, second: int) -> None:
        """Rows from ``second`` on were written again: what was made of them is made anew when asked for."""
        self._candles.revised(second)
        for timeframe, (complete, _) in list(self._informative.items()):
            if second < complete[0] * TIMEFRAMES[timeframe]:
                del self._informative[timeframe]

    def _score(self, second: int) -> Decision | None:
        first = self.rows.first_priced
        if first is None:
            return None
        if self._engine is None:
            self._engine = Engine(self._spec.params)
            self._engine.feed(self.rows.flow(max(first, second - self._spec.rerun_rows), second))
        return self._engine.step(self.rows.row(second))

    def _judge(self, second: int, decision: Decision) -> None:
        """Note the exits that hold at this second for the first time."""
        row = self.rows.row(second)
        for key, watch in self._watches.items():
            name = watch.step(self.rows, row, decision)
            if name is not None:
                self.exits.setdefault(key, Exit(second, name))

    def _begin_watches(self, decision: Decision) -> None:
        for key, (second, direction) in list(self._awaited.items()):
            if second == decision.second:
                del self._awaited[key]
                self._watches[key] = _Watch(Baseline.of(decision, direction), self._spec)

    def _remember(self, second: int, numbers: FloatArray) -> None:
        """Keep the newest decision of each minute, and the baselines of the last hour."""
        start = second - second % CANDLE_S
        if start not in self._at_close:
            oldest = start - MAX_CANDLES * CANDLE_S
            self._at_close = {key: kept for key, kept in self._at_close.items() if key >= oldest}
            self._score_high = {key: kept for key, kept in self._score_high.items() if key >= oldest}
            self._baselines = {key: kept for key, kept in self._baselines.items() if key >= second - 3600}
        self._at_close[start] = numbers
        self._score_high[start] = max(self._score_high.get(start, 0.0), float(numbers[SCORE]))


class _Watch:
    """An exit watch that survives revisions: one at the newest row, one where rows cannot change any more."""

    def __init__(self, baseline: Baseline, spec: TimelineSpec) -> None:
        self._kept_s = spec.horizon_s + CLOSING_SLACK_S
        self._settled = ExitWatch(baseline, spec.params)
        self._newest: ExitWatch | None = None

    def settle(self, rows: AssetRows) -> None:
        """Take in for good what can no longer be revised."""
        stop = rows.stop - self._kept_s
        if stop > self._settled.second + 1:
            self._settled.feed(rows.flow(self._settled.second + 1, stop))

    def forget_revisable(self) -> None:
        """A revision changed rows after the settled ones: they are taken in again at the next step."""
        self._newest = None

    def step(self, rows: AssetRows, row: FlowRow, decision: Decision) -> str | None:
        """The exit that holds at the newest row, None where none does."""
        if self._newest is None:
            self._newest = self._settled.copy()
        if self._newest.second + 1 < row.time:
            self._newest.feed(rows.flow(self._newest.second + 1, row.time))
        return self._newest.step(row, decision)
