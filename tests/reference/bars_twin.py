"""The slow twin of the bars: exact decimals, dictionaries, one rule after the other.

Volumes are summed exactly, so that the fast ones agree within the rounding of their additions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from squeezeflow_plugin.market import Trade


@dataclass
class TwinBar:
    """A bar in exact numbers; prices None where there were liquidations only."""

    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None
    vbuy: Decimal = Decimal(0)
    vsell: Decimal = Decimal(0)
    cbuy: int = 0
    csell: int = 0
    lbuy: Decimal = Decimal(0)
    lsell: Decimal = Decimal(0)


def twin_bars(trades: Iterable[Trade]) -> dict[tuple[str, int], TwinBar]:
    """(market, second) -> bar, of trades in any order, delivered any number of times."""
    bars: dict[tuple[str, int], TwinBar] = {}
    known: set[tuple[str, int, bool, str]] = set()
    in_order = sorted(
        trades,
        key=lambda trade: (
            trade.exchange_ns,
            len(trade.trade_id),
            trade.trade_id,
            trade.price,
            trade.quote,
            trade.side * trade.count,
        ),
    )
    for trade in in_order:
        second = trade.exchange_ns // 10**9
        identity = (trade.market, second, trade.liquidation, trade.trade_id)
        if identity in known:
            continue
        known.add(identity)
        _enter(bars.setdefault((trade.market, second), TwinBar()), trade)
    return bars


def _enter(bar: TwinBar, trade: Trade) -> None:
    volume = Decimal(trade.quote)
    if trade.liquidation:
        if trade.side > 0:
            bar.lbuy += volume
        else:
            bar.lsell += volume
        return
    if bar.open is None or bar.high is None or bar.low is None:
        bar.open = bar.high = bar.low = trade.price
    bar.high = max(bar.high, trade.price)
    bar.low = min(bar.low, trade.price)
    bar.close = trade.price
    if trade.side > 0:
        bar.vbuy += volume
        bar.cbuy += trade.count
    else:
        bar.vsell += volume
        bar.csell += trade.count
