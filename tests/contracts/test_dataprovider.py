"""What FreqTrade asks of its DataProvider, held against the one that takes its place."""

from __future__ import annotations

import inspect
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from freqtrade.data.dataprovider import DataProvider
from freqtrade.enums import CandleType, RunMode
from freqtrade.freqtradebot import FreqtradeBot
from freqtrade.strategy import IStrategy

from squeezeflow_plugin.errors import UnsupportedFreqtradeError
from squeezeflow_plugin.provider.dataprovider import (
    CHECKED_VERSIONS,
    SqueezeFlowDataProvider,
    check_version,
    install,
)

OURS, FOREIGN, BESIDE = "BTC/USDT", "DOGE/USDT", "BTC/USDT:USDT"

# Everything that FreqTrade 2026.9 calls on it outside its own file, with the parameters it uses.
TOUCHED = {
    "add_pairlisthandler": ("pairlists",),
    "refresh": ("pairlist", "helping_pairs"),
    "refresh_latest_trades": ("pairlist",),
    "get_analyzed_dataframe": ("pair", "timeframe"),
    "get_pair_dataframe": ("pair", "timeframe", "candle_type"),
    "historic_ohlcv": ("pair", "timeframe", "candle_type"),
    "ohlcv": ("pair", "timeframe", "copy", "candle_type"),
    "trades": ("pair", "timeframe", "copy", "candle_type", "timerange"),
    "market": ("pair",),
    "current_whitelist": (),
    "get_required_startup": ("timeframe",),
    "get_funding_rate_timeframe": (),
    "clear_cache": (),
    "get_producer_pairs": ("producer_name",),
    "_set_cached_df": ("pair", "timeframe", "dataframe", "candle_type"),
    "_emit_df": ("pair_key", "dataframe", "new_candle"),
    "_set_dataframe_max_index": ("pair", "limit_index"),
    "_set_dataframe_max_date": ("limit_date",),
    "_set_producer_pairs": ("pairlist", "producer_name"),
    "_replace_external_df": (
        "pair",
        "dataframe",
        "last_analyzed",
        "timeframe",
        "candle_type",
        "producer_name",
    ),
    "_add_external_df": (
        "pair",
        "dataframe",
        "last_analyzed",
        "timeframe",
        "candle_type",
        "producer_name",
    ),
    "send_msg": ("message", "always_send"),
}
OVERRIDDEN = {"refresh", "ohlcv", "historic_ohlcv", "available_pairs", "_ours"}


