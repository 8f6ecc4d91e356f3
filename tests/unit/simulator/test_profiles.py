from __future__ import annotations

import pytest

from squeezeflow_plugin.errors import SimulatorError
from squeezeflow_plugin.market import MarketKind
from squeezeflow_plugin.simulator.profiles import DEFAULT_ASSETS, asset_profile, asset_profiles


def test_an_asset_has_a_spot_market_and_a_perpetual_of_aggr_servers_names() -> None:
    spot, perp = asset_profile("ETH").markets
    assert (spot.market, spot.instrument.kind) == ("BINANCE:ethusdt", MarketKind.SPOT)
    assert (perp.market, perp.instrument.kind) == ("BINANCE_FUTURES:ethusdt", MarketKind.PERP)
    assert spot.instrument.symbol == perp.instrument.symbol == "ETHUSDT"


def test_bitcoins_units_are_binances() -> None:
    spot, perp = asset_profile("BTC").markets
    assert (spot.price_scale, spot.size_scale) == (100, 100_000)
    assert (perp.price_scale, perp.size_scale) == (10, 1000)


def test_any_other_coin_is_the_same_each_time_and_random_streams_differ() -> None:
    assert asset_profile("DOGE") == asset_profile("DOGE")
    assert 0.2 <= asset_profile("DOGE").price <= 20.0
    assert len({asset_profile(base).key for base in (*DEFAULT_ASSETS, "DOGE")}) == 4


@pytest.mark.parametrize("base", ["", "btc", "B", "BTC/USDT", "A" * 13])
def test_a_name_that_is_none_is_refused(base: str) -> None:
    with pytest.raises(SimulatorError, match="asset must be 2 to 12 capital letters"):
        asset_profile(base)


@pytest.mark.parametrize("bases", [(), ("BTC", "BTC")])
def test_a_list_with_nothing_or_repetitions_is_refused(bases: tuple[str, ...]) -> None:
    with pytest.raises(SimulatorError, match="without repetitions"):
        asset_profiles(bases)
