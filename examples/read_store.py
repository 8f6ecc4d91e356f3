"""Bars and scores out of the store, as tables: ``python examples/read_store.py STORE [PAIR]``.

A store may be read while a collector writes it. ``make run`` keeps its own in
``user_data/squeezeflow/simulated/store.sqlite``.
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd

from squeezeflow_plugin import score_frame
from squeezeflow_plugin.provider.desk import pair_markets
from squeezeflow_plugin.provider.final import final_rows
from squeezeflow_plugin.provider.rows import ROW_NAMES
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.contract import BarStore
from squeezeflow_plugin.store.embedded import EmbeddedBarStore

HOURS = 6


def market_bars(store: BarStore, market: str, start: int, stop: int) -> pd.DataFrame:
    """One market's bars: a row for each second that had a trade, volumes in quote currency by taker side."""
    bars = store.bars(start, stop, [market])
    names = ("open", "high", "low", "close", "vbuy", "vsell", "cbuy", "csell")
    return pd.DataFrame(
        {name: getattr(bars, name) for name in names}, index=pd.Index(bars.second, name="time")
    )


def flow_rows(store: BarStore, pair: str, start: int, stop: int) -> pd.DataFrame:
    """What the method sees: a row for every second, spot and perpetual flow of all markets, coverage."""
    settings = Settings()
    markets = pair_markets(store.instruments(), "binance", pair, settings.quotes)
    pieces = [piece.values for piece in final_rows(store, markets, start, stop)]
    rows = pd.DataFrame(np.concatenate(pieces, axis=1).T, columns=list(ROW_NAMES))
    rows.insert(0, "time", np.arange(start, stop))
    return rows.dropna(subset="close")  # before the reference market's first trade there is no price


def main(path: str, pair: str = "BTC/USDT") -> pd.DataFrame:
    """Print the newest bars, what was not covered, and the best scores; return all of the last hours."""
    with closing(EmbeddedBarStore(Path(path), readonly=True)) as store:
        span = store.span()
        if span is None:
            raise SystemExit(f"{path} holds no second yet")
        start, stop = max(span[0], span[1] - HOURS * 3600), span[1]
        rows = flow_rows(store, pair, start, stop)
        market = store.instruments()[0].market
        print(market, market_bars(store, market, stop - 60, stop).tail(5), sep="\n")
    print(f"{(rows.coverage_spot < 1).sum()} of {len(rows)} seconds lack a spot market")
    scores = rows[["time", "close"]].join(score_frame(rows))
    print(scores.nlargest(5, "score")[["time", "close", "setup", "reset", "score", "veto"]].to_string())
    return scores


if __name__ == "__main__":
    if len(sys.argv) not in {2, 3}:
        sys.exit("usage: python examples/read_store.py STORE [PAIR]")
    main(*sys.argv[1:])
