from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from squeezeflow_plugin.simulator.calibration import beside_generated, measured, of_generator
from squeezeflow_plugin.simulator.profiles import asset_profile
from squeezeflow_plugin.simulator.trades import MarketTrades


def trades(seconds: list[float], lots: list[int], sides: list[int]) -> MarketTrades:
    at_ms = np.array([round(1000 * each) for each in seconds])
    ids, ticks = np.arange(len(at_ms)), np.full(len(at_ms), 200)
    return MarketTrades(at_ms, ids, ticks, np.array(lots), np.array(sides, np.int8), 100, 1)


def test_what_is_measured_is_what_it_is_called() -> None:
    """Two units of quote currency a lot; judged are the seconds 1 to 3."""
    seconds = [0.5, 1.1, 1.1, 1.1, 1.2, 3.5, 4.5]
    spot = trades(seconds, [1, 1, 2, 3, 4, 5, 1], [1, 1, 1, -1, -1, 1, 1])
    perp = trades(seconds, [2, 2, 4, 6, 8, 10, 2], [1, 1, 1, -1, -1, 1, 1])
    found = measured(spot, perp)
    assert found.spot.per_s == pytest.approx(5 / 3)
    assert found.spot.moments_per_s == pytest.approx(1.0)
    assert (found.spot.same_ms, found.spot.same_side) == (2 / 4, 2 / 4)
    assert found.spot.empty == pytest.approx(1 / 3)
    assert (found.spot.size_p50, found.perp.size_p50) == (6.0, 12.0)
    assert found.spot.flow == pytest.approx(np.std([-8.0, 0.0, 10.0]))
    assert found.flow_correlation == pytest.approx(1.0)
    assert found.volume_correlation == pytest.approx(1.0)


def test_the_generator_lies_near_the_recordings(shared: Path) -> None:
    """Each measure within the two recordings' range, with a factor of two around it."""
    made = of_generator(asset_profile("BTC"), 1, 30)
    folder = shared / "market_data"
    tables = [beside_generated(path, 1, 5) for path in sorted(folder.glob("*.parquet"))]
    recorded: dict[str, list[float]] = {}
    for text in tables:
        for line in text.splitlines()[1:]:
            name, value, _ = re.split(r"\s{2,}", line)
            recorded.setdefault(name, []).append(float(value))
    assert len(tables) == 2
    for name in ("per_s", "same_ms", "same_side", "ms_p99", "size_p50", "size_p99", "tail"):
        for kind, shape in (("spot", made.spot), ("perp", made.perp)):
            around = recorded[f"{kind} {name}"]
            assert min(around) / 2 <= getattr(shape, name) <= 2 * max(around), (kind, name)
