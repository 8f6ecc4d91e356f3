"""Closing records as a collector would have written them for scripted flow, late trades included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from squeezeflow_plugin.bars.flow import AssetMarkets
from squeezeflow_plugin.market import NS_PER_SECOND, Bar, ClosingRecord, Instrument, MarketKind

SPOT_A = Instrument("BINANCE:btcusdt", "BTCUSDT", MarketKind.SPOT, "BTC", "USDT", "USDT")
SPOT_B = Instrument("BINANCE:btcusdc", "BTCUSDC", MarketKind.SPOT, "BTC", "USDC", "USDC")
PERP_A = Instrument("BINANCE_FUTURES:btcusdt", "BTCUSDT", MarketKind.PERP, "BTC", "USDT", "USDT")
INSTRUMENTS = (SPOT_A, SPOT_B, PERP_A)
MARKETS = AssetMarkets("BTC", (SPOT_B.market, SPOT_A.market), (PERP_A.market,), SPOT_A.market)
WATERMARK_NS = 400_000_000


@dataclass(frozen=True)
class Script:
    """Records second by second, and the flow that they add up to once everything is known."""

    records: tuple[ClosingRecord, ...]
    frame: pd.DataFrame

    def since(self, second: int) -> Sequence[ClosingRecord]:
        return [record for record in self.records if record.second >= second]


def script(frame: pd.DataFrame, seed: int, *, late: float = 0.0, collector: str = "main") -> Script:
    """Spread a flow frame over the three markets; a share ``late`` of the bars is known in full only later.

    A late bar first carries half of its volume (or is missing, for every fourth), and is revised with all of
    it up to 300 s afterwards. About one second in 200 the perpetual market is uncovered.
    """
    rng = np.random.default_rng(seed)
    size = len(frame)
    first = int(frame["time"].to_numpy()[0])
    share = np.round(rng.uniform(0.2, 0.8, size), 3)
    covered = rng.random(size) > 0.005
    revisions: dict[int, list[Bar]] = {}
    firsts: dict[int, list[Bar]] = {}
    for place, row in enumerate(frame.to_numpy().tolist()):
        second = int(row[0])
        full = _bars(row, float(share[place]))
        for bar in full:
            shown: Bar | None = bar
            if rng.random() < late:
                known = second + int(rng.integers(1, 300))
                if known < first + size:
                    shown = None if rng.random() < 0.25 else _half(bar)
                    revisions.setdefault(known, []).append(_again(bar, 0 if shown is None else 1))
            if shown is not None:
                firsts.setdefault(second, []).append(shown)
    records = []
    names = [item.market for item in INSTRUMENTS]
    for place in range(size):
        second = first + place
        up = names if covered[place] else names[:2]
        records.append(
            ClosingRecord(
                collector,
                second,
                (second + 1) * NS_PER_SECOND + WATERMARK_NS,
                tuple(firsts.get(second, ())),
                tuple(revisions.get(second, ())),
                tuple(up),
                tuple(name for name in names if name not in up),
            )
        )
    return Script(tuple(records), frame)


def _bars(row: list[float], share: float) -> list[Bar]:
    second, spot_buy, spot_sell, perp_buy, perp_sell = int(row[0]), *row[5:9]
    open_, high, low, close = row[1:5]
    if spot_buy + spot_sell == 0 and perp_buy + perp_sell == 0:
        return []
    parts = (
        (SPOT_A.market, share * spot_buy, share * spot_sell),
        (SPOT_B.market, (1 - share) * spot_buy, (1 - share) * spot_sell),
        (PERP_A.market, perp_buy, perp_sell),
    )
    return [
        Bar(market, second, open_, high, low, close, buy, sell, 2, 1, buy / 64, sell / 256)
        for market, buy, sell in parts
    ]


def _half(bar: Bar) -> Bar:
    middle = (bar.open + bar.close) / 2
    return Bar(
        bar.market,
        bar.second,
        bar.open,
        max(bar.open, middle),
        min(bar.open, middle),
        middle,
        bar.vbuy / 2,
        bar.vsell / 2,
        1,
        1,
        0.0,
        0.0,
    )


def _again(bar: Bar, revision: int) -> Bar:
    return Bar(
        bar.market,
        bar.second,
        bar.open,
        bar.high,
        bar.low,
        bar.close,
        bar.vbuy,
        bar.vsell,
        bar.cbuy,
        bar.csell,
        bar.lbuy,
        bar.lsell,
        revision,
    )
