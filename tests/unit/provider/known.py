"""The slow twin of a timeline: the flow frame as known at a record, built anew from all records up to it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from squeezeflow_plugin.bars.flow import AssetMarkets
from squeezeflow_plugin.market import Bar, ClosingRecord

HOUR = 3600


def known_frame(records: Iterable[ClosingRecord], markets: AssetMarkets, at: int) -> pd.DataFrame:
    """Rows from the reference market's first trade to second ``at``, as known at the record of ``at``."""
    told = [record for record in records if record.second <= at]
    bars = _latest(told)
    covered = {record.second: set(record.covered) for record in told}
    for record in told:
        for span in record.repaired:
            for second in range(span.start, span.stop):
                covered.setdefault(second, set()).add(span.market)
    weights: dict[int, dict[str, int]] = {}
    rows: list[dict[str, float]] = []
    close = float("nan")
    for second in range(told[0].second, at + 1):
        reference = bars.get((second, markets.reference))
        row: dict[str, float] = {"time": second}
        if reference is not None:
            close = reference.close
            row |= {name: getattr(reference, name) for name in ("open", "high", "low", "close")}
        else:
            row |= dict.fromkeys(("open", "high", "low", "close"), close)
        hour = second // HOUR * HOUR
        if hour not in weights:
            weights[hour] = _weights(
                [record for record in told if record.second < max(hour, told[0].second)], hour
            )
        for kind, names in (("spot", markets.spot), ("perp", markets.perp)):
            own = [bars[second, name] for name in sorted(names) if (second, name) in bars]
            buy = sell = 0.0
            for bar in own:
                buy, sell = buy + bar.vbuy, sell + bar.vsell
            row[f"{kind}_buy"], row[f"{kind}_sell"] = buy, sell
            weigh = {name: weights[hour].get(name, 0) for name in names}
            if not any(weigh.values()):
                weigh = dict.fromkeys(names, 1)
            up = sum(weigh[name] for name in names if name in covered.get(second, ()))
            row[f"coverage_{kind}"] = up / sum(weigh.values()) if weigh else 0.0
        row["reference_live"] = float(markets.reference in covered.get(second, ()))
        rows.append(row)
    frame = pd.DataFrame(rows)
    return frame[frame["close"].notna()].reset_index(drop=True)


def _latest(records: Iterable[ClosingRecord]) -> dict[tuple[int, str], Bar]:
    bars: dict[tuple[int, str], Bar] = {}
    for record in records:
        for bar in (*record.revisions, *record.bars):
            bars[bar.second, bar.market] = bar
    return bars


def _weights(records: Iterable[ClosingRecord], hour: int) -> dict[str, int]:
    cents: dict[str, int] = {}
    for (second, market), bar in _latest(records).items():
        if hour - 24 * HOUR <= second < hour:
            cents[market] = cents.get(market, 0) + int(np.rint((bar.vbuy + bar.vsell) * 100))
    return cents
