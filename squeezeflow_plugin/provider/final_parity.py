"""Parity as final: live decisions beside what the final view decides, each difference with its cause.

A bar that was revised in record k changes what the seconds from its own up to k - 1 were decided on; from
record k on the live engine stood on the corrected past. So every difference of a second t must lie within the
life of such a revision, its bar's second <= t < k, or of a span that was covered only in a later record. The
earliest of them is named, with the first input column that it changed. A difference without any such cause
means that the store, or the code, is not what it was when the decision was made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.bars.flow import HOUR_S, AssetMarkets
from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.features.layout import INPUT_NAMES
from squeezeflow_plugin.market import Interval
from squeezeflow_plugin.phases.decision import FloatArray
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.layout import COLUMN_NAMES
from squeezeflow_plugin.provider.desk import spec_of
from squeezeflow_plugin.provider.final import final_rows
from squeezeflow_plugin.provider.replay import open_recorded
from squeezeflow_plugin.provider.timeline import TimelineSpec
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.contract import BarColumns, BarStore
from squeezeflow_plugin.store.decisions import DecisionLog

COVERAGES = ("coverage_spot", "coverage_perp")
"""The columns of a cause that is a span covered later; those of one that is a bar are the others."""
_PRICES = INPUT_NAMES[:4]
_PLACES = {name: place for place, name in enumerate(COLUMN_NAMES)}


@dataclass(frozen=True)
class Cause:
    """What became known late: a bar written again, or a span covered later (``column`` coverage_*).

    ``second`` is the bar's own (the span's first), ``known`` the second of the record that carried it;
    ``column`` the first input of that row which it changed, ``before`` and ``after`` its values (NaN where a
    price was a repeated one).
    """

    pair: str
    market: str
    second: int
    known: int
    column: str
    before: float
    after: float

    def __str__(self) -> str:
        return (
            f"{self.column} of {self.second} was {self.before:g}, is {self.after:g} since {self.market} was"
            f" written again in record {self.known}"
        )


@dataclass(frozen=True)
class FinalDifference:
    """One second that the final view decides differently: its first differing column, and the cause."""

    pair: str
    second: int
    column: str
    logged: float
    final: float
    cause: Cause | None

    def __str__(self) -> str:
        cause = "no revision explains it" if self.cause is None else self.cause
        return f"{self.pair} {self.second} {self.column}: logged {self.logged}, final {self.final}: {cause}"


@dataclass(frozen=True)
class FinalParity:
    """``seconds`` compared, the ``causes`` in order of (pair, second), the ``differences`` likewise."""

    seconds: int
    causes: tuple[Cause, ...]
    differences: tuple[FinalDifference, ...]

    @property
    def unexplained(self) -> tuple[FinalDifference, ...]:
        """Differences that no revision and no later coverage explains."""
        return tuple(each for each in self.differences if each.cause is None)


def compare_final(
    log: DecisionLog,
    store: BarStore,
    pairs: Mapping[str, AssetMarkets],
    spec: TimelineSpec,
    start: int,
    stop: int,
) -> FinalParity:
    """Compare every logged decision of ``[start, stop)`` with the final view's, bit by bit.

    Causes are those that changed an input row of the span, or of the seconds before it that a bot which
    starts there reads. A column that the engine does not compute (the digest of the inputs) is not compared.
    """
    seconds = 0
    causes: list[Cause] = []
    differences: list[FinalDifference] = []
    begin = _first(store, spec, start)
    repaired = _repaired(store, begin, stop)
    for pair, markets in sorted(pairs.items()):
        found = [*_revised(store, pair, markets, begin, stop), *_covered_later(pair, markets, repaired)]
        found.sort(key=lambda each: (each.second, each.market))
        differing: list[FinalDifference] = []
        for flow, values in _decided(store, markets, spec, begin, stop):
            seconds += _compare(log, pair, start, flow, values, differing)
        differences += _explained(differing, found)
        causes += found
    return FinalParity(seconds, tuple(causes), tuple(differences))


def run_final_parity(settings: Settings, exchange: str, start: int, stop: int) -> FinalParity:
    """Compare what ``open_recorded`` finds of the settings' log and store with the final view."""
    with open_recorded(settings, exchange, start, stop) as found:
        return compare_final(found.log, found.store, found.pairs, spec_of(settings), found.start, found.stop)


