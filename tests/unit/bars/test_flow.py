"""Markets of an asset, class sums and coverage weights."""

from __future__ import annotations

import functools
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.bars.flow import (
    AssetMarkets,
    HourlyVolumes,
    asset_markets,
    class_flow,
    coverage_share,
    reference_market,
    volume_cents,
    volumes_cents,
)
from squeezeflow_plugin.errors import UnknownInstrumentError
from squeezeflow_plugin.market import Bar, Instrument, MarketKind

SPOT = Instrument("BINANCE:btcusdt", "BTCUSDT", MarketKind.SPOT, "BTC", "USDT", "USDT")
USDC = Instrument("BINANCE:btcusdc", "BTCUSDC", MarketKind.SPOT, "BTC", "USDC", "USDC")
EURO = Instrument("BINANCE:btceur", "BTCEUR", MarketKind.SPOT, "BTC", "EUR", "EUR")
ETH = Instrument("BINANCE:ethusdt", "ETHUSDT", MarketKind.SPOT, "ETH", "USDT", "USDT")
PERP = Instrument("BINANCE_FUTURES:btcusdt", "BTCUSDT", MarketKind.PERP, "BTC", "USDT", "USDT")
COIN = Instrument(
    "BINANCE_FUTURES:btcusd_perp", "BTCUSD_PERP", MarketKind.PERP, "BTC", "USD", "BTC", 100.0, True
)
DATED = Instrument("BINANCE_FUTURES:btcusdt_261225", "X", MarketKind.FUTURE, "BTC", "USDT", "USDT")
OTHER = Instrument("BYBIT:btcusdt", "BTCUSDT", MarketKind.SPOT, "BTC", "USDT", "USDT")
ALL = (OTHER, DATED, COIN, PERP, ETH, EURO, USDC, SPOT)
QUOTES = ("USDT", "USDC", "USD")


def test_an_asset_has_the_dollar_spot_and_perpetual_markets_of_its_base() -> None:
    assert asset_markets(ALL, SPOT, QUOTES) == AssetMarkets(
        "BTC",
        ("BINANCE:btcusdc", "BINANCE:btcusdt", "BYBIT:btcusdt"),
        ("BINANCE_FUTURES:btcusd_perp", "BINANCE_FUTURES:btcusdt"),
        "BINANCE:btcusdt",
    )


def test_the_reference_counts_whatever_its_quote() -> None:
    assert asset_markets(ALL, EURO, QUOTES).spot[0] == "BINANCE:btceur"


@pytest.mark.parametrize(
    ("exchange", "quote", "kind", "market"),
    [
        ("binance", "USDT", MarketKind.SPOT, "BINANCE:btcusdt"),
        ("binance", "USDT", MarketKind.PERP, "BINANCE_FUTURES:btcusdt"),
        ("binance", "USD", MarketKind.PERP, "BINANCE_FUTURES:btcusd_perp"),
        ("bybit", "USDT", MarketKind.SPOT, "BYBIT:btcusdt"),
    ],
)
def test_the_traded_market_is_found(exchange: str, quote: str, kind: MarketKind, market: str) -> None:
    assert reference_market(ALL, exchange, "BTC", quote, kind).market == market


def test_a_pair_without_a_market_is_named() -> None:
    with pytest.raises(UnknownInstrumentError, match="no perp market DOGE/USDT of binance"):
        reference_market(ALL, "binance", "DOGE", "USDT", MarketKind.PERP)


@given(st.lists(st.tuples(st.floats(0, 1e12), st.floats(0, 1e12)), max_size=8), st.integers(0, 8))
def test_a_silent_market_changes_no_bit_of_a_sum(volumes: list[tuple[float, float]], place: int) -> None:
    bars = {f"X:{n}": _bar(f"X:{n}", buy, sell) for n, (buy, sell) in enumerate(volumes)}
    names = [*bars]
    silent = [*names[:place], "X:silent", *names[place:]]
    assert class_flow(bars, names) == class_flow(bars, silent)
    assert class_flow(bars | {"X:silent": _bar("X:silent", 0.0, 0.0)}, silent) == class_flow(bars, names)
    assert class_flow(bars, names)[0] == functools.reduce(operator.add, (buy for buy, _ in volumes), 0.0)


def _bar(market: str, buy: float, sell: float) -> Bar:
    return Bar(market, 0, 1.0, 1.0, 1.0, 1.0, buy, sell, 1, 1, 0.0, 0.0)


@given(st.lists(st.tuples(st.floats(0, 1e9), st.floats(0, 1e9)), min_size=1, max_size=20))
def test_columns_round_as_single_bars_do(pairs: list[tuple[float, float]]) -> None:
    bars = [_bar("X:y", buy, sell) for buy, sell in pairs]
    buys, sells = np.array(pairs).T
    assert volumes_cents(buys, sells).tolist() == [volume_cents(bar) for bar in bars]


def test_weights_are_the_24_hours_before_the_hour() -> None:
    volumes = HourlyVolumes(["A:x", "B:x", "C:x"])
    hour = 100 * 3600
    volumes.add("A:x", hour - 1, 700)
    volumes.add("A:x", hour - 24 * 3600, 40)
    volumes.add("A:x", hour - 24 * 3600 - 1, 10_000)
    volumes.add("A:x", hour, 10_000)
    volumes.add("B:x", hour - 5, 60)
    assert volumes.weights(hour, ["B:x", "A:x", "C:x"]) == (60, 740, 0)


def test_a_revision_adds_its_difference_and_old_hours_are_dropped() -> None:
    volumes = HourlyVolumes(["A:x", "B:x"])
    volumes.add("A:x", 30 * 3600, 500)
    volumes.add("A:x", 30 * 3600 + 7, -100)
    volumes.add("B:x", 2 * 3600, 9)
    volumes.forget_before(31 * 3600)
    assert volumes.weights(31 * 3600, ["A:x", "B:x"]) == (400, 0)
    assert volumes.weights(26 * 3600, ["A:x", "B:x"]) == (1, 1)


@given(st.lists(st.tuples(st.integers(0, 10**15), st.booleans()), max_size=12))
def test_a_share_does_not_depend_on_the_order_and_full_coverage_is_one(
    markets: list[tuple[int, bool]],
) -> None:
    weights = [weight for weight, _ in markets]
    seen = [covered for _, covered in markets]
    share = coverage_share(weights, seen)
    assert 0.0 <= share <= 1.0
    assert coverage_share(weights[::-1], seen[::-1]) == share
    assert coverage_share(weights, [True] * len(weights)) == (1.0 if any(weights) else 0.0)