class RecordingExchange:
    """Stands where FreqTrade's exchange stands, and notes what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self._klines: dict[Any, pd.DataFrame] = {}

    def refresh_latest_ohlcv(self, pairs: list[Any]) -> None:
        self.asked.append(pairs)
        self._klines.update({key: pd.DataFrame({"close": [7.0]}) for key in pairs})

    def fetch_ticker(self, pair: str) -> dict[str, float]:
        assert pair == OURS
        return {"last": 7.0}

    def fetch_l2_order_book(self, pair: str, limit: int) -> dict[str, list[list[float]]]:
        assert (pair, limit) == (OURS, 1)
        return {"bids": [[7.0, 1.0]]}

    def klines(self, key: Any, copy: bool = True) -> pd.DataFrame:
        found = self._klines.get(key, pd.DataFrame())
        return found.copy() if copy else found


class OneCandle:
    """A candle source that says which candles were asked for."""

    pairs: Collection[str] = (OURS,)

    def serves(self, pair: str) -> bool:
        return pair in (*self.pairs, BESIDE)

    def candles(self, pair: str, seconds: int) -> pd.DataFrame:
        assert self.serves(pair)
        return pd.DataFrame({"date": [datetime(2026, 1, 1, tzinfo=UTC)], "close": [float(seconds)]})


@pytest.fixture
def exchange() -> RecordingExchange:
    return RecordingExchange()


def provider_of(exchange: RecordingExchange, runmode: RunMode = RunMode.DRY_RUN) -> DataProvider:
    config = {
        "runmode": runmode,
        "timeframe": "1m",
        "candle_type_def": CandleType.SPOT,
        "exchange": {"name": "binance"},
    }
    return DataProvider(config, exchange)


@pytest.fixture
def provider(exchange: RecordingExchange) -> SqueezeFlowDataProvider:
    return install(provider_of(exchange), OneCandle())


def key(pair: str, timeframe: str = "1m") -> tuple[str, str, CandleType]:
    return (pair, timeframe, CandleType.SPOT)


def test_freqtrade_analyses_the_whole_whitelist_in_one_call_before_it_orders() -> None:
    """``analyze`` may let pairs wait only where nothing but this call stands before the orders."""
    assert list(inspect.signature(IStrategy.analyze).parameters) == ["self", "pairs"]
    loop = inspect.getsource(FreqtradeBot.process)
    steps = (
        "bot_loop_start",
        "strategy.analyze(self.active_pair_whitelist)",
        "exit_positions",
        "enter_positions",
    )
    assert [loop.count(step) for step in steps] == [1, 1, 1, 1]
    assert sorted(steps, key=loop.index) == list(steps)


@pytest.mark.parametrize("name", sorted(TOUCHED))
def test_freqtrade_still_has_each_method_it_is_called_by(name: str) -> None:
    parameters = inspect.signature(getattr(DataProvider, name)).parameters
    assert set(TOUCHED[name]) <= set(parameters) - {"self"}
    ours = inspect.signature(getattr(SqueezeFlowDataProvider, name)).parameters
    assert list(ours) == list(parameters)


def test_only_candles_are_ours() -> None:
    own = {name for name in vars(SqueezeFlowDataProvider) if not name.startswith("__")}
    assert own == OVERRIDDEN


def test_our_pairs_never_reach_the_exchange(
    provider: SqueezeFlowDataProvider, exchange: RecordingExchange
) -> None:
    provider.refresh([key(OURS)], [key(OURS, "5m")])
    provider.refresh([key(OURS)])
    assert exchange.asked == []


def test_foreign_pairs_are_fetched_as_ever(
    provider: SqueezeFlowDataProvider, exchange: RecordingExchange
) -> None:
    provider.refresh([key(OURS), key(FOREIGN)], [key(FOREIGN, "5m"), key(OURS, "15m")])
    assert exchange.asked == [[key(FOREIGN), key(FOREIGN, "5m")]]
    assert provider.ohlcv(FOREIGN, "1m")["close"].tolist() == [7.0]
    assert provider.available_pairs == [key(OURS), key(FOREIGN), key(FOREIGN, "5m")]


@pytest.mark.parametrize(
    ("timeframe", "seconds"), [(None, 60), ("1s", 1), ("5m", 300), ("15m", 900), ("30m", 1800), ("1h", 3600)]
)
def test_every_timeframe_comes_from_the_seconds(
    provider: SqueezeFlowDataProvider, timeframe: str | None, seconds: int
) -> None:
    assert provider.ohlcv(OURS, timeframe)["close"].tolist() == [float(seconds)]
    assert provider.get_pair_dataframe(OURS, timeframe)["close"].tolist() == [float(seconds)]
    assert provider.get_pair_dataframe(OURS, timeframe, "spot")["close"].tolist() == [float(seconds)]


def test_both_candle_types_of_an_asset_come_from_the_seconds(
    provider: SqueezeFlowDataProvider, exchange: RecordingExchange
) -> None:
    assert provider.get_pair_dataframe(BESIDE, "15m", "futures")["close"].tolist() == [900.0]
    assert provider.get_pair_dataframe(BESIDE, "15m", "spot")["close"].tolist() == [900.0], (
        "those of BTC/USDT"
    )
    provider.refresh([key(OURS)], [(BESIDE, "15m", CandleType.FUTURES), (BESIDE, "1h", CandleType.MARK)])
    assert exchange.asked == [[(BESIDE, "1h", CandleType.MARK)]]


def test_history_is_what_is_held(provider: SqueezeFlowDataProvider) -> None:
    assert provider.historic_ohlcv(OURS, "5m")["close"].tolist() == [300.0]


def test_tickers_and_order_books_are_the_exchanges(
    provider: SqueezeFlowDataProvider, exchange: RecordingExchange
) -> None:
    assert provider.ticker(OURS) == {"last": 7.0}
    assert provider.orderbook(OURS, 1) == {"bids": [[7.0, 1.0]]}


def test_mark_candles_stay_freqtrades(provider: SqueezeFlowDataProvider) -> None:
    assert provider.ohlcv(OURS, "1h", candle_type="mark").empty


def test_analysed_frames_are_shared_as_before(provider: SqueezeFlowDataProvider) -> None:
    frame = pd.DataFrame({"close": [1.0]})
    provider._set_cached_df(OURS, "1m", frame, CandleType.SPOT)
    provider._emit_df(key(OURS), frame, True)
    assert provider.get_analyzed_dataframe(OURS, "1m")[0] is frame
    assert len(provider._msg_queue) == 0


def test_a_new_session_replaces_the_source(provider: SqueezeFlowDataProvider) -> None:
    class Other(OneCandle):
        pairs = (FOREIGN,)

    again = install(provider, Other())
    assert again is provider
    assert provider.ohlcv(FOREIGN, "5m")["close"].tolist() == [300.0]


@pytest.mark.parametrize("runmode", [RunMode.BACKTEST, RunMode.WEBSERVER, RunMode.HYPEROPT, RunMode.OTHER])
def test_analysis_modes_keep_freqtrades_own(exchange: RecordingExchange, runmode: RunMode) -> None:
    provider = provider_of(exchange, runmode)
    with pytest.raises(UnsupportedFreqtradeError, match=runmode.value):
        install(provider, OneCandle())
    assert type(provider) is DataProvider


def test_another_provider_is_refused(exchange: RecordingExchange) -> None:
    class Stranger(DataProvider):  # type: ignore[misc]  # FreqTrade ships no types
        pass

    with pytest.raises(UnsupportedFreqtradeError, match="given a Stranger"):
        install(Stranger({"runmode": RunMode.DRY_RUN}, exchange), OneCandle())


def test_an_unknown_release_is_refused() -> None:
    for version in CHECKED_VERSIONS:
        check_version(version)
    with pytest.raises(UnsupportedFreqtradeError, match=r"FreqTrade 2027\.1 is installed"):
        check_version("2027.1")
