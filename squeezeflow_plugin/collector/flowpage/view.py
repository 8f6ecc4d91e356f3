"""What the flow page shows, read from the stores: the last half hour of each asset, and what changed since.

Everything comes from the bar store and the decision log, so the page shows what a bot would find there. A
second is read again where a later record revised it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.bars.flow import AssetMarkets, asset_markets
from squeezeflow_plugin.collector.flowpage.telling import parts_of, phase_of, why_not
from squeezeflow_plugin.market import Instrument, MarketKind
from squeezeflow_plugin.settings_values import parameter
from squeezeflow_plugin.store.contract import BarColumns, BarStore
from squeezeflow_plugin.store.decisions import DecisionLog, LoggedDecision, TradeEvent

SHOWN_S = 1800
MIN_SCORE = 4.0
"""The method's default, for a page whose settings name no other."""


class FlowRow(msgspec.Struct, frozen=True, array_like=True):
    """One second of an asset, in quote currency.

    ``price`` is the close of the asset's leading market, None where it did not trade; ``spot`` and ``perp``
    are taker buys minus taker sells of the class; ``forced_buy`` and ``forced_sell`` are liquidations.
    """

    second: int
    price: float | None
    spot: float
    perp: float
    forced_buy: float
    forced_sell: float


class Scored(msgspec.Struct, frozen=True):
    """One pair's decision of one second. ``parts`` are the points by part; ``latency_ms`` after its end."""

    pair: str
    second: int
    score: float
    parts: dict[str, float]
    phase: str
    why: str
    latency_ms: float


class OpenTrade(msgspec.Struct, frozen=True):
    """A filled entry without a filled exit; ``second`` is its event's, ``price`` its fill's."""

    pair: str
    trade_id: int
    direction: int
    tag: str
    second: int
    price: float
    stake: float


class FlowView:
    """One reader of both stores; its methods are called one after the other and raise StoreError."""

    def __init__(
        self,
        store: BarStore,
        log: DecisionLog,
        instruments: Iterable[Instrument],
        quotes: Sequence[str],
        params: Mapping[str, Any],
    ) -> None:
        self.store = store
        self.assets = tuple(_assets(tuple(instruments), quotes))
        self.min_score = parameter(params, "min_score", MIN_SCORE)
        self._log = log
        self._names = tuple(name for asset in self.assets for name in (*asset.spot, *asset.perp))

    def flow(self, start: int, stop: int) -> dict[str, list[FlowRow]]:
        """Every second of ``[start, stop)`` that has a bar, by asset."""
        bars = self.store.bars(start, stop, self._names)
        return {asset.asset: _rows(bars, asset) for asset in self.assets}

    def changed(self, start: int, stop: int) -> dict[str, list[FlowRow]]:
        """The seconds of the records of ``[start, stop)``, and the shown ones that these revised."""
        records = self.store.records(start, stop)
        revised = {bar.second for record in records for bar in record.revisions}
        found = self.flow(start, stop)
        for second in sorted(second for second in revised if stop - SHOWN_S <= second < start):
            for asset, rows in self.flow(second, second + 1).items():
                found[asset] += rows
        return found

    def scored(self, start: int, stop: int) -> list[Scored]:
        """The decisions of ``[start, stop)``, ordered by (second, pair)."""
        return [self._told(row) for row in self._log.read(start, stop)]

    def open_trades(self) -> list[OpenTrade]:
        """The trades that stand open, oldest first."""
        standing: dict[tuple[str, int], TradeEvent] = {}
        for event in self._log.events():
            if event.kind == "entry_fill":
                standing.setdefault((event.pair, event.trade_id), event)
            elif event.kind == "exit_fill":
                standing.pop((event.pair, event.trade_id), None)
        return [
            OpenTrade(e.pair, e.trade_id, e.direction, e.tag, e.decision_second, e.price, e.stake)
            for e in standing.values()
        ]

    def close(self) -> None:
        self.store.close()
        self._log.close()

    def _told(self, row: LoggedDecision) -> Scored:
        values = dict(zip(row.columns, row.numbers, strict=True))
        return Scored(
            row.pair,
            row.second,
            round(values.get("score", 0.0), 4),
            {name: round(points, 4) for name, points in parts_of(values).items()},
            phase_of(values),
            why_not(values, row.veto, self.min_score),
            round(row.latency_ms, 1),
        )


def _assets(instruments: Sequence[Instrument], quotes: Sequence[str]) -> Iterator[AssetMarkets]:
    """Each base asset with the markets that count; its first spot market leads, else its first perpetual."""
    leading: dict[str, Instrument] = {}
    for each in sorted(instruments, key=lambda one: (one.kind is not MarketKind.SPOT, one.market)):
        if each.quote in quotes:
            leading.setdefault(each.base, each)
    return (asset_markets(instruments, reference, quotes) for reference in leading.values())


def _rows(bars: BarColumns, asset: AssetMarkets) -> list[FlowRow]:
    """The asset's seconds among the bars, volumes summed over its markets."""
    spot, perp = _among(bars, asset.spot), _among(bars, asset.perp)
    wanted = spot | perp
    seconds, place = np.unique(bars.second[wanted], return_inverse=True)

    def summed(values: npt.NDArray[np.float64], mask: npt.NDArray[np.bool_]) -> list[float]:
        counted = np.where(mask, values, 0.0)[wanted]
        totals: list[float] = np.bincount(place, weights=counted, minlength=len(seconds)).round(2).tolist()
        return totals

    delta = bars.vbuy - bars.vsell
    traded = _among(bars, (asset.reference,)) & ~np.isnan(bars.close)
    prices = dict(zip(bars.second[traded].tolist(), bars.close[traded].tolist(), strict=True))
    columns = (
        summed(delta, spot),
        summed(delta, perp),
        summed(bars.lbuy, wanted),
        summed(bars.lsell, wanted),
    )
    return [
        FlowRow(second, prices.get(second), *values)
        for second, *values in zip(seconds.tolist(), *columns, strict=True)
    ]


def _among(bars: BarColumns, markets: Sequence[str]) -> npt.NDArray[np.bool_]:
    """bool[n]: whether the bar is of one of the markets."""
    return np.isin(bars.market, [number for number, name in enumerate(bars.names) if name in markets])
