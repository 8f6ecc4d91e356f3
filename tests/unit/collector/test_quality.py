"""The quality of the last hour is what the store's closing records say, second by second."""

from __future__ import annotations

import numpy as np
import pytest

from squeezeflow_plugin.bars.flow import MIN_COVERAGE
from squeezeflow_plugin.collector.quality import WINDOWS, Quality, QualityProbe
from squeezeflow_plugin.features.layout import WINDOW_NAMES, WINDOW_ROWS
from squeezeflow_plugin.market import Bar, ClosingRecord, Instrument, Interval, MarketKind
from squeezeflow_plugin.store.memory import MemoryBarStore

SPOT = Instrument("BINANCE:btcusdt", "BTCUSDT", MarketKind.SPOT, "BTC", "USDT", "USDT")
SMALL = Instrument("BINANCE:btcfdusd", "BTCFDUSD", MarketKind.SPOT, "BTC", "FDUSD", "FDUSD")
PERP = Instrument("BINANCE_FUTURES:btcusdt", "BTCUSDT", MarketKind.PERP, "BTC", "USDT", "USDT")
MARKETS = (SPOT, SMALL, PERP)
HOUR = 1_723_161_600  # a full hour
T0 = HOUR - 4000


def bar(market: str, second: int, volume: float) -> Bar:
    return Bar(market, second, 1.0, 1.0, 1.0, 1.0, volume, 0.0, 1, 0, 0.0, 0.0)


def store_of(
    stop: int,
    down: dict[str, tuple[int, int]] | None = None,
    repaired: tuple[Interval, ...] = (),
    missing: tuple[int, int] = (0, 0),
) -> MemoryBarStore:
    """Records from T0 on; ``down`` are spans without coverage, ``missing`` seconds never closed."""
    store = MemoryBarStore()
    down = down or {}
    for second in range(T0, stop):
        if missing[0] <= second < missing[1]:
            continue
        off = tuple(m for m, (a, b) in sorted(down.items()) if a <= second < b)
        covered = tuple(sorted(i.market for i in MARKETS if i.market not in off))
        # The large market trades ten times what the small one does.
        bars = (bar(SPOT.market, second, 10.0), bar(SMALL.market, second, 1.0)) if second % 2 else ()
        last = repaired if second == stop - 1 else ()
        store.append([ClosingRecord("main", second, second * 10**9, bars, (), covered, off, last)])
    return store


def look(store: MemoryBarStore) -> Quality:
    found = QualityProbe(store, MARKETS, ["USDT", "FDUSD"], MIN_COVERAGE).look("main")
    assert found is not None
    return found


def test_windows_are_the_methods() -> None:
    assert tuple(zip(WINDOW_NAMES, WINDOW_ROWS, strict=True)) == WINDOWS


def test_nothing_is_known_of_a_store_without_the_collector() -> None:
    assert QualityProbe(MemoryBarStore(), MARKETS, ["USDT"], MIN_COVERAGE).look("main") is None


def test_complete_data_is_complete() -> None:
    quality = look(store_of(HOUR + 100))
    assert quality.second == HOUR + 99
    assert {
        market.market: (market.covered, market.coverage_1h, market.holes) for market in quality.markets
    } == {each.market: (True, 1.0, ()) for each in MARKETS}
    assert {market.market: market.last_bar for market in quality.markets} == {
        SPOT.market: HOUR + 99,
        SMALL.market: HOUR + 99,
        PERP.market: None,
    }
    (asset,) = quality.assets
    assert asset.veto == ""
    assert asset.coverage["spot"] == pytest.approx({"5m": 1, "15m": 1, "30m": 1, "1h": 1})


@pytest.mark.parametrize(
    ("market", "seconds", "veto"),
    [
        (SPOT, 5, ""),  # 5 of 300 s of ten elevenths: 1.5 %
        (SPOT, 10, "hole_spot_5m"),
        (SMALL, 50, ""),
        (SMALL, 100, "hole_spot_5m"),
        (PERP, 7, "hole_perp_5m"),
    ],
)
def test_a_hole_weighs_what_its_market_trades(market: Instrument, seconds: int, veto: str) -> None:
    stop = HOUR + 100
    quality = look(store_of(stop, {market.market: (stop - 20 - seconds, stop - 20)}))
    assert [asset.veto for asset in quality.assets] == [veto]
    found = next(each for each in quality.markets if each.market == market.market)
    assert found.holes == ((stop - 20 - seconds, stop - 20),)
    assert found.covered


def test_shares_are_those_of_a_plain_count() -> None:
    stop = HOUR + 100
    rng = np.random.default_rng(3)
    start = int(rng.integers(stop - 1000, stop - 500))
    quality = look(store_of(stop, {SMALL.market: (start, start + 400), PERP.market: (stop - 30, stop)}))
    covered = np.ones(3600)
    covered[start - stop + 3600 : start + 400 - stop + 3600] = 10 / 11
    coverage = quality.assets[0].coverage
    for name, rows in WINDOWS:
        assert coverage["spot"][name] == pytest.approx(covered[-rows:].mean(), rel=1e-12)
        assert coverage["perp"][name] == pytest.approx(1 - 30 / rows, rel=1e-12)
    assert [m.covered for m in quality.markets if m.market == PERP.market] == [False]


def test_a_collector_that_was_down_is_a_hole_and_a_repair_is_none() -> None:
    stop = HOUR + 100
    missing = (stop - 200, stop - 100)
    assert {m.holes for m in look(store_of(stop, missing=missing)).markets} == {(missing,)}
    repaired = tuple(Interval(each.market, *missing) for each in MARKETS)
    quality = look(store_of(stop, missing=missing, repaired=repaired))
    assert {m.holes for m in quality.markets} == {()}
    assert quality.assets[0].veto == ""
