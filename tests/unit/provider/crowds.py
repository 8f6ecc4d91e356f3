"""Records of an asset on three spot and three perpetual venues, with a squeeze on all of them or on one."""

from __future__ import annotations

import numpy as np
import pandas as pd

from squeezeflow_plugin.bars.flow import AssetMarkets
from squeezeflow_plugin.market import NS_PER_SECOND, Bar, ClosingRecord, Instrument, MarketKind
from tests.reference.flows import Episode, scripted_frame

VENUES = ("BINANCE", "BYBIT", "OKX")
SPOT = tuple(f"{venue}:btcusdt" for venue in VENUES)
PERP = tuple(f"{venue}:btcusdt-perp" for venue in VENUES)
MARKETS = AssetMarkets("BTC", SPOT, PERP, SPOT[0])
INSTRUMENTS = tuple(
    Instrument(market, "BTCUSDT", kind, "BTC", "USDT", "USDT")
    for markets, kind in ((SPOT, MarketKind.SPOT), (PERP, MarketKind.PERP))
    for market in markets
)
SHARES = np.array([0.45, 0.30, 0.25])
EPISODE = Episode(7_000, 1, build=1_500, drift=0.22, reversal=0.45)
ROWS = 9_400


def crowd(seed: int, wash: int | None = None, episode: Episode = EPISODE) -> tuple[ClosingRecord, ...]:
    """Independent venues of unequal size; the episode's flow is everyone's, or all of venue ``wash``."""
    calm = [scripted_frame(seed * 10 + place, ROWS, ()) for place in range(len(VENUES))]
    whole = scripted_frame(seed * 10, ROWS, (episode,))
    names = ("spot_buy", "spot_sell", "perp_buy", "perp_sell")
    extra = {name: (whole[name] - calm[0][name]).to_numpy() for name in names}
    records = []
    flows = {}
    for name in names:
        flows[name] = np.stack([SHARES[place] * calm[place][name].to_numpy() for place in range(len(VENUES))])
        given = SHARES if wash is None else np.eye(len(VENUES))[wash]
        flows[name] += given[:, None] * np.maximum(extra[name], 0.0) * float(np.sqrt((SHARES**2).sum()))
    prices: list[tuple[float, float, float, float]] = list(
        zip(*(whole[name].tolist() for name in ("open", "high", "low", "close")), strict=True)
    )
    for row, second in enumerate(whole["time"].tolist()):
        bars = [
            Bar(market, second, *prices[row], *_sides(flows, kind, place, row), 1, 1, 0.0, 0.0)
            for kind, markets in (("spot", SPOT), ("perp", PERP))
            for place, market in enumerate(markets)
        ]
        closed_ns = (second + 1) * NS_PER_SECOND + 400_000_000
        records.append(ClosingRecord("main", second, closed_ns, tuple(bars), (), SPOT + PERP, ()))
    return tuple(records)


def _sides(flows: dict[str, np.ndarray], kind: str, place: int, row: int) -> tuple[float, float]:
    return float(flows[f"{kind}_buy"][place, row]), float(flows[f"{kind}_sell"][place, row])


def frame_of(records: tuple[ClosingRecord, ...]) -> pd.DataFrame:
    """The asset's flow frame of the records."""
    rows = []
    for record in records:
        bars = {bar.market: bar for bar in record.bars}
        reference = bars[SPOT[0]]
        row = {"time": record.second} | {
            name: getattr(reference, name) for name in ("open", "high", "low", "close")
        }
        for kind, markets in (("spot", SPOT), ("perp", PERP)):
            row[f"{kind}_buy"] = sum(bars[market].vbuy for market in markets)
            row[f"{kind}_sell"] = sum(bars[market].vsell for market in markets)
        rows.append(row)
    return pd.DataFrame(rows)
