"""FreqTrade's DataProvider, fed from our own seconds instead of the exchange's candles.

FreqTrade builds one DataProvider and gives it to the bot, the RPC layer and the strategy. ``install``
changes the class of that one object, so all of them see the same candles and analysed frames; the
subclass answers ``refresh``, ``ohlcv`` and ``historic_ohlcv`` for the pairs that the store has a market of
and leaves everything else - tickers, order books, other pairs, mark and funding candles - to FreqTrade. It
is done for ``dry_run`` and ``live`` only: in analysis modes FreqTrade's own provider stays.

The candle that is forming is delivered as the last row. FreqTrade looks at the last row only, and locks
a pair after an exit until that row's candle has ended; with a forming row neither costs a minute.

Nothing else in this project touches FreqTrade's internals; tests/contracts holds each method it relies on.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol, cast

import freqtrade
import pandas as pd
from freqtrade.constants import ListPairsWithTimeframes
from freqtrade.data.dataprovider import DataProvider
from freqtrade.enums import CandleType, RunMode
from freqtrade.exchange import timeframe_to_seconds

from squeezeflow_plugin.errors import UnsupportedFreqtradeError

CHECKED_VERSIONS = ("2026.9",)
_TRADED_KINDS = (CandleType.SPOT, CandleType.FUTURES)
LIVE_MODES = (RunMode.DRY_RUN, RunMode.LIVE)


class CandleSource(Protocol):
    """Where the candles come from."""

    @property
    def pairs(self) -> Collection[str]:
        """The pairs that are scored."""
        ...

    def serves(self, pair: str) -> bool:
        """Whether it has candles of the pair, scored or not."""
        ...

    def candles(self, pair: str, seconds: int) -> pd.DataFrame:
        """A frame of the pair's own, as ``candle_frame`` makes it; empty where nothing is known yet."""
        ...


class SqueezeFlowDataProvider(DataProvider):  # type: ignore[misc]  # FreqTrade ships no types
    """FreqTrade's provider with our candles for our pairs; made by ``install``, never constructed."""

    _squeezeflow_source: CandleSource

    def refresh(
        self, pairlist: ListPairsWithTimeframes, helping_pairs: ListPairsWithTimeframes | None = None
    ) -> None:
        """Fetch candles of foreign pairs only; without any, the exchange is not asked at all."""
        foreign = [key for key in pairlist if self._ours(key[0], key[2]) is None]
        helping = [key for key in helping_pairs or () if self._ours(key[0], key[2]) is None]
        if foreign or helping:
            super().refresh(foreign, helping)

    def ohlcv(
        self, pair: str, timeframe: str | None = None, copy: bool = True, candle_type: str = ""
    ) -> pd.DataFrame:
        """Candles of the pair's reference market with flow columns; each call builds a frame of its own.

        ``timeframe`` is any of FreqTrade's, ``1s`` included; mark and funding candles come from FreqTrade, as
        do those of a pair whose market is not in the store.
        """
        ours = self._ours(pair, candle_type)
        if ours is None:
            return cast(pd.DataFrame, super().ohlcv(pair, timeframe, copy, candle_type))
        return self._squeezeflow_source.candles(
            ours, timeframe_to_seconds(timeframe or self._config["timeframe"])
        )

    def historic_ohlcv(self, pair: str, timeframe: str, candle_type: str = "") -> pd.DataFrame:
        """The candles of the hours that are held; FreqTrade's files for a pair that is not ours."""
        if self._ours(pair, candle_type) is None:
            return cast(pd.DataFrame, super().historic_ohlcv(pair, timeframe, candle_type))
        return self.ohlcv(pair, timeframe, candle_type=candle_type)

    def _ours(self, pair: str, candle_type: str) -> str | None:
        """The pair of the source that answers, None where FreqTrade does.

        A futures bot that asks for the spot candles of ``BTC/USDT:USDT`` gets those of ``BTC/USDT``.
        """
        kind = str(candle_type) or str(self._config["candle_type_def"])
        if kind not in _TRADED_KINDS:
            return None
        wanted = pair.partition(":")[0] if kind == CandleType.SPOT else pair
        if kind == CandleType.FUTURES and ":" not in wanted:
            return None
        return wanted if self._squeezeflow_source.serves(wanted) else None

    @property
    def available_pairs(self) -> ListPairsWithTimeframes:
        """Our pairs in the bot's timeframe, and what FreqTrade fetched beside them."""
        ours: ListPairsWithTimeframes = [
            (pair, self._config["timeframe"], self._config["candle_type_def"])
            for pair in sorted(self._squeezeflow_source.pairs)
        ]
        return ours + super().available_pairs


def check_version(version: str = freqtrade.__version__) -> None:
    """Raise UnsupportedFreqtradeError for a FreqTrade release this module was not checked with.

    >>> check_version("2026.9")
    """
    if version not in CHECKED_VERSIONS:
        raise UnsupportedFreqtradeError(
            f"FreqTrade {version} is installed, this plugin was checked with {', '.join(CHECKED_VERSIONS)}:"
            " its DataProvider may work differently; nothing is traded"
        )


def install(provider: DataProvider, source: CandleSource) -> SqueezeFlowDataProvider:
    """Make FreqTrade's provider serve the source's pairs from now on; a later call replaces the source.

    Raises UnsupportedFreqtradeError for an unknown FreqTrade version, another provider class or a run mode
    other than dry-run and live; the provider is then left as it was.
    """
    check_version()
    if type(provider) not in (DataProvider, SqueezeFlowDataProvider):
        raise UnsupportedFreqtradeError(
            f"the strategy was given a {type(provider).__name__} instead of FreqTrade's DataProvider;"
            " it is left as it is, nothing is traded"
        )
    if provider.runmode not in LIVE_MODES:
        raise UnsupportedFreqtradeError(
            f"candles come from the store in dry-run and live only, the run mode is {provider.runmode.value}"
        )
    provider.__class__ = SqueezeFlowDataProvider
    ours = cast(SqueezeFlowDataProvider, provider)
    ours._squeezeflow_source = source  # noqa: SLF001 - this function is the class's constructor
    return ours
