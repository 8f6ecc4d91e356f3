"""Bars of simulated trades, written into a store ahead of time under the collector name ``history``.

The live collector takes over at a second named beforehand: history is written up to it (a few seconds
into the future, which is possible because the market follows from its seed), the very same trades are
served from the start, and the collector, connected well before that second, closes it as its first. So
neither a hole nor an overlap lies between the two.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from squeezeflow_plugin.bars.columns import TradeColumns, bars_of_trades
from squeezeflow_plugin.market import NS_PER_SECOND, Bar, ClosingRecord
from squeezeflow_plugin.simulator.profiles import MarketTerms
from squeezeflow_plugin.simulator.trades import MarketTrades
from squeezeflow_plugin.simulator.venue import Venue
from squeezeflow_plugin.store.contract import BarStore

COLLECTOR = "history"
_BATCH_S = 900
_NS_PER_MS = 1_000_000
_CLOSING_DELAY_NS = 400_000_000


def write_history(
    store: BarStore, venue: Venue, start: int, stop: int, exchanges: Collection[str] = ()
) -> None:
    """Write a closing record for each second of ``[start, stop)``, every market covered in each.

    The venue is made up to ``stop`` on the way. ``start`` is the start of its first minute or the
    ``stop`` of an earlier call. Where ``exchanges`` names some, the markets of others are left out.
    """
    tapes = [
        tape
        for tape in venue.tapes.values()
        if not exchanges or tape.profile.instrument.exchange in exchanges
    ]
    store.put_instruments(tape.profile.instrument for tape in tapes)
    covered = tuple(sorted(tape.profile.market for tape in tapes))
    for second in range(start, stop, _BATCH_S):
        until = min(second + _BATCH_S, stop)
        venue.extend(until)
        parts: list[tuple[MarketTerms, MarketTrades, bool]] = []
        for tape in tapes:
            trades, liquidations = tape.span(second * 1000, until * 1000)
            parts += [(tape.profile, trades, False), (tape.profile, liquidations, True)]
        bars = bars_by_second(parts)
        store.append(_record(each, bars.get(each, []), covered) for each in range(second, until))


def bars_by_second(parts: Sequence[tuple[MarketTerms, MarketTrades, bool]]) -> dict[int, list[Bar]]:
    """The bars of these trades by second, each second's ordered by market.

    A part is a market, its trades, and whether they are liquidations.
    """
    names = tuple(dict.fromkeys(terms.market for terms, _, _ in parts))
    parts = [part for part in parts if len(part[1])]
    if not parts:
        return {}
    columns = TradeColumns(
        names,
        _joined(np.full(len(trades), names.index(terms.market)) for terms, trades, _ in parts),
        _joined(trades.at_ms * _NS_PER_MS for _, trades, _ in parts),
        _joined(trades.ids for _, trades, _ in parts),
        np.concatenate([trades.price for _, trades, _ in parts]),
        np.concatenate([terms.quote(trades) for terms, trades, _ in parts]),
        _joined(trades.side for _, trades, _ in parts),
        np.concatenate([np.full(len(trades), forced) for _, trades, forced in parts]),
    )
    by_second: dict[int, list[Bar]] = {}
    for bar in bars_of_trades(columns).bars():
        by_second.setdefault(bar.second, []).append(bar)
    return by_second


def _joined(columns: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([column.astype(np.int64, copy=False) for column in columns])


def _record(second: int, bars: Sequence[Bar], covered: tuple[str, ...]) -> ClosingRecord:
    closed_ns = (second + 1) * NS_PER_SECOND + _CLOSING_DELAY_NS
    return ClosingRecord(COLLECTOR, second, closed_ns, bars=tuple(bars), covered=covered)