def _first(store: BarStore, spec: TimelineSpec, start: int) -> int:
    """Where a bot that starts at ``start`` begins to read."""
    first = (start - max(spec.hold_rows, spec.rerun_rows)) // HOUR_S * HOUR_S
    span = store.span()
    return first if span is None else max(first, span[0])


def _compare(
    log: DecisionLog, pair: str, start: int, flow: Flow, values: FloatArray, found: list[FinalDifference]
) -> int:
    """Add the logged decisions of the flow's seconds that differ to ``found``; how many were compared."""
    compared = 0
    first = int(flow.time[0])
    for row in log.read(max(first, start), int(flow.time[-1]) + 1, [pair]):
        compared += 1
        final = values[row.second - first].tolist()
        for name, logged in zip(row.columns, row.numbers, strict=True):
            place = _PLACES.get(name)
            if place is not None and logged != final[place]:
                found.append(FinalDifference(pair, row.second, name, logged, final[place], None))
                break
    return compared


def _explained(differing: Iterable[FinalDifference], causes: Sequence[Cause]) -> Iterator[FinalDifference]:
    """Each difference with the earliest cause that its second was decided without; both in order of time."""
    coming = iter(causes)
    following = next(coming, None)
    living: list[Cause] = []
    for each in differing:
        while following is not None and following.second <= each.second:
            living.append(following)
            following = next(coming, None)
        living = [cause for cause in living if each.second < cause.known]
        yield replace(each, cause=living[0] if living else None)


def _decided(
    store: BarStore, markets: AssetMarkets, spec: TimelineSpec, first: int, stop: int
) -> Iterator[tuple[Flow, FloatArray]]:
    """The final view's decisions from second ``first`` on, piece by piece."""
    engine = Engine(spec.params)
    for piece in final_rows(store, markets, first, stop, piece_hours=1):
        unknown = int(np.isnan(piece.values[INPUT_NAMES.index("close")]).sum())
        time = np.arange(piece.first + unknown, piece.stop, dtype=np.int64)
        flow = Flow(time, *piece.values[: len(INPUT_NAMES), unknown:])
        if len(flow):
            yield flow, engine.run(flow).values


def _revised(store: BarStore, pair: str, markets: AssetMarkets, start: int, stop: int) -> Iterator[Cause]:
    """The bars that were written after their second had closed, where that changed an input."""
    for begin, end in _hours(start, stop):
        final = store.bars(begin, end, markets.all)
        for place in np.flatnonzero(final.known > final.second).tolist():
            second, market = int(final.second[place]), final.names[final.market[place]]
            before = store.bars(second, second + 1, [market], known_at=second)
            for column, old, new in _inputs(markets, market, before, final, place):
                if old != new:  # NaN, a repeated price, differs from any
                    yield Cause(pair, market, second, int(final.known[place]), column, old, new)
                    break


def _inputs(
    markets: AssetMarkets, market: str, before: BarColumns, final: BarColumns, place: int
) -> Iterator[tuple[str, float, float]]:
    """The input columns that a bar takes part in, with its own share of them before and after."""
    if market == markets.reference:
        for name in _PRICES:
            yield name, _one(getattr(before, name), math.nan), float(getattr(final, name)[place])
    kind = "spot" if market in markets.spot else "perp"
    for side in ("buy", "sell"):
        name = f"v{side}"
        yield f"{kind}_{side}", _one(getattr(before, name), 0.0), float(getattr(final, name)[place])


def _repaired(store: BarStore, start: int, stop: int) -> list[tuple[int, Interval]]:
    """The spans within ``[start, stop)`` whose coverage later records corrected, with their seconds."""
    span = store.span()
    last = stop if span is None else span[1]
    return [
        (record.second, Interval(each.market, max(each.start, start), min(each.stop, stop), each.complete))
        for record in store.records(start, last)
        for each in record.repaired
        if each.start < stop and each.stop > start
    ]


def _covered_later(
    pair: str, markets: AssetMarkets, repaired: Sequence[tuple[int, Interval]]
) -> Iterator[Cause]:
    for known, span in repaired:
        if span.market in markets.all:
            column = COVERAGES[span.market not in markets.spot]
            after = float(span.complete)
            yield Cause(pair, span.market, span.start, known, column, 1.0 - after, after)


def _hours(start: int, stop: int) -> Iterator[tuple[int, int]]:
    while start < stop:
        end = min((start // HOUR_S + 1) * HOUR_S, stop)
        yield start, end
        start = end


def _one(values: npt.NDArray[np.float64], otherwise: float) -> float:
    return float(values[0]) if len(values) else otherwise
