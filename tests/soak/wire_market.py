"""The market of the wire schedules: made once a seed, with every frame that its exchanges would send."""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from squeezeflow_plugin.market import Bar, Instrument
from squeezeflow_plugin.simulator.dialect import Dialect, Frame, Row, spelled
from squeezeflow_plugin.simulator.echoes import Echo, Ids
from squeezeflow_plugin.simulator.episodes import BUILD_S, Episode, Script, whole_minute
from squeezeflow_plugin.simulator.faults import Fault, Kind, Veil
from squeezeflow_plugin.simulator.generator import first_state
from squeezeflow_plugin.simulator.history import bars_by_second
from squeezeflow_plugin.simulator.peers import dialects
from squeezeflow_plugin.simulator.profiles import asset_profile
from squeezeflow_plugin.simulator.sources import GeneratedAsset
from squeezeflow_plugin.simulator.tape import Delays
from squeezeflow_plugin.simulator.trades import MarketTrades
from squeezeflow_plugin.simulator.venue import Venue
from tests.soak import wire_binance

DIALECTS: Mapping[str, Dialect] = {**dialects(), **wire_binance.DIALECTS}
ORIGIN = whole_minute(1_767_225_600)
START = ORIGIN + 120
RUN_S = 60
EXCHANGES = 7
BUCKET_MS = 100
"""Trades that are sent within it share a step."""


@dataclass(frozen=True)
class Event:
    """What one market sends at one time."""

    at_ms: int
    market: Echo
    topic: str
    rows: tuple[Row, ...]
    frames: tuple[Frame, ...]


@dataclass(frozen=True)
class Market:
    """``events`` in order of time; ``trades`` all of each market from ORIGIN on; ``bars`` from START on."""

    events: tuple[Event, ...]
    trades: Mapping[str, MarketTrades]
    bars: Mapping[tuple[int, str], Bar]
    echoes: tuple[Echo, ...]

    @property
    def exchanges(self) -> tuple[str, ...]:
        return tuple(sorted({echo.instrument.exchange for echo in self.echoes}))

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        return tuple(echo.instrument for echo in self.echoes)

    def shown(self, faults: Sequence[Fault]) -> tuple[tuple[Event, ...], Mapping[str, MarketTrades]]:
        """Events and trades without those that the faults hide for good."""
        hiding = [fault for fault in faults if fault.kind is Kind.MISSING_ID]
        veils = {name: Veil(f for f in hiding if f.exchange == name) for name in {f.exchange for f in hiding}}
        events = []
        for event in self.events:
            veil = veils.get(event.market.instrument.exchange)
            is_open = event.market.ids is not Ids.SEQUENCE or event.topic != event.market.market
            events.append(event if veil is None or is_open else _veiled(event, veil))
        trades = {}
        for echo in self.echoes:
            every, veil = self.trades[echo.market], veils.get(echo.instrument.exchange)
            if veil is not None and echo.ids is Ids.SEQUENCE:
                every = every.select(veil.shown(every.at_ms, every.ids))
            trades[echo.market] = every
        return tuple(event for event in events if event.rows), trades


def _veiled(event: Event, veil: Veil) -> Event:
    at_ms = np.array([row.at_ms for row in event.rows])
    seen = veil.shown(at_ms, np.array([row.number for row in event.rows]))
    if seen.all():
        return event
    rows = tuple(row for row, is_seen in zip(event.rows, seen.tolist(), strict=True) if is_seen)
    dialect = DIALECTS[event.market.instrument.exchange]
    frames = dialect.trades(event.market, rows, event.at_ms) if rows else []
    return Event(event.at_ms, event.market, event.topic, rows, tuple(frames))


@functools.lru_cache(maxsize=2)
def market(seed: int) -> Market:
    """The markets of one asset on seven of the exchanges, with a squeeze in the middle."""
    profile = asset_profile("TON")
    names = sorted(random.Random(seed).sample(sorted(DIALECTS), EXCHANGES))
    others = tuple(echo for name in names for echo in DIALECTS[name].markets(profile))
    squeeze = Script((Episode(1 if seed % 2 else -1, ORIGIN - BUILD_S, START + 30),))
    source = GeneratedAsset(
        profile, seed, first_state(profile, ORIGIN), squeeze, delays=Delays(late_share=0.003)
    )
    venue = Venue([source], seed, others)
    venue.extend(START + RUN_S + 10)
    events = [event for echo in others for event in _events(venue, DIALECTS[echo.instrument.exchange], echo)]
    parts = []
    for echo in others:
        trades, forced = venue.tapes[echo.market].span(START * 1000, (START + RUN_S) * 1000)
        parts += [(echo, trades, False), (echo, forced, True)]
    bars = bars_by_second(parts)
    return Market(
        tuple(sorted(events, key=lambda event: event.at_ms)),
        {echo.market: venue.tapes[echo.market].span(0, 2**60)[0] for echo in others},
        {(bar.second, bar.market): bar for made in bars.values() for bar in made},
        others,
    )


def _events(venue: Venue, dialect: Dialect, echo: Echo) -> list[Event]:
    events = []
    for due in venue.tapes[echo.market].due(START * 1000, (START + RUN_S) * 1000):
        buckets = (due.sent_ms // BUCKET_MS).tolist()
        for bucket in dict.fromkeys(buckets):
            chosen = due.rows[np.array(buckets) == bucket]
            rows = tuple(spelled(echo, due.minute.trades.select(chosen)))
            at_ms = (bucket + 1) * BUCKET_MS
            events.append(Event(at_ms, echo, echo.market, rows, tuple(dialect.trades(echo, rows, at_ms))))
        for row in spelled(echo, due.forced):
            at_ms = row.at_ms + BUCKET_MS
            topic = dialect.liquidation_topic(echo)
            events.append(Event(at_ms, echo, topic, (row,), tuple(dialect.liquidations(echo, [row], at_ms))))
    return events
