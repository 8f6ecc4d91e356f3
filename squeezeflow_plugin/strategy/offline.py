"""The strategy's answers in FreqTrade's analysis commands, from files instead of a live session.

FreqTrade hands a pair's whole frame of candles to ``populate_indicators`` and asks for entries and exits
later. Every second that the frame covers is scored when the frame comes; nothing outside it is read, before
or behind: what a frame says is a function of that frame's span. So ``lookahead-analysis``, which compares
frames that end earlier with the whole one, sees what a decision rests on, and ``recursive-analysis``, which
lets them begin later, sees how much it needs before it.

Between decision and fill lies the delay of the method's section 9: what second i decided can be filled at the
open of second i + 1 + delay at the earliest.

FreqTrade asks for entries second by second only within a candle whose predecessor's frame row is *armed*, and
only in one direction. A row is armed on the side of the newest setup of the ``setup_ttl`` seconds before its
close. An event in the other direction, or of a setup that begins within the candle, is not entered here, as
is none within the candle in which a trade of the pair was closed; ``run_backtest.py`` has no such limits.

Hyperopt shows the frame once and asks for its signals in every epoch, with other parameters: ``rescore``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from freqtrade.exchange import timeframe_to_seconds

from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.phases.decision import FloatArray
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.exits import Exit
from squeezeflow_plugin.phases.layout import COLUMN_NAMES, SCORE
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.phases.recorded import RecordedEngine
from squeezeflow_plugin.phases.tags import EnterTag
from squeezeflow_plugin.provider.candles import candle_frame
from squeezeflow_plugin.provider.decisions import DECIDED_NAMES, AssetDecisions
from squeezeflow_plugin.provider.informative import ShownCandles, shown_candles
from squeezeflow_plugin.provider.judging import StoredJudge
from squeezeflow_plugin.provider.materialise import DataSet
from squeezeflow_plugin.provider.recording import recording

DELAY_S = 1
_PIECE_S = 4 * 3600
_SETUP = DECIDED_NAMES.index("setup")
_DECIDED = [COLUMN_NAMES.index(name) for name in DECIDED_NAMES]


def startup_candles(params: Params, timeframe: str) -> int:
    """How many candles a frame needs before its first row counts: warm-up, and setups remembered for arming.

    >>> startup_candles(Params(), "1m")
    150
    """
    candle_s: int = timeframe_to_seconds(timeframe)
    return -(-(params.warmup_rows + params.setup_ttl) // candle_s)


@dataclass(frozen=True)
class Offer:
    """An entry that may be filled at one second: its tag and its direction."""

    tag: EnterTag
    direction: int


@dataclass(frozen=True)
class Scored:
    """A frame's seconds ``[first, stop)`` decided.

    ``at_close`` float64[len(COLUMN_NAMES), n] is the decision of each candle's last second, NaN where there
    is none; ``score_high`` float64[n] the largest score of each candle; ``armed`` int8[n] the side on which
    the next candle's seconds are looked at, 0 for none; ``offers`` by the second in which they may be
    filled; ``exits`` by the second of the entry event.
    """

    first: int
    stop: int
    at_close: FloatArray
    score_high: FloatArray
    armed: npt.NDArray[np.int8]
    offers: Mapping[int, Offer]
    exits: Mapping[int, Exit]


class Offline:
    """Scores frames and remembers, for each pair, the newest one; safe to pickle, as hyperopt does."""

    def __init__(
        self, data: DataSet, params: Params, delay_s: int = DELAY_S, judge: StoredJudge | None = None
    ) -> None:
        self.params = params
        self._data = data
        self._judge = judge
        self._lag_s = 1 + delay_s
        self._scored: dict[str, Scored] = {}

    def score(self, pair: str, starts: Sequence[int], candle_s: int) -> Scored | None:
        """Decide every second of the candles that begin at ``starts``; None for a pair without data."""
        if pair not in self._data.manifest.pairs or len(starts) == 0:
            self._scored.pop(pair, None)
            return None
        frame, engine = (
            _Frame(np.asarray(starts, dtype=np.int64), candle_s, self.params),
            Engine(self.params),
        )
        # From here on nothing outside the frame can be read.
        self._scored[pair] = frame.nothing
        for begin in range(frame.first, frame.stop, _PIECE_S):
            flow = self.flow(pair, begin, min(begin + _PIECE_S, frame.stop))
            if len(flow):
                decided = engine.run(flow).values
                frame.show(int(flow.time[0]), decided)
                frame.take(flow, decided[:, _DECIDED])
        scored = frame.scored(self._lag_s)
        # what the candles show is not asked for again, and would be pickled for every epoch of a search
        self._scored[pair] = replace(scored, at_close=scored.at_close[:, :0].copy())
        return scored

    def rescore(
        self, pair: str, starts: Sequence[int], candle_s: int, params: Params
    ) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int64]]:
        """Decide the frame again for one epoch of a search, from recorded features; see ``record``.

        Returns for each candle its armed side, and how many entry events the seconds have as noise. Features
        know the seconds before the frame, and only candles before one with an offer are armed: FreqTrade
        walks the seconds behind an armed candle one by one, and enters nothing where nothing is offered.
        """
        noise = np.zeros(len(starts), dtype=np.int64)
        if pair not in self._data.manifest.pairs or len(starts) == 0:
            self._scored.pop(pair, None)
            return np.zeros(len(starts), dtype=np.int8), noise
        recorded = recording(self._data, pair, params.noise_rows)
        frame = _Frame(np.asarray(starts, dtype=np.int64), candle_s, params)
        engine, noise_engine = RecordedEngine(params), RecordedEngine(params)
        self._scored[pair] = frame.nothing
        stop = min(frame.stop, self._data.manifest.stop)
        for begin in range(max(frame.first, recorded.first), stop, _PIECE_S):
            end = min(begin + _PIECE_S, stop)
            rows = slice(begin - recorded.first, end - recorded.first)
            decided = engine.columns(begin, recorded.features[rows], DECIDED_NAMES)
            frame.take(self._data.flow(pair, begin, end), decided)
            events = noise_engine.columns(begin, recorded.noise[rows], ("event",))[:, 0]
            np.add.at(noise, frame.candles(np.flatnonzero(events) + begin), 1)
        self._scored[pair] = scored = frame.scored(self._lag_s, narrowly=True)
        if self._judge is not None:
            self._judge = self._judge.by(params)
        return scored.armed, noise

    def record(self) -> None:
        """Record the features of every pair, once for all epochs; StoreError where they cannot be written."""
        for pair in self._data.manifest.pairs:
            found = recording(self._data, pair, self.params.noise_rows)
            # compiled here, so that no worker has to
            RecordedEngine(self.params).columns(found.first, found.features[:0], DECIDED_NAMES)

    def flow(self, pair: str, start: int, stop: int) -> Flow:
        """The pair's seconds ``[start, stop)``, those that its newest frame covers and no others."""
        seen = self._scored[pair]
        return self._data.flow(pair, max(start, seen.first), min(stop, seen.stop))

    def informative(self, pair: str, timeframe: str) -> ShownCandles:
        """What is shown of the complete candles in the seconds that the pair's newest frame covers."""
        seen, manifest = self._scored[pair], self._data.manifest
        first = max(seen.first, manifest.start, manifest.pairs[pair].first_priced)
        stop = max(min(seen.stop, manifest.stop), first)
        values = self._data.rows(pair)[:, first - manifest.start : stop - manifest.start]
        return shown_candles(values, first, timeframe, limit=len(seen.armed) + 1)

    def candles(self, pair: str, seconds: int) -> pd.DataFrame:
        """Candles with flow columns of the seconds that the pair's newest frame covers."""
        seen, manifest = self._scored[pair], self._data.manifest
        first = max(seen.first, manifest.start, manifest.pairs[pair].first_priced)
        stop = max(min(seen.stop, manifest.stop), first)
        values = self._data.rows(pair)[:, first - manifest.start : stop - manifest.start]
        return candle_frame(values, first, seconds, limit=len(seen.armed) + 1)

    def offer(self, pair: str, second: int) -> Offer | None:
        """The entry that may be filled at the open of ``second``, None where there is none."""
        scored = self._scored.get(pair)
        return None if scored is None else scored.offers.get(second)

    def refusal(self, pair: str, offer: Offer) -> str:
        """Why the offered entry must not be taken, empty where it may: one venue alone makes it."""
        if self._judge is None:
            return ""
        return self._judge.refusal(pair, offer.tag.second, offer.direction)

    def exit_name(self, pair: str, event_second: int, second: int) -> str | None:
        """The exit of the trade on that event if it can be filled at ``second``, from its first second on."""
        scored = self._scored.get(pair)
        found = None if scored is None else scored.exits.get(event_second)
        return found.name if found is not None and found.second + self._lag_s <= second else None


