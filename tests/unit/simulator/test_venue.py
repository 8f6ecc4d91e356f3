from __future__ import annotations

from squeezeflow_plugin.simulator.episodes import Episode, Script
from tests.unit.simulator.markets import ORIGIN, venue_of

WAITING = Script((Episode(1, ORIGIN + 60, None),))


def test_it_is_made_as_far_as_asked_and_no_market_lags() -> None:
    venue = venue_of("BTC", "SOL")
    assert venue.second == ORIGIN
    venue.extend(ORIGIN + 61)
    assert venue.second == ORIGIN + 120
    assert sorted(venue.tapes) == [
        "BINANCE:btcusdt",
        "BINANCE:solusdt",
        "BINANCE_FUTURES:btcusdt",
        "BINANCE_FUTURES:solusdt",
    ]
    assert [profile.market for profile in venue.markets][:2] == ["BINANCE:btcusdt", "BINANCE_FUTURES:btcusdt"]


def test_the_first_asset_breaks_loose_at_once_and_the_others_follow() -> None:
    venue = venue_of("BTC", "ETH", "SOL", "DOGE", script=WAITING)
    venue.extend(ORIGIN + 1200)
    first = venue.release(ORIGIN + 1201)
    assert first is not None
    assert (first.base, first.episode.release) == ("BTC", ORIGIN + 1201)
    after = {each.base: (each.episode.release or 0) - ORIGIN - 1201 for each in venue.planned}
    assert 40 <= after["ETH"] < 70
    assert 240 <= after["SOL"] < 480
    assert 500 <= after["DOGE"] < 1500
    assert venue.release(ORIGIN + 1300) is None


def test_where_nothing_waits_nothing_is_released() -> None:
    venue = venue_of("SOL")
    venue.extend(ORIGIN + 60)
    assert venue.release(ORIGIN + 70) is None
