"""Rows of one asset as they were known at a record, laid out plainly with pandas from the store's bars."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from squeezeflow_plugin.store.contract import BarStore

KINDS: Mapping[str, str] = {"BINANCE": "spot", "BINANCE_FUTURES": "perp"}


def known_frame(store: BarStore, symbol: str, known_at: int, rows: int) -> pd.DataFrame:
    """The ``rows`` seconds up to and including ``known_at``, as known at its record, all markets covered.

    ``symbol`` such as ``btcusdt``; the spot market is the reference. Volumes of a class with one market
    are that market's, so nothing depends on an order of summation.
    """
    start = known_at + 1 - rows
    columns = store.bars(start - 120, known_at + 1, [f"{name}:{symbol}" for name in KINDS], known_at=known_at)
    index = pd.RangeIndex(start - 120, known_at + 1)
    out = pd.DataFrame({"time": index.to_numpy()}, index=index)
    for exchange, kind in KINDS.items():
        chosen = columns.market == columns.names.index(f"{exchange}:{symbol}")
        for side in ("buy", "sell"):
            volume = pd.Series(getattr(columns, f"v{side}")[chosen], index=columns.second[chosen])
            out[f"{kind}_{side}"] = volume.reindex(index).fillna(0.0)
        if kind == "spot":
            for name in ("open", "high", "low", "close"):
                out[name] = pd.Series(getattr(columns, name)[chosen], index=columns.second[chosen])
    out["close"] = out["close"].ffill()
    for name in ("open", "high", "low"):
        out[name] = out[name].where(out[name].notna(), out["close"])
    assert not np.isnan(out["close"].iloc[120:]).any()
    return out.iloc[120:].reset_index(drop=True)
