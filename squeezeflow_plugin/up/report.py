"""What a person sees of a run: one line a second, and one JSON line at the end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np

from squeezeflow_plugin.store.decisions import LoggedDecision, TradeEvent

_PARTS = (
    ("reset", "score_reset"),
    ("absorption", "score_absorption"),
    ("breakdown", "score_breakdown"),
    ("bias", "score_bias"),
    ("oi", "score_oi"),
)


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds from a second's end to its decision, over every decision of the run."""

    p50: float
    p95: float
    p99: float
    max: float


class Summary(msgspec.Struct, frozen=True):
    """The JSON line.

    ``seconds`` of the run, from ``first_second`` (the one after readiness); ``seconds_scored`` of the asset
    with the fewest (all of them in ``scored_by_pair``), ``seconds_missed`` in which any has no decision;
    ``bars``, ``trades_received`` and ``revisions`` of the collector in the run; ``entries`` and ``exits``
    filled; ``episode_offset_s`` from the first second to the simulated market's first squeeze episode (None
    with real exchanges); ``rss_mb`` the largest seen and ``cpu_s`` since start, by process; ``errors`` every
    error line of any process.
    """

    seconds: int
    first_second: int
    seconds_scored: int
    scored_by_pair: dict[str, int]
    seconds_missed: int
    bars: int
    trades_received: int
    revisions: int
    entries: int
    exits: int
    latency_ms: Latency | None
    rss_mb: dict[str, float]
    cpu_s: dict[str, float]
    episode_offset_s: float | None
    data_dir: str
    errors: list[str]


_PHASES = (
    ("entry", {1: "4 entry long", -1: "4 entry short"}),
    ("reset", {1: "3 reset A", 2: "3 reset B"}),
    ("setup", {1: "2 setup long", -1: "2 setup short"}),
    ("regime", {1: "1 short squeeze", -1: "1 long squeeze"}),
)


def phase_of(row: LoggedDecision, *, in_trade: bool) -> str:
    """The furthest phase the second has reached, in words.

    A trade is phase 5 whatever the market does; otherwise an entry event's seconds, an active reset, a
    setup, a regime, or nothing.
    """
    if in_trade:
        return "5 exit watch"
    if row.value("ready") == 0:
        return "warming up"
    for column, words in _PHASES:
        if (value := row.value(column)) != 0:
            return words[int(value)]
    return "0 quiet"


def state_line(rows: Sequence[LoggedDecision], open_pairs: Iterable[str]) -> str:
    """The newest decided second in one plain line: each pair's phase, score and parts; latency; trades."""
    trading = sorted(open_pairs)
    if not rows:
        return "waiting for the first decision"
    newest = max(row.second for row in rows)
    cells = []
    for row in rows:
        parts = " ".join(
            f"{name} {row.value(column):.1f}" for name, column in _PARTS if row.value(column) != 0
        )
        cell = f"{row.pair} {phase_of(row, in_trade=row.pair in trading)} {row.value('score'):.1f}"
        cells.append(cell + (f" ({parts})" if parts else "") + (f" veto {row.veto}" if row.veto else ""))
    clock = dt.datetime.fromtimestamp(newest, dt.UTC).strftime("%H:%M:%S")
    latency = max(row.latency_ms for row in rows)
    return f"{clock} | {' | '.join(cells)} | {latency:.0f} ms | open: {', '.join(trading) or 'none'}"


def open_pairs(events: Iterable[TradeEvent]) -> set[str]:
    """The pairs with an entry filled and no exit after it."""
    out: set[str] = set()
    for event in events:
        if event.kind == "entry_fill":
            out.add(event.pair)
        elif event.kind == "exit_fill":
            out.discard(event.pair)
    return out


def latency(values: Sequence[float]) -> Latency | None:
    """Percentiles by linear interpolation; None where nothing was decided.

    >>> latency([1.0, 2.0, 3.0]).p50
    2.0
    """
    if not values:
        return None
    p50, p95, p99, top = np.percentile(np.asarray(values), (50, 95, 99, 100)).round(1).tolist()
    return Latency(p50, p95, p99, top)


def coverage(
    rows: Iterable[LoggedDecision], pairs: Sequence[str], start: int, stop: int
) -> tuple[Mapping[str, int], int]:
    """Decisions by pair in ``[start, stop)`` and the number of seconds in which any pair has none."""
    seen: dict[str, set[int]] = {pair: set() for pair in pairs}
    for row in rows:
        if row.pair in seen:
            seen[row.pair].add(row.second)
    complete = set.intersection(*seen.values()) if seen else set()
    return {pair: len(seconds) for pair, seconds in seen.items()}, stop - start - len(complete)
