"""The two public functions on pandas tables: trades to bars, and per-second flow to scores.

Loaded lazily by the package, so that the collector runs without pandas.
"""

from __future__ import annotations

import pandas as pd

from squeezeflow_plugin.features.flow import OPTIONAL_DEFAULTS, REQUIRED_NAMES, Flow
from squeezeflow_plugin.phases.decision import SCORE_COLUMNS, veto_names
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.layout import FLAG_NAMES, INTEGER_NAMES
from squeezeflow_plugin.phases.params import Params


def score_frame(frame: pd.DataFrame, params: Params | None = None) -> pd.DataFrame:
    """Score every second of one base asset.

    ``frame`` has one row a second, without gaps, and the columns of ``features.flow.Flow``: ``time open high low
    close spot_buy spot_sell perp_buy perp_sell`` and optionally ``coverage_spot coverage_perp
    reference_live oi_change``; others are ignored. The result has the same index and the columns
    ``context regime setup divergence retrace reset score_reset score_absorption score_breakdown score_bias
    score_oi score eligible entry ready tradable veto``, of the meaning and units of ``phases.decision.Decision``:
    directions and types as int64, flags as bool, ``veto`` as text. Nothing is NaN; rows that are not ready are 0.
    Raises FrameError, naming column, row and value, where the frame cannot be used.

    >>> import numpy as np
    >>> flat = {name: np.full(3, 1.0) for name in ("open", "high", "low", "close")}
    >>> flow = {name: np.zeros(3) for name in ("spot_buy", "spot_sell", "perp_buy", "perp_sell")}
    >>> score_frame(pd.DataFrame({"time": [60, 61, 62], **flat, **flow}))["veto"].tolist()
    ['warming_up', 'warming_up', 'warming_up']
    """
    names = [name for name in (*REQUIRED_NAMES, *OPTIONAL_DEFAULTS) if name in frame]
    flow = Flow.from_columns({name: frame[name].to_numpy() for name in names})
    wanted = (*SCORE_COLUMNS, "veto_code")
    values = dict(zip(wanted, Engine(params).columns(flow, wanted), strict=True))
    scored = pd.DataFrame({name: values[name] for name in SCORE_COLUMNS}, index=frame.index)
    kinds = {name: "int64" for name in INTEGER_NAMES} | {name: "bool" for name in FLAG_NAMES}
    scored = scored.astype({name: kind for name, kind in kinds.items() if name in scored})
    scored["veto"] = veto_names(values["veto_code"])
    return scored
