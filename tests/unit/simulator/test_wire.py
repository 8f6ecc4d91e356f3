from __future__ import annotations

import msgspec
import numpy as np
import pytest

from squeezeflow_plugin.feeds.exchanges.binance import BinanceSpot
from squeezeflow_plugin.feeds.exchanges.binance_futures import BinanceFutures
from squeezeflow_plugin.simulator.candles import candle_of
from squeezeflow_plugin.simulator.episodes import Script
from squeezeflow_plugin.simulator.profiles import MarketProfile, asset_profile
from squeezeflow_plugin.simulator.wire import Spelling
from tests.unit.simulator.markets import minutes_of

BTC = asset_profile("BTC")
MINUTE = minutes_of(BTC, 1, Script(), 1)[0]
SIDES = [(BTC.spot, BinanceSpot()), (BTC.perp, BinanceFutures())]


@pytest.mark.parametrize(("profile", "adapter"), SIDES)
def test_the_adapter_reads_each_trade_back_exactly(
    profile: MarketProfile, adapter: BinanceSpot | BinanceFutures
) -> None:
    trades = MINUTE.trades[profile.market]
    frames = Spelling(profile).trade_frames(trades, (trades.at_ms + 20).tolist())
    read = [trade for frame in frames for trade in adapter.parse(frame, 0).trades]
    assert [trade.market for trade in read] == [profile.market] * len(trades)
    assert [trade.exchange_ns for trade in read] == (trades.at_ms * 10**6).tolist()
    assert [int(trade.trade_id) for trade in read] == trades.ids.tolist()
    assert [trade.price for trade in read] == trades.price.tolist()
    assert [trade.size for trade in read] == trades.size.tolist()
    assert [trade.side for trade in read] == trades.side.tolist()


def test_a_wrapped_frame_is_read_too() -> None:
    trades = MINUTE.trades[BTC.spot.market].select(slice(0, 1))
    (frame,) = Spelling(BTC.spot).trade_frames(trades, [1])
    wrapped = f'{{"stream":"btcusdt@trade","data":{frame}}}'
    assert BinanceSpot().parse(wrapped, 0).trades == BinanceSpot().parse(frame, 0).trades


@pytest.mark.parametrize(("profile", "adapter"), SIDES)
def test_an_aggregate_is_its_trades_together(
    profile: MarketProfile, adapter: BinanceSpot | BinanceFutures
) -> None:
    one = MINUTE.trades[profile.market].select(np.zeros(3, np.int64))
    event = Spelling(profile).aggregate_event(one, 77, 5)
    (read,) = adapter.parse(msgspec.json.encode(event), 0).aggregates
    assert read.size == pytest.approx(3 * one.size[0])
    assert read.price == one.price[0]


def test_a_liquidation_is_read_as_one() -> None:
    orders = MINUTE.trades[BTC.perp.market].select(slice(0, 3))
    for row, event in enumerate(Spelling(BTC.perp).liquidation_events(orders, 9)):
        (read,) = BinanceFutures().parse(msgspec.json.encode(event), 0).trades
        assert (read.liquidation, read.side) == (True, orders.side[row])
        assert (read.price, read.size) == (orders.price[row], orders.size[row])


def test_a_kline_row_has_binances_twelve_elements() -> None:
    trades = MINUTE.trades[BTC.spot.market]
    candle = candle_of(60_000, trades, None)
    assert candle is not None
    row = Spelling(BTC.spot).kline_row(candle, 60_000)
    assert len(row) == 12
    assert (row[0], row[6], row[8]) == (60_000, 119_999, len(trades))
    assert float(row[5]) == pytest.approx(trades.size.sum())
    event = Spelling(BTC.spot).kline_event(candle, "1m", 60_000, 119_999)
    assert (event["k"]["x"], event["k"]["o"]) == (False, row[1])
    assert Spelling(BTC.spot).kline_event(candle, "1m", 60_000, 120_000)["k"]["x"] is True


def test_spot_pads_to_eight_places_and_futures_to_their_own() -> None:
    assert (Spelling(BTC.spot).price(6_500_001), Spelling(BTC.spot).size(3)) == (
        "65000.01000000",
        "0.00003000",
    )
    assert (Spelling(BTC.perp).price(650_001), Spelling(BTC.perp).size(3)) == ("65000.1", "0.003")


def test_a_row_of_trades_names_the_maker() -> None:
    trades = MINUTE.trades[BTC.perp.market]
    row = Spelling(BTC.perp).trade_rows(trades)[0]
    assert row["isBuyerMaker"] == (trades.side[0] < 0)
    assert row["id"] == trades.ids[0]
