"""What a person sees of a run: one line a second, and one JSON line at the end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

import msgspec

from squeezeflow_plugin.store.decisions import LoggedDecision, TradeEvent
from squeezeflow_plugin.up.figures import Latency

_PARTS = (
    ("reset", "score_reset"),
    ("absorption", "score_absorption"),
    ("breakdown", "score_breakdown"),
    ("bias", "score_bias"),
    ("oi", "score_oi"),
)


class Summary(msgspec.Struct, frozen=True):
    """The JSON line.

    ``seconds`` of the run, from ``first_second`` (the one after readiness); ``seconds_scored`` of the asset
    with the fewest (all of them in ``scored_by_pair``), ``seconds_missed`` in which any has no decision;
    ``candle_starts`` seconds :00 in the run and ``candle_starts_missed`` of them; ``bars``,
    ``trades_received`` and ``revisions`` of the collector in the run; ``entries`` and ``exits`` filled;
    ``latency_ms`` from a second's end to its decision, ``entry_order_ms`` and ``exit_order_ms`` from the
    close of the second that caused an order to the order; ``rss_mb`` the largest seen, ``rss_mb_per_hour``
    its growth, ``cpu_s`` since start and ``cpu_cores`` during the run, by process; ``episode_offset_s`` from
    the first second to the simulated market's first squeeze episode (None with real exchanges); ``errors``
    every error line of any process.
    """

    seconds: int
    first_second: int
    seconds_scored: int
    scored_by_pair: dict[str, int]
    seconds_missed: int
    candle_starts: int
    candle_starts_missed: int
    bars: int
    trades_received: int
    revisions: int
    entries: int
    exits: int
    latency_ms: Latency | None
    entry_order_ms: Latency | None
    exit_order_ms: Latency | None
    rss_mb: dict[str, float]
    rss_mb_per_hour: dict[str, float | None]
    cpu_s: dict[str, float]
    cpu_cores: dict[str, float]
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
