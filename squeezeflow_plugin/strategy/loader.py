"""The data of FreqTrade's analysis commands, brought from the store before FreqTrade looks for files.

FreqTrade builds the strategy before it loads candles, from the folder that the configuration names at
that moment. So the strategy's constructor writes them, into a folder of its own, and names that folder; the
user's downloads stay as they are. What a result depends on - the data, the plugin, the engine's parameters -
is entered into the configuration as well: FreqTrade keeps results by it, and so never serves an old one.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

from freqtrade.configuration import TimeRange
from freqtrade.constants import Config
from freqtrade.enums import RunMode, TradingMode
from freqtrade.exchange import timeframe_to_seconds
from freqtrade.plugins.pairlist.pairlist_helpers import expand_pairlist

from squeezeflow_plugin import __version__
from squeezeflow_plugin.bars.flow import AssetMarkets
from squeezeflow_plugin.errors import SettingsError, StoreEmptyError, UnknownInstrumentError
from squeezeflow_plugin.market import Instrument, MarketKind
from squeezeflow_plugin.phases.engine import fingerprint
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.provider.desk import pair_markets
from squeezeflow_plugin.provider.materialise import DataSet, Wanted, materialise, store_stamp
from squeezeflow_plugin.provider.spans import HOW_TO_FILL, shown, shown_span
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.contract import BarStore
from squeezeflow_plugin.store.registry import open_store

log = logging.getLogger(__name__)

DETAIL = "1s"
DAY_S = 86_400
_ALWAYS = (RunMode.BACKTEST, RunMode.HYPEROPT, RunMode.PLOT)
_WITH_TIMERANGE = (RunMode.WEBSERVER, RunMode.UTIL_NO_EXCHANGE)  # also used to look at a strategy only


def needs_data(config: Config, timeframe: str) -> bool:
    """Whether the strategy is built to be run on candles from files.

    Lookahead and recursive analysis run in FreqTrade's mode for utilities, pair history in the webserver's.
    Timeframes under a minute are ``run_backtest.py``'s, which reads the store itself; only pair history
    shows them.
    """
    mode = config.get("runmode")
    if mode in _WITH_TIMERANGE:
        return bool(config.get("timerange"))
    return mode in _ALWAYS and timeframe_to_seconds(timeframe) >= 60


def bring_data(config: Config, settings: Settings, timeframe: str, startup_candles: int) -> DataSet:
    """Write the candles of the pairs and time range of ``config`` and point it at them.

    Changes ``datadir``, ``dataformat_ohlcv``, ``timeframe_detail`` (where it is not given) and ``timerange``
    (where it names one day), and adds ``squeezeflow_data``. Raises a SqueezeFlowError that says what is
    missing.
    """
    if config.get("strategy_list"):
        raise SettingsError(
            "with --strategy-list FreqTrade uses no strategy's data: name one with --strategy; nothing is run"
        )
    _take_whole_day(config, timeframe_to_seconds(timeframe))
    store = open_store(settings)
    try:
        if store.span() is None:
            raise StoreEmptyError(f"the store {settings.store_path} holds no data; {HOW_TO_FILL}")
        pairs = _markets(config, settings, store.instruments())
        start, stop = _span(config, timeframe_to_seconds(timeframe), startup_candles)
        futures = config.get("trading_mode", TradingMode.SPOT) == TradingMode.FUTURES
        rate = float(config.get("futures_funding_rate") or 0.0) if futures else None
        if futures:
            log.info(
                "no funding rates and no mark prices are stored: the rate is %g, the mark the last price",
                rate,
            )
        stamp = store_stamp(settings.store_path) if settings.store == "embedded" else ""
        data = materialise(store, Wanted(pairs, start, stop, rate), settings.data_dir / "backtest", stamp)
        _check_warmup(store, config, data, startup_candles * timeframe_to_seconds(timeframe))
    finally:
        store.close()
    _point_at(config, data, settings)
    return data


def _take_whole_day(config: Config, candle_s: int) -> None:
    """The same date twice is that day to its last candle; FreqTrade would take it for one candle."""
    asked = TimeRange.parse_timerange(config.get("timerange"))
    if asked.startts and asked.startts == asked.stopts and asked.startts % DAY_S == 0:
        config["timerange"] = f"{asked.startts}-{asked.startts + DAY_S - candle_s}"


def _check_warmup(store: BarStore, config: Config, data: DataSet, startup_s: int) -> None:
    """Raise StoreEmptyError where the time range ends before anything of it can be decided."""
    first, last = store.span() or (data.manifest.start, data.manifest.stop)
    asked = TimeRange.parse_timerange(config.get("timerange"))
    ready = min(part.first_priced for part in data.manifest.pairs.values()) + startup_s
    stop = min(asked.stopts or last, last)
    if ready >= stop:
        raise StoreEmptyError(
            f"the store holds data {shown_span(first, last)}: the first decision needs {startup_s} seconds"
            f" before it, at {shown(ready)}, and the time range ends at {shown(stop)}; ask for a later"
            f" one, or {HOW_TO_FILL}"
        )


def _point_at(config: Config, data: DataSet, settings: Settings) -> None:
    config["datadir"] = data.folder.absolute()
    config["dataformat_ohlcv"] = "feather"
    config["squeezeflow_data"] = {
        "plugin": __version__,
        "data": data.manifest.digest,
        "engine": fingerprint(Params.from_mapping(settings.method)),
        "max_leverage": settings.max_leverage,
    }
    if config.setdefault("timeframe_detail", DETAIL) != DETAIL:
        log.warning(
            "timeframe_detail is %s: entries and exits are looked at once in that time, not each second",
            config["timeframe_detail"],
        )


def _span(config: Config, candle_s: int, startup_candles: int) -> tuple[int, int]:
    """The seconds that FreqTrade will ask for: start-up candles, the time range, the candle it ends with."""
    asked = TimeRange.parse_timerange(config.get("timerange"))
    startup = max(startup_candles, int(config.get("startup_candle_count") or 0))
    start = asked.startts - startup * candle_s if asked.startts else 0
    return max(start, 0), asked.stopts + candle_s if asked.stopts else 2**40


def _markets(
    config: Config, settings: Settings, instruments: Collection[Instrument]
) -> Mapping[str, AssetMarkets]:
    """The markets of each pair that is asked for and known, at most ``max_symbols``, the others named."""
    exchange = config["exchange"]["name"]
    kind = MarketKind.SPOT
    if config.get("trading_mode", TradingMode.SPOT) == TradingMode.FUTURES:
        kind = MarketKind.PERP
    asked = config.get("pairs") or config["exchange"]["pair_whitelist"]
    found: dict[str, AssetMarkets] = {}
    missing = []
    for pair in expand_pairlist(asked, _known_pairs(instruments, kind), keep_invalid=True):
        try:
            found[pair] = pair_markets(instruments, exchange, pair, settings.quotes, settings.references)
        except UnknownInstrumentError as error:
            missing.append(pair)
            log.warning("%s", error)
    if not found:
        known = ", ".join(_known_pairs(instruments, kind)) or "none"
        raise UnknownInstrumentError(
            f"the store knows no market of {', '.join(missing) or 'the whitelist'} on {exchange};"
            f" it knows {known}; nothing is run"
        )
    kept = dict(list(found.items())[: settings.max_symbols])
    if len(kept) < len(found):
        left = ", ".join(pair for pair in found if pair not in kept)
        log.warning("max_symbols is %d: %s are left out", settings.max_symbols, left)
    return kept


def _known_pairs(instruments: Collection[Instrument], kind: MarketKind) -> list[str]:
    """The pairs of the store's markets in FreqTrade's spelling."""
    settle = {MarketKind.SPOT: ""}
    names = (
        f"{item.base}/{item.quote}" + settle.get(kind, f":{item.settle}")
        for item in instruments
        if item.kind is kind
    )
    return sorted(set(names))
