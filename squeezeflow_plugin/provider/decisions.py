"""Every second of an asset decided by the engine, chunk after chunk, and what follows from the decisions.

The engine's state goes on from chunk to chunk, so many chunks decide what one pass decides, to the bit. Of
each chunk little is kept: the entry events with their baselines, the seconds at which an entry may be
taken, and the first exit of each event. An exit depends on its event's second, its direction and the rows
after it, not on the trade, so it is sought for every event, entered or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from squeezeflow_plugin.features.flow import FloatArray, Flow
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.entries import fed
from squeezeflow_plugin.phases.exits import WATCHED_NAMES, Baseline, Exit, ExitWatch, watched_rows
from squeezeflow_plugin.phases.layout import PHASE_NAMES, VETO_NAMES
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.phases.tags import EnterTag, note_of, tag_of

BASELINE_NAMES = ("sigma_spot", "sigma_perp", "range_low", "range_high")
COVERAGE_NAMES = ("coverage_spot_1h", "coverage_perp_1h")
DECIDED_NAMES = tuple(dict.fromkeys((*PHASE_NAMES, *WATCHED_NAMES, *COVERAGE_NAMES, *BASELINE_NAMES)))
"""The fields of a decision that a backtest looks at."""
_PLACES = {name: place for place, name in enumerate(DECIDED_NAMES)}


@dataclass(frozen=True)
class Event:
    """An entry event: its decision second, direction, and the fields of its decision by name."""

    second: int
    direction: int
    values: Mapping[str, float]

    @property
    def tag(self) -> EnterTag:
        return tag_of(self.values["score"], self.second, note_of(self.values))

    @property
    def baseline(self) -> Baseline:
        return Baseline(self.second, self.direction, *(self.values[name] for name in BASELINE_NAMES))


@dataclass(frozen=True)
class Signal:
    """A decided second at which the event's entry may be taken: it is held, the second tradable and fed."""

    second: int
    event: Event


@dataclass
class Tally:
    """How many seconds were decided, how many of them were tradable, and the first reasons why not."""

    decided: int = 0
    tradable: int = 0
    events: int = 0
    vetoes: dict[str, int] | None = None

    def add(self, decided: FloatArray) -> None:
        """Count float64[n, len(DECIDED_NAMES)]."""
        self.decided += len(decided)
        self.tradable += int(np.count_nonzero(decided[:, _PLACES["tradable"]]))
        self.events += int(np.count_nonzero(decided[:, _PLACES["event"]]))
        counts = np.bincount(decided[:, _PLACES["veto_code"]].astype(np.int64), minlength=len(VETO_NAMES))
        before = self.vetoes or {}
        self.vetoes = {
            name: before.get(name, 0) + count
            for name, count in zip(VETO_NAMES[1:], counts[1:].tolist(), strict=True)
            if count or name in before
        }


class AssetDecisions:
    """Decides one asset's seconds in order; ``first`` is the first one that counts, those before it warm up.

    ``events`` and ``exits``, the first exit of each event that has one by now, are by the event's second.
    """

    def __init__(self, params: Params, first: int) -> None:
        self.tally = Tally()
        self.events: dict[int, Event] = {}
        self.exits: dict[int, Exit] = {}
        self._params = params
        self._first = first
        self._engine = Engine(params)
        self._event: Event | None = None
        self._watches: dict[int, ExitWatch] = {}

    def decide(self, flow: Flow) -> tuple[Signal, ...]:
        """Decide the seconds of ``flow``, which follow those before; the signals among them, in order."""
        if len(flow) == 0:
            return ()
        return self.take(flow, self._engine.columns(flow, DECIDED_NAMES))

    def take(self, flow: Flow, decided: FloatArray) -> tuple[Signal, ...]:
        """As ``decide``, with the decisions of the seconds made already: float64[n, len(DECIDED_NAMES)]."""
        counted = max(self._first - int(flow.time[0]), 0)
        self.tally.add(decided[counted:])
        events = _events_of(flow, decided, counted)
        self.events |= {event.second: event for event in events}
        self._seek_exits(flow, decided, events)
        return tuple(self._signals(flow, decided, counted, events))

    def _signals(self, flow: Flow, decided: FloatArray, counted: int, events: list[Event]) -> list[Signal]:
        held = decided[:, _PLACES["entry"]] * (decided[:, _PLACES["tradable"]] != 0.0)
        held *= fed(flow.coverage_spot, flow.coverage_perp, self._params.min_coverage)
        coming = iter(events)
        following = next(coming, None)
        found = []
        for row in (np.flatnonzero(held[counted:]) + counted).tolist():
            second = int(flow.time[row])
            while following is not None and following.second <= second:
                self._event, following = following, next(coming, None)
            event = self._event
            # a held entry whose event lies before the first second that counts is nobody's
            if event is not None and event.direction == held[row] and self._is_fresh(event, second):
                found.append(Signal(second, event))
        self._event = events[-1] if events else self._event
        return found

    def _is_fresh(self, event: Event, second: int) -> bool:
        return second - event.second < self._params.hold_rows

    def _seek_exits(self, flow: Flow, decided: FloatArray, events: list[Event]) -> None:
        first = int(flow.time[0])
        watched = watched_rows(flow, *(decided[:, _PLACES[name]] for name in WATCHED_NAMES))
        self._watches |= {event.second: ExitWatch(event.baseline, self._params) for event in events}
        for second, watch in list(self._watches.items()):
            following = watch.second + 1
            found = watch.scan(following, watched[:, following - first :])
            if found is not None:
                self.exits[second] = found
                del self._watches[second]


def _events_of(flow: Flow, decided: FloatArray, counted: int) -> list[Event]:
    """The entry events of the rows from ``counted`` on."""
    rows = np.flatnonzero(decided[counted:, _PLACES["event"]]) + counted
    return [
        Event(
            int(flow.time[row]),
            int(decided[row, _PLACES["event"]]),
            dict(zip(DECIDED_NAMES, decided[row].tolist(), strict=True)),
        )
        for row in rows.tolist()
    ]