class _Frame:
    """One frame while its seconds are taken in, piece after piece."""

    def __init__(self, starts: npt.NDArray[np.int64], candle_s: int, params: Params) -> None:
        self.first, self.stop = int(starts[0]), int(starts[-1]) + candle_s
        self._starts = starts
        self._closes = starts + candle_s - 1
        self._ttl_s = params.setup_ttl
        self._decisions = AssetDecisions(params, self.first)
        self._offers: dict[int, Offer] = {}
        self._at_close = np.full((len(COLUMN_NAMES), len(starts)), np.nan)
        self._score_high = np.full(len(starts), np.nan)
        self._armed = np.zeros(len(starts), dtype=np.int8)
        self._setup = (self.first - self._ttl_s, 0)

    @property
    def nothing(self) -> Scored:
        """The frame's span, nothing decided yet."""
        return Scored(self.first, self.stop, self._at_close, self._score_high, self._armed, {}, {})

    def candles(self, seconds: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The places of the candles that hold the seconds."""
        return np.searchsorted(self._starts, seconds, side="right") - 1

    def show(self, first: int, decided: FloatArray) -> None:
        """Keep what the candles' last seconds say; float64[n, len(COLUMN_NAMES)] from ``first`` on."""
        inside = self._closing(first, len(decided))
        self._at_close[:, inside] = decided[self._closes[inside] - first].T
        seconds = np.arange(first, first + len(decided), dtype=np.int64)
        np.fmax.at(self._score_high, self.candles(seconds), decided[:, SCORE])

    def take(self, flow: Flow, decided: FloatArray) -> None:
        """Take in seconds and what was decided of them, float64[n, len(DECIDED_NAMES)]."""
        if len(flow) == 0:
            return
        for signal in self._decisions.take(flow, decided):
            self._offers[signal.second] = Offer(signal.event.tag, signal.event.direction)
        self._arm(int(flow.time[0]), decided[:, _SETUP])

    def scored(self, lag_s: int, *, narrowly: bool = False) -> Scored:
        """Everything decided; ``lag_s`` lies between a decision's second and its fill.

        ``narrowly`` arms only where the following candle has an offer in the armed direction.
        """
        offers = {second + lag_s: offer for second, offer in self._offers.items()}
        armed = self._armed
        if narrowly:
            armed = np.zeros_like(self._armed)
            arming = self.candles(np.array(list(offers), dtype=np.int64)) - 1
            for place, offer in zip(arming.tolist(), offers.values(), strict=True):
                if place >= 0 and self._armed[place] == offer.direction:
                    armed[place] = offer.direction
        exits = self._decisions.exits
        return Scored(self.first, self.stop, self._at_close, self._score_high, armed, offers, exits)

    def _closing(self, first: int, size: int) -> npt.NDArray[np.int64]:
        """The places of the candles that close within the seconds ``[first, first + size)``."""
        return np.flatnonzero((self._closes >= first) & (self._closes < first + size))

    def _arm(self, first: int, setup: FloatArray) -> None:
        """Arm the candles that close in the piece; the newest setup is carried on to the next one."""
        inside = self._closing(first, len(setup))
        rows = self._closes[inside] - first
        active = np.flatnonzero(setup)
        seconds = np.append(self._setup[0], active + first)
        sides = np.append(self._setup[1], setup[active])
        newest = np.searchsorted(active, rows, side="right")
        fresh = rows + first - seconds[newest] < self._ttl_s
        self._armed[inside] = np.where(fresh, sides[newest], 0)
        self._setup = int(seconds[-1]), int(sides[-1])
