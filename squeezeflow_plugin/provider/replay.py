"""Parity: recorded decisions made again from the stored records, as known then, compared to the bit."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from squeezeflow_plugin.bars.flow import AssetMarkets
from squeezeflow_plugin.errors import StoreEmptyError
from squeezeflow_plugin.phases.decision import Decision
from squeezeflow_plugin.phases.layout import EXIT_NAMES
from squeezeflow_plugin.provider.closings import closed_seconds
from squeezeflow_plugin.provider.desk import Desk, Scored, Watched, open_desk, pair_markets, spec_of
from squeezeflow_plugin.provider.digest import INPUTS, input_digest
from squeezeflow_plugin.provider.timeline import TimelineSpec
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.contract import BarStore
from squeezeflow_plugin.store.decisions import DecisionLog, LoggedDecision, TradeEvent
from squeezeflow_plugin.store.embedded import EmbeddedBarStore


@dataclass(frozen=True)
class Difference:
    """One value that came out differently; ``logged`` or ``replayed`` is None where only one side has it.

    ``column`` is a field of the decision, ``inputs`` where the row it stood on is not the one stored (its
    digest differs), ``exit``, or empty where the decision as a whole is missing.
    """

    pair: str
    second: int
    column: str
    logged: float | str | None
    replayed: float | str | None

    def __str__(self) -> str:
        what = self.column or "decision"
        return f"{self.pair} {self.second} {what}: logged {self.logged}, again {self.replayed}"


@dataclass(frozen=True)
class Parity:
    """The result of a comparison.

    ``seconds`` compared over all pairs, ``undecided`` of the replayed ones that the bot never logged (it
    was not running), ``exits`` compared, ``differences`` in order of time; ``fingerprints`` of the engines
    that made the logged decisions: with another build than the replay's, bits may differ.
    """

    seconds: int
    undecided: int
    exits: int
    fingerprints: tuple[str, ...]
    differences: tuple[Difference, ...]

    @property
    def differing_seconds(self) -> int:
        """In how many (pair, second) anything differs."""
        return len({(item.pair, item.second) for item in self.differences})


class Replay:
    """A desk that stands at ``start`` as a bot that started there would, and is moved on by the records.

    ``trades`` are watched from their entry events on. Raises StoreEmptyError where the store has nothing
    before ``start``.
    """

    def __init__(
        self,
        store: BarStore,
        pairs: Mapping[str, AssetMarkets],
        spec: TimelineSpec,
        start: int,
        trades: Iterable[Watched] = (),
    ) -> None:
        self._store = store
        self._start = start
        self._coming = sorted(trades, key=lambda watched: watched.event_second)
        earlier = [watched for watched in self._coming if watched.event_second < start]
        self._coming = self._coming[len(earlier) :]
        self.desk: Desk = open_desk(store, pairs, spec, start, earlier)

    def run(self, stop: int) -> Iterator[Scored]:
        """The decisions of ``[start, stop)`` in order of (second, pair)."""
        for watched in self._coming:
            if watched.pair in self.desk.timelines:
                timeline = self.desk.timelines[watched.pair]
                timeline.watch(watched.key, watched.event_second, watched.direction)
        for closed in closed_seconds(self._store, self._start, stop):
            yield from self.desk.push(closed)

    def exits(self) -> dict[int, tuple[int, str]]:
        """Second and name of the exit of each watched trade that has one, by its key."""
        return {
            key: (found.second, found.name)
            for timeline in self.desk.timelines.values()
            for key, found in timeline.exits.items()
        }


@dataclass
class _Found:
    seconds: int = 0
    undecided: int = 0
    exits: int = 0
    fingerprints: set[str] = field(default_factory=set)
    differences: list[Difference] = field(default_factory=list)


def compare(
    log: DecisionLog,
    store: BarStore,
    pairs: Mapping[str, AssetMarkets],
    spec: TimelineSpec,
    start: int,
    stop: int,
) -> Parity:
    """Replay ``[start, stop)`` and compare every logged decision and every exit that the method decided.

    Numbers are compared bit by bit. A decision that is logged but not replayed is a difference.
    """
    events = log.events()
    found = _Found()
    replay = Replay(store, pairs, spec, start, _trades(events, start, stop))
    logged = log.read(start, stop, pairs)
    waiting: dict[tuple[int, str], LoggedDecision] = {}
    newest = next(logged, None)
    for scored in replay.run(stop):
        second = scored.decision.second
        while newest is not None and newest.second <= second:
            waiting[newest.second, newest.pair] = newest
            newest = next(logged, None)
        row = waiting.pop((second, scored.pair), None)
        if row is None:
            found.undecided += 1
        else:
            found.seconds += 1
            found.fingerprints.add(row.fingerprint)
            rows = replay.desk.timelines[scored.pair].rows
            found.differences += _differences(row, scored.decision, input_digest(rows.row(second)))
    never = [*waiting.values(), *([] if newest is None else [newest]), *logged]
    found.differences += (Difference(row.pair, row.second, "", "decided", None) for row in never)
    _compare_exits(found, events, replay.exits(), start, stop)
    found.differences.sort(key=lambda item: (item.second, item.pair))
    return Parity(
        found.seconds,
        found.undecided,
        found.exits,
        tuple(sorted(found.fingerprints)),
        tuple(found.differences),
    )


@dataclass(frozen=True)
class Recorded:
    """What a bot left of the seconds ``[start, stop)``: its log, the store, the pairs it decided."""

    log: DecisionLog
    store: BarStore
    pairs: Mapping[str, AssetMarkets]
    start: int
    stop: int


@contextmanager
def open_recorded(settings: Settings, exchange: str, start: int, stop: int) -> Iterator[Recorded]:
    """The settings' decision log and store, read only, cut to the seconds of ``[start, stop)`` in the log.

    ``exchange`` is FreqTrade's name of the exchange that was traded. Raises StoreEmptyError where the log
    holds nothing of the span.
    """
    log = DecisionLog(settings.decisions_path, readonly=True)
    store = EmbeddedBarStore(settings.store_path, readonly=True)
    try:
        names: set[str] = set()
        first = last = None
        for row in log.read(start, stop):
            names.add(row.pair)
            first, last = row.second if first is None else first, row.second
        if first is None or last is None:
            raise StoreEmptyError(
                f"{settings.decisions_path} holds no decision of the seconds {start} to {stop}"
            )
        instruments = store.instruments()
        pairs = {
            name: pair_markets(instruments, exchange, name, settings.quotes, settings.references)
            for name in sorted(names)
        }
        yield Recorded(log, store, pairs, first, last + 1)
    finally:
        log.close()
        store.close()


def run_parity(settings: Settings, exchange: str, start: int, stop: int) -> Parity:
    """Compare what ``open_recorded`` finds; StoreEmptyError also where the store holds nothing before it."""
    with open_recorded(settings, exchange, start, stop) as found:
        return compare(found.log, found.store, found.pairs, spec_of(settings), found.start, found.stop)


def _trades(events: Sequence[TradeEvent], start: int, stop: int) -> Iterator[Watched]:
    """The trades whose life overlaps the span; ``decision_second`` 0 is a trade of nobody's decision."""
    closed = {event.trade_id: event.second for event in events if event.kind == "exit_fill"}
    for event in events:
        if event.kind != "entry_fill" or not 0 < event.decision_second < stop:
            continue
        if closed.get(event.trade_id, stop) >= start:
            yield Watched(event.pair, event.trade_id, event.decision_second, event.direction)


def _differences(row: LoggedDecision, decision: Decision, inputs: float) -> Iterator[Difference]:
    for column, logged in zip(row.columns, row.numbers, strict=True):
        replayed = inputs if column == INPUTS else float(getattr(decision, column))
        if struct.pack("<d", logged) != struct.pack("<d", replayed):
            yield Difference(row.pair, row.second, column, logged, replayed)
    if row.veto != decision.veto:
        yield Difference(row.pair, row.second, "veto", row.veto, decision.veto)


def _compare_exits(
    found: _Found,
    events: Sequence[TradeEvent],
    replayed: Mapping[int, tuple[int, str]],
    start: int,
    stop: int,
) -> None:
    """Each exit by the method must have been decided at the same second, under the same name."""
    for event in events:
        if event.kind != "exit_order" or event.tag not in EXIT_NAMES:
            continue
        if start <= event.second < stop and event.decision_second > 0:
            found.exits += 1
            second, name = replayed.get(event.trade_id, (0, ""))
            if (second, name) != (event.second, event.tag):
                logged = f"{event.tag} at {event.second}"
                again = f"{name} at {second}" if name else None
                found.differences.append(Difference(event.pair, event.second, "exit", logged, again))
