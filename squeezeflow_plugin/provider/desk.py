"""All pairs of a bot, moved on second by second through the same records, and their start from the store."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from squeezeflow_plugin.bars.flow import (
    HOUR_S,
    WEIGHT_HOURS,
    AssetMarkets,
    asset_markets,
    reference_market,
    volumes_cents,
)
from squeezeflow_plugin.bars.interest import MEMORY_S
from squeezeflow_plugin.errors import SettingsError, StoreEmptyError, UnknownInstrumentError
from squeezeflow_plugin.market import Bar, Instrument, MarketKind
from squeezeflow_plugin.phases.decision import Decision
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.provider.closings import ClosedSecond, closed_seconds
from squeezeflow_plugin.provider.rows import CLOSING_SLACK_S
from squeezeflow_plugin.provider.timeline import AssetTimeline, TimelineSpec
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.contract import BarColumns, BarStore


@dataclass(frozen=True)
class Watched:
    """A trade to watch: its pair, a key of the caller's, the second of its entry event, and its direction."""

    pair: str
    key: int
    event_second: int
    direction: int


@dataclass(frozen=True)
class Scored:
    """One pair's decision of one second."""

    pair: str
    decision: Decision


class Desk:
    """One timeline a pair, all at the same second. It is a ``CandleSource`` for the DataProvider."""

    def __init__(self, timelines: Mapping[str, AssetTimeline], next_second: int) -> None:
        self.timelines = dict(timelines)
        self._beside: dict[str, AssetTimeline] = {}
        self.next_second = next_second

    @property
    def pairs(self) -> Collection[str]:
        """The pairs scored, in their order."""
        return self.timelines.keys()

    def push(self, closed: ClosedSecond) -> Iterator[Scored]:
        """Decide the next second, pair after pair; a pair whose market has not traded yet is left out."""
        for pair, timeline in self.timelines.items():
            decision = timeline.push(closed)
            if decision is not None:
                yield Scored(pair, decision)
        for timeline in self._beside.values():
            timeline.absorb(closed)
        self.next_second = closed.second + 1

    def change(
        self,
        gone: Iterable[str],
        store: BarStore,
        added: Mapping[str, AssetMarkets],
        spec: TimelineSpec,
        watches: Iterable[Watched] = (),
    ) -> None:
        """Leave pairs out, take others in from the store up to where the desk stands. Raises StoreError."""
        for pair in gone:
            del self.timelines[pair]
        if added:
            self.timelines |= open_desk(store, added, spec, self.next_second, watches).timelines

    def hold_beside(self, store: BarStore, pair: str, markets: AssetMarkets, spec: TimelineSpec) -> None:
        """Have candles of a pair that is not scored, from now on. Raises StoreError."""
        if pair not in self.timelines and pair not in self._beside:
            self._beside |= open_desk(store, {pair: markets}, spec, self.next_second).timelines

    def candles(self, pair: str, seconds: int) -> pd.DataFrame:
        """A pair's candles with flow columns, the last one forming; KeyError for one that is not held."""
        timeline = self.timelines.get(pair)
        return (self._beside[pair] if timeline is None else timeline).candles(seconds)


def spec_of(settings: Settings) -> TimelineSpec:
    """The timelines' measures as the settings say; ParameterError for a parameter that is out of range."""
    return TimelineSpec(
        Params.from_mapping(settings.method),
        round(settings.lookback_hours * HOUR_S),
        settings.revision_horizon_s,
    )


def pair_markets(
    instruments: Collection[Instrument],
    exchange: str,
    pair: str,
    quotes: Iterable[str],
    references: Mapping[str, str] = MappingProxyType({}),
) -> AssetMarkets:
    """The markets behind a FreqTrade pair: ``BTC/USDT`` trades spot, ``BTC/USDT:USDT`` the perpetual.

    ``references`` names by pair the market whose prices stand in where the pair's own is not wanted. Raises
    UnknownInstrumentError where the store does not know the pair's market, SettingsError for a pair that is
    no pair.

    >>> spot = Instrument("BINANCE:btcusdt", "BTCUSDT", MarketKind.SPOT, "BTC", "USDT", "USDT")
    >>> pair_markets([spot], "binance", "BTC/USDT", ["USDT"]).reference
    'BINANCE:btcusdt'
    """
    name, _, settle = pair.partition(":")
    base, _, quote = name.partition("/")
    if not base or not quote:
        raise SettingsError(
            f"pair {pair!r} is not of the form BASE/QUOTE or BASE/QUOTE:SETTLE; it is not scored"
        )
    if pair in references:
        return asset_markets(instruments, _named(instruments, references[pair], pair), quotes)
    kind = MarketKind.PERP if settle else MarketKind.SPOT
    return asset_markets(instruments, reference_market(instruments, exchange, base, quote, kind), quotes)


