"""The two public functions on pandas tables: trades to bars, and per-second flow to scores.

Loaded lazily by the package, so that the collector runs without pandas.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from squeezeflow_plugin.bars.columns import bars_of_trades, columns_of_trades
from squeezeflow_plugin.errors import FrameError
from squeezeflow_plugin.features.flow import OPTIONAL_DEFAULTS, REQUIRED_NAMES, Flow
from squeezeflow_plugin.phases.decision import SCORE_COLUMNS, veto_names
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.layout import FLAG_NAMES, INTEGER_NAMES
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.tables import (
    frame_of_bars,
    is_parquet,
    read_parsed_trades,
    read_table,
    trades_of_frame,
    write_table,
)


def build_bars(trades: pd.DataFrame) -> pd.DataFrame:
    """Exact one-second bars of a table of trades, in any order, each row any number of times.

    ``trades`` has the columns ``ts_ms`` (exchange time, whole milliseconds), ``price``, ``size`` (base
    units), ``side`` (taker: buy or sell), ``market`` and ``trade_id``; optionally ``exec_type`` (rows that
    are no market trade are left out), ``count`` (fills a row stands for) and ``liquidation``; others are
    ignored. The result has a row per market and second that had any, by (time, market): ``market``, ``time``
    (epoch seconds), ``open high low close`` (NaN where there were liquidations only), ``vbuy vsell`` (price x
    size by taker side), ``cbuy csell``, and ``lbuy lsell`` (liquidations, in none of the others). Raises
    FrameError, naming column, row and value.

    >>> row = {"ts_ms": 7_250, "price": 10.0, "size": 2.0, "side": "buy", "market": "X:a", "trade_id": 1}
    >>> build_bars(pd.DataFrame([row, row]))[["market", "time", "close", "vbuy", "cbuy"]].values.tolist()
    [['X:a', 7, 10.0, 20.0, 1]]
    """
    return frame_of_bars(bars_of_trades(trades_of_frame(trades)))


def bars_file(path: Path | str, out: Path | str) -> None:
    """``build_bars`` on a Parquet file, or on the JSON lines of ``squeezeflow parse``; writes Parquet.

    Raises FrameError naming the file, and the line of a line that cannot be used.
    """
    if is_parquet(path):
        table = read_table(path)
        try:
            bars = build_bars(table)
        except FrameError as error:
            raise FrameError(f"{path}: {error}") from error
    else:
        bars = frame_of_bars(bars_of_trades(columns_of_trades(read_parsed_trades(path))))
    write_table(bars, out)


def score_frame(frame: pd.DataFrame, params: Params | None = None) -> pd.DataFrame:
    """Score every second of one base asset.

    ``frame`` has one row a second, without gaps, and the columns of ``features.flow.Flow``: ``time open high
    low close spot_buy spot_sell perp_buy perp_sell`` and optionally ``coverage_spot coverage_perp
    reference_live oi_change``; others are ignored. The result has the same index and the columns
    ``context regime setup divergence retrace reset score_reset score_absorption score_breakdown score_bias
    score_oi score eligible entry ready tradable veto``, of the meaning and units that
    ``phases.decision.Decision`` gives: directions and types int64, flags bool, ``veto`` text, the rest
    float64. Nothing is NaN; phase outputs are 0 in rows that are not ready. Raises FrameError, naming
    column, row and value, where the frame cannot be used.

    >>> flat = {name: np.full(3, 1.0) for name in ("open", "high", "low", "close")}
    >>> flow = {name: np.zeros(3) for name in ("spot_buy", "spot_sell", "perp_buy", "perp_sell")}
    >>> score_frame(pd.DataFrame({"time": [60, 61, 62], **flat, **flow}))["veto"].tolist()
    ['warming_up', 'warming_up', 'warming_up']
    """
    names = [name for name in (*REQUIRED_NAMES, *OPTIONAL_DEFAULTS) if name in frame]
    flow = Flow.from_columns({name: frame[name].to_numpy() for name in names})
    wanted = (*SCORE_COLUMNS, "veto_code")
    values = dict(zip(wanted, Engine(params).columns(flow, wanted).T, strict=True))
    kinds = dict.fromkeys(INTEGER_NAMES, np.int64) | dict.fromkeys(FLAG_NAMES, np.bool_)
    scored = {name: values[name].astype(kinds.get(name, np.float64)) for name in SCORE_COLUMNS}
    return pd.DataFrame({**scored, "veto": veto_names(values["veto_code"])}, index=frame.index)


def score_file(path: Path | str, out: Path | str) -> None:
    """``score_frame`` on a Parquet file; writes Parquet, with the frame's ``time`` first.

    Raises FrameError naming the file.
    """
    frame = read_table(path)
    try:
        scored = score_frame(frame)
    except FrameError as error:
        raise FrameError(f"{path}: {error}") from error
    scored.insert(0, "time", frame["time"])
    write_table(scored, out)
