from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from squeezeflow_plugin.simulator.episodes import Episode, Script
from squeezeflow_plugin.simulator.generator import first_state, next_minute
from squeezeflow_plugin.simulator.profiles import AssetProfile, asset_profile
from squeezeflow_plugin.simulator.trades import AssetMinute, MarketTrades, concatenate
from tests.unit.simulator.markets import ORIGIN, minutes_of

BTC, SOL = asset_profile("BTC"), asset_profile("SOL")
COLUMNS = ("at_ms", "ids", "ticks", "lots", "side")


def same(one: MarketTrades, other: MarketTrades) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in COLUMNS)


def joined(minutes: list[AssetMinute], market: str) -> MarketTrades:
    return concatenate([minute.trades[market] for minute in minutes])


def test_a_minute_follows_from_seed_asset_and_state_alone() -> None:
    once, again = (minutes_of(BTC, 7, Script(), 3) for _ in range(2))
    other = minutes_of(BTC, 8, Script(), 3)
    for profile in BTC.markets:
        assert same(joined(once, profile.market), joined(again, profile.market))
        assert not same(joined(once, profile.market), joined(other, profile.market))


def test_trades_are_ordered_with_ids_that_follow_each_other_over_minutes() -> None:
    minutes = minutes_of(BTC, 7, Script(), 10)
    for profile in BTC.markets:
        trades = joined(minutes, profile.market)
        assert (np.diff(trades.at_ms) >= 0).all()
        assert trades.ids[0] == profile.last_id + 1
        assert (np.diff(trades.ids) == 1).all()
        assert trades.lots.min() >= 1
        assert trades.ticks.min() >= 1
        assert trades.at_ms[0] >= ORIGIN * 1000
        assert trades.at_ms[-1] < (ORIGIN + 600) * 1000


@pytest.mark.parametrize("asset", [BTC, SOL])
@pytest.mark.parametrize("release", [ORIGIN + 900, ORIGIN + 901, ORIGIN + 943, ORIGIN + 959])
def test_a_release_named_late_changes_no_trade_before_it(asset: AssetProfile, release: int) -> None:
    state = first_state(asset, ORIGIN)
    waiting = Script((Episode(1, ORIGIN + 60, None),))
    for _ in range(15):
        _, state = next_minute(asset, 7, state, waiting)
    held, _ = next_minute(asset, 7, state, waiting)
    released, _ = next_minute(asset, 7, state, waiting.released(release))
    for profile in asset.markets:
        before, after = held.trades[profile.market], released.trades[profile.market]
        assert same(before.between(0, release * 1000), after.between(0, release * 1000))
        assert not same(before, after)
    forced = released.liquidations[asset.perp.market]
    assert not len(forced.between(0, release * 1000))
    assert set(forced.side.tolist()) <= {1}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_chance_is_taken_back_while_a_build_up_lasts(seed: int) -> None:
    state, script = first_state(SOL, ORIGIN), Script((Episode(1, ORIGIN + 3600, None),))
    for _ in range(74):
        _, state = next_minute(SOL, seed, state, script)
    for walk in (state.spot, state.perp):
        # what is still to be taken back is the last minute's own chance, some square roots of its seconds
        assert abs(walk.untracked) < 40 * np.sqrt(np.mean(walk.flow_squares))


def test_a_build_up_moves_spot_up_and_perpetuals_down_while_the_price_holds() -> None:
    script = Script((Episode(1, ORIGIN + 3600, None),))
    minutes = minutes_of(BTC, 3, script, 75)
    spot, perp = (joined(minutes[60:], profile.market) for profile in BTC.markets)
    quiet = [joined(minutes[:60], profile.market) for profile in BTC.markets]
    sigma = [
        np.sqrt(np.mean(np.bincount(t.at_ms // 1000 - ORIGIN, t.signed_quote, 3600) ** 2)) for t in quiet
    ]
    assert 90 < spot.signed_quote.sum() / sigma[0] < 190
    assert -190 < perp.signed_quote.sum() / sigma[1] < -90
    assert abs(np.log(spot.price[-1] / quiet[0].price[-1])) < 0.004


def test_the_everyday_market_looks_like_the_recorded_one() -> None:
    """The table in ``profiles``, with room for chance."""
    minutes = minutes_of(BTC, 7, Script(), 240)
    for profile, pace, median, ninety in ((BTC.spot, 42, 21, 3_000), (BTC.perp, 72, 1_235, 16_500)):
        trades = joined(minutes, profile.market)
        quote = np.abs(trades.signed_quote)
        assert len(trades) / 14_400 == pytest.approx(pace, rel=0.4)
        assert 0.6 < (np.diff(trades.at_ms) == 0).mean() < 0.9
        assert 0.85 < (np.diff(trades.side) == 0).mean() < 0.98
        assert np.quantile(quote, 0.5) == pytest.approx(median, rel=0.5)
        assert np.quantile(quote, 0.9) == pytest.approx(ninety, rel=0.5)


def test_quiet_stretches_exist_and_never_silence_a_market_for_a_minute() -> None:
    minutes = minutes_of(SOL, 11, Script(), 720)
    for profile in SOL.markets:
        trades = joined(minutes, profile.market)
        by_minute = np.array([len(minute.trades[profile.market]) for minute in minutes])
        assert np.diff(trades.at_ms).max() < 45_000
        assert by_minute.min() < 0.25 * np.median(by_minute)


def test_an_asset_far_from_its_usual_price_keeps_its_ticks() -> None:
    state = first_state(replace(BTC, price=0.5), ORIGIN)
    minute, _ = next_minute(BTC, 1, state, Script())
    assert minute.trades[BTC.spot.market].ticks.min() >= 1