def _named(instruments: Collection[Instrument], market: str, pair: str) -> Instrument:
    found = next((item for item in instruments if item.market == market), None)
    if found is None:
        raise UnknownInstrumentError(
            f"the reference market {market} of {pair} is not in the store; the pair is not scored"
        )
    return found


def open_desk(
    store: BarStore,
    pairs: Mapping[str, AssetMarkets],
    spec: TimelineSpec,
    stop: int,
    watches: Iterable[Watched] = (),
) -> Desk:
    """A desk that stands at second ``stop``, warmed up from the store as it was known at ``stop - 1``.

    It reads the records of the last ``spec.hold_rows`` seconds, from a full hour on, and further back where
    a watched trade entered earlier, so a desk that starts now decides what one that ran all along does.
    Raises StoreEmptyError where the store holds nothing before ``stop``.
    """
    wanted = tuple(watches)
    span = store.span()
    if span is None or span[0] >= stop:
        raise StoreEmptyError(f"the store holds no record before second {stop}; start the collector first")
    back = max(spec.hold_rows, spec.rerun_rows)
    oldest = min((watch.event_second for watch in wanted), default=stop)
    start = (min(stop, oldest) - back) // HOUR_S * HOUR_S
    start = max(start, span[0])
    timelines = {pair: AssetTimeline(markets, spec, start) for pair, markets in pairs.items()}
    for timeline in timelines.values():
        _know_the_past(store, timeline, start, spec.horizon_s + CLOSING_SLACK_S)
    for watch in wanted:
        if watch.pair in timelines:
            timelines[watch.pair].watch(watch.key, watch.event_second, watch.direction)
    for closed in closed_seconds(store, start, stop):
        for timeline in timelines.values():
            timeline.absorb(closed)
    for timeline in timelines.values():
        timeline.prime()
    return Desk(timelines, stop)


def _know_the_past(store: BarStore, timeline: AssetTimeline, start: int, kept_s: int) -> None:
    """Tell the timeline what its markets did in the 24 hours before ``start``, as known then."""
    markets = timeline.rows.markets.all
    span = store.span()
    first = max(start // HOUR_S - WEIGHT_HOURS, 0 if span is None else span[0] // HOUR_S) * HOUR_S
    cut = start - kept_s
    for hour in range(first, start, HOUR_S):
        whole = store.bars(hour, min(hour + HOUR_S, max(cut, hour)), markets, known_at=start - 1)
        for market, cents in _totals(whole):
            timeline.rows.know_volume(market, hour, cents)
    timeline.rows.know(_bars(store.bars(max(cut, 0), start, markets, known_at=start - 1)))
    timeline.rows.know_tickers(store.tickers(start - MEMORY_S, start, markets))


def _totals(columns: BarColumns) -> Iterator[tuple[str, int]]:
    cents = volumes_cents(columns.vbuy, columns.vsell)
    totals = np.zeros(len(columns.names), dtype=np.int64)
    np.add.at(totals, columns.market, cents)
    yield from zip(columns.names, totals.tolist(), strict=True)


def _bars(columns: BarColumns) -> Iterator[Bar]:
    prices = (columns.open, columns.high, columns.low, columns.close)
    volumes = (columns.vbuy, columns.vsell, columns.cbuy, columns.csell, columns.lbuy, columns.lsell)
    fields = (columns.market, columns.second, *prices, *volumes, columns.revision)
    for market, *rest in zip(*(field.tolist() for field in fields), strict=True):
        yield Bar(columns.names[market], *rest)
