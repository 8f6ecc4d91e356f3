from __future__ import annotations

import numpy as np
import pytest

from squeezeflow_plugin.simulator.candles import Candle, candle_of, merged
from squeezeflow_plugin.simulator.episodes import Script
from squeezeflow_plugin.simulator.profiles import asset_profile
from squeezeflow_plugin.simulator.trades import no_trades
from tests.unit.simulator.markets import minutes_of

SOL = asset_profile("SOL")


def test_a_candle_says_what_its_trades_did() -> None:
    trades = minutes_of(SOL, 1, Script(), 1)[0].trades[SOL.spot.market]
    candle = candle_of(5000, trades, None)
    assert candle is not None
    rows = list(zip(trades.ticks.tolist(), trades.lots.tolist(), trades.side.tolist(), strict=True))
    assert (candle.open, candle.close) == (rows[0][0], rows[-1][0])
    assert (candle.high, candle.low) == (max(row[0] for row in rows), min(row[0] for row in rows))
    assert candle.lots == sum(lots for _, lots, _ in rows)
    assert candle.taker_lots == sum(lots for _, lots, side in rows if side > 0)
    assert candle.quote == pytest.approx(sum(ticks / 100 * lots / 1000 for ticks, lots, _ in rows))
    assert (candle.count, candle.first_id, candle.last_id) == (len(rows), trades.ids[0], trades.ids[-1])


def test_a_silent_time_is_flat_where_a_price_is_known() -> None:
    candle = candle_of(0, no_trades(100, 1000), 77)
    assert candle == Candle(0, 77, 77, 77, 77, 0, 0.0, 0, 0, 0.0, -1, -1)
    assert candle_of(0, no_trades(100, 1000), None) is None


def test_minutes_merged_are_the_candle_of_all_their_trades() -> None:
    trades = minutes_of(SOL, 1, Script(), 1)[0].trades[SOL.perp.market]
    cut = len(trades) // 3
    parts = [candle_of(0, trades.select(rows), None) for rows in (slice(0, cut), slice(cut, None))]
    whole = candle_of(0, trades, None)
    both = merged(0, [part for part in parts if part is not None])
    assert whole is not None
    assert both.quote == pytest.approx(whole.quote)
    assert both.taker_quote == pytest.approx(whole.taker_quote)
    names = [n for n in Candle.__dataclass_fields__ if not n.endswith("quote")]
    assert [getattr(both, n) for n in names] == [getattr(whole, n) for n in names]


def test_ids_of_a_merged_candle_skip_silent_parts() -> None:
    silent = Candle(0, 5, 5, 5, 5, 0, 0.0, 0, 0, 0.0, -1, -1)
    traded = Candle(1, 5, 6, 5, 6, 1, 6.0, 1, 1, 6.0, 40, 41)
    assert (merged(0, [silent, traded, silent]).first_id, merged(0, [silent]).last_id) == (40, -1)
    assert np.isfinite(merged(0, [silent, traded]).quote)
