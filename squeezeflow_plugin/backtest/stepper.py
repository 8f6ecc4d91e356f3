"""FreqTrade's Backtesting, second by second: its trade logic, our rows.

**Decision and fill.** The row of second i is known once the second has closed, some 0.4 s after its end, and
a live order follows then. So what was decided at i acts at the open of second i + 1 + delay (the delay is
1 s unless it is set): an entry or exit decided at 10:00:00 fills at the open of 10:00:02. FreqTrade's stop
loss, liquidation and return targets are the exchange's or the bot's standing orders and act within the row in
which the price reaches them. Slippage, where it is set, is a share of the price by which every entry and
every exit fills worse.

**What is FreqTrade's and what is ours.** Entries, orders, fills, stakes, leverage, fees, funding, stops,
targets, wallets, locks and protections are FreqTrade's code. Ours are the rows: two-hour chunks of the
store's final view, decided by the engine, handed to FreqTrade only where something can happen
(``schedule``). Nothing is kept of a chunk but what the report shows, so a month needs the memory of a day.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from freqtrade.configuration import TimeRange
from freqtrade.constants import Config
from freqtrade.enums import BacktestState, TradingMode
from freqtrade.exchange import timeframe_to_seconds
from freqtrade.optimize.backtesting import HIGH_IDX, LOW_IDX, Backtesting
from freqtrade.persistence import LocalTrade, disable_database_use
from freqtrade.plugins.protectionmanager import ProtectionManager
from freqtrade.strategy import IStrategy
from freqtrade.strategy.strategy_wrapper import strategy_safe_wrapper

from squeezeflow_plugin.backtest.exchange import SecondsExchange
from squeezeflow_plugin.backtest.flows import Chunk, chunks
from squeezeflow_plugin.backtest.noise import NoiseCount
from squeezeflow_plugin.backtest.results import run_by_tier
from squeezeflow_plugin.backtest.rows import PairRows, Row
from squeezeflow_plugin.backtest.schedule import Look, Schedule
from squeezeflow_plugin.backtest.series import Series, grid_of
from squeezeflow_plugin.backtest.window import Window
from squeezeflow_plugin.bars.flow import AssetMarkets
from squeezeflow_plugin.errors import SettingsError
from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.features.layout import INPUT_NAMES
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.phases.tags import EnterTag, parse_tag
from squeezeflow_plugin.provider.datadir import FUNDING_S
from squeezeflow_plugin.provider.decisions import AssetDecisions
from squeezeflow_plugin.provider.judging import StoredJudge
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.contract import BarStore

log = logging.getLogger(__name__)

HOST_TIMEFRAME = "1m"
"""The timeframe the live bot runs at: candles that locks and protections count are of this length."""


@dataclass(frozen=True)
class Rules:
    """How decisions become fills: ``delay_s`` seconds late, ``slippage`` a share of the price worse.

    With ``skip`` off FreqTrade sees every second, for comparisons; ``noise`` counts events on noise too.
    """

    delay_s: int = 1
    slippage: float = 0.0
    skip: bool = True
    noise: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.delay_s <= 60:
            raise SettingsError(f"--delay must be in 0..60 seconds, was {self.delay_s}; nothing is run")
        if not 0.0 <= self.slippage <= 0.05:
            raise SettingsError(
                f"--slippage must be a share of the price in 0..0.05, was {self.slippage}; nothing is run"
            )


@dataclass(frozen=True)
class Source:
    """Where the seconds come from, and the settings that a live bot would have."""

    store: BarStore
    markets: Mapping[str, AssetMarkets]
    window: Window
    settings: Settings

    @property
    def params(self) -> Params:
        return Params.from_mapping(self.settings.method)


@dataclass
class Progress:
    """What a run counts beside FreqTrade's own results."""

    chunks: int = 0
    seconds_seen: int = 0
    traded_quote: dict[str, float] = field(default_factory=dict)
    revised_quote: dict[str, float] = field(default_factory=dict)


class SecondsBacktesting(Backtesting):  # type: ignore[misc]  # FreqTrade ships no types
    """One strategy over one window; ``decisions``, ``series`` and ``counts`` are for the report."""

    def __init__(self, config: Config, exchange: SecondsExchange, source: Source, rules: Rules) -> None:
        self.source, self.rules = source, rules
        self.decisions: dict[str, AssetDecisions] = {}
        self.noise: dict[str, NoiseCount] = {}
        self.series: dict[str, Series] = {}
        self.counts = Progress()
        self._recent: dict[str, tuple[Flow, ...]] = {}
        self._judge = StoredJudge(source.settings, source.markets)
        self._rows: dict[str, PairRows] = {}
        self._now = self._captured = source.window.start
        self._seen_until: dict[int, int] = {}
        self._frames: dict[str, pd.DataFrame] = {}
        self._marks: dict[str, pd.DataFrame] = {}
        futures = config["trading_mode"] == TradingMode.FUTURES
        self.funding_rate: float = (config.get("futures_funding_rate") or 0.0) if futures else 0.0
        super().__init__(config, exchange=exchange)
        self.timeframe_min = 1  # FreqTrade divides by it; a second is 0 minutes

    # --- what FreqTrade would load -------------------------------------------------------------------------

    def start(self) -> None:
        """Run it; FreqTrade's tables are made, not printed, and its database is in use again afterwards."""
        try:
            run_by_tier(self)
        finally:
            self.cleanup()

    def load_bt_data(self) -> tuple[dict[str, pd.DataFrame], TimeRange]:
        """Nothing is loaded ahead: the frames, one candle a minute, are filled while the seconds are read."""
        self._load_bt_data_detail()
        self.available_pairs = list(self.pairlists.whitelist)
        return self._frames, self.timerange

    def _load_bt_data_detail(self) -> None:
        self.detail_data: dict[str, pd.DataFrame] = {}
        self.futures_data = {}
        self.funding_fee_timeframe_secs = timeframe_to_seconds(
            self.exchange.get_option("funding_fee_timeframe")
        )
        if self.trading_mode == TradingMode.FUTURES:
            self._refuse_untiered()
            self.futures_data = {pair: pd.DataFrame() for pair in self.pairlists.whitelist}

    def _refuse_untiered(self) -> None:
        tiers = self.exchange._leverage_tiers  # noqa: SLF001 - as FreqTrade's own check does
        missing = [pair for pair in self.pairlists.whitelist if pair not in tiers]
        if missing and self.exchange.get_option("uses_leverage_tiers", True):
            raise SettingsError(
                f"{', '.join(missing)}: {self.exchange.name} has no leverage tiers for it; nothing is run"
            )

    def backtest_one_strategy(
        self,
        strat: IStrategy,
        data: dict[str, pd.DataFrame],  # noqa: ARG002 - FreqTrade's signature
        timerange: TimeRange,  # noqa: ARG002
    ) -> tuple[dt.datetime, dt.datetime]:
        """Run the strategy on the window; its frames are not analysed, the engine decides."""
        if not hasattr(strat, "decide_by"):
            raise SettingsError(
                f"strategy {strat.get_strategy_name()} does not take its entries from seconds: it must be a "
                "subclass of SqueezeFlowStrategy; nothing is run"
            )
        strat.decide_by(self, self.source.settings)
        self._set_strategy(strat)
        window = self.source.window
        first, last = _moment(window.start), _moment(window.stop - 1)
        began = dt.datetime.now(dt.UTC)
        results = self.backtest(processed={}, start_date=first, end_date=last)
        results["run_id"] = self.run_ids.get(strat.get_strategy_name(), "")
        results["backtest_start_time"] = int(began.timestamp())
        results["backtest_end_time"] = int(dt.datetime.now(dt.UTC).timestamp())
        self.all_bt_content[strat.get_strategy_name()] = results
        return first, last

    def _get_ohlcv_as_lists(self, processed: dict[str, pd.DataFrame]) -> dict[str, PairRows]:  # noqa: ARG002 - FreqTrade's signature
        return self._rows

    # --- the loop over time --------------------------------------------------------------------------------

    def time_pair_generator(
        self,
        start_date: dt.datetime,  # noqa: ARG002 - FreqTrade's signature, the window says it
        end_date: dt.datetime,  # noqa: ARG002
        pairs: list[str],  # noqa: ARG002
        data: Mapping[str, PairRows],  # noqa: ARG002
    ) -> Iterator[tuple[dt.datetime, str, Row, bool, str | None]]:
        """The rows FreqTrade must see, in order of time, pairs with open trades first."""
        source, window = self.source, self.source.window
        for pair in self.pairlists.whitelist:
            self._rows[pair] = PairRows(self.rules.delay_s)
            self.decisions[pair] = AssetDecisions(source.params, window.start)
            self.series[pair] = Series(window.start, window.stop)
            if self.rules.noise:
                self.noise[pair] = NoiseCount(source.params, window.start, seed=len(self.noise))
        schedule = Schedule(
            self._rows,
            self.strategy,
            self.funding_fee_timeframe_secs if self.funding_rate else 0,
            stacking=self._position_stacking,
        )
        markets = {pair: source.markets[pair] for pair in self._rows}
        self._set_progress_step(BacktestState.BACKTEST, window.stop - window.read_from)
        for chunk in chunks(source.store, markets, window.read_from, window.stop):
            self.check_abort()
            self._decide(chunk)
            yield from self._walk(schedule, max(chunk.start, window.start + 1), chunk.stop)
            self._increment_progress(chunk.stop - chunk.start)
        for pair, series in self.series.items():
            self._frames[pair] = series.candles()

    def _decide(self, chunk: Chunk) -> None:
        self.counts.chunks += 1
        for pair, asset in chunk.assets.items():
            signals = self.decisions[pair].decide(asset.flow)
            self._rows[pair].load(asset.flow, signals)
            self._recent[pair] = (*self._recent.get(pair, ())[-1:], asset.flow)
            self.series[pair].add(asset)
            self._note_marks(pair, asset.flow)
            if pair in self.noise:
                self.noise[pair].add(asset.flow)
            if chunk.stop > self.source.window.start:
                for total, part in (
                    (self.counts.traded_quote, asset.traded_quote),
                    (self.counts.revised_quote, asset.revised_quote),
                ):
                    total[pair] = total.get(pair, 0.0) + part

    def _note_marks(self, pair: str, flow: Flow) -> None:
        """Where a funding rate is configured: the prices at the times of funding stand for mark prices."""
        if not self.funding_rate or len(flow) == 0:
            return
        due = np.flatnonzero(flow.time % FUNDING_S == 0)
        dates = pd.to_datetime(flow.time[due] * 1000, unit="ms", utc=True)
        marks = self._marks.get(pair, pd.DataFrame())
        self._marks[pair] = pd.concat([marks, pd.DataFrame({"date": dates, "open": flow.open[due]})])
        none = pd.DataFrame({"date": dates[:0], "funding_rate": []})
        self.futures_data[pair] = self.exchange.combine_funding_and_mark(
            none, self._marks[pair].reset_index(drop=True), self.funding_rate
        )

    def _walk(
        self, schedule: Schedule, second: int, stop: int
    ) -> Iterator[tuple[dt.datetime, str, Row, bool, str | None]]:
        last = self.source.window.stop - 1
        while second < stop:
            look: Look | None = Look(second, frozenset(self._rows))
            if self.rules.skip:
                trades = LocalTrade.bt_trades_open_pp
                look = schedule.next_look(second, stop, trades, self._exits_due())
            self._capture_until(stop if look is None else look.second)
            if look is None:
                break
            self._now = second = look.second
            self.counts.seconds_seen += 1
            now = _moment(second)
            strategy_safe_wrapper(self.strategy.bot_loop_start, supress_error=True)(current_time=now)
            self.dataprovider._set_dataframe_max_date(now)  # noqa: SLF001 - as FreqTrade's own loop does
            for pair in dict.fromkeys([*(trade.pair for trade in LocalTrade.bt_trades_open), *self._rows]):
                row = self._rows[pair].row(second) if pair in look.pairs else None
                if row is not None:
                    self._note_extremes(pair, second)
                    yield now, pair, row, second == last, self.check_for_trade_entry(row)
            second += 1
        for pair in self._rows:
            self._note_extremes(pair, stop)

    def _capture_until(self, second: int) -> None:
        """Note the wallet at each point of the grid before ``second``; between looks it stays the same."""
        grid = grid_of(len(self.source.window))
        while self._captured < second:
            at, self._captured = self._captured, self._captured + grid
            moment = _moment(at)
            self._capture_wallet(moment, self.config["stake_currency"], 1.0)
            for pair, rows in self._rows.items():
                price = rows.open_at(at)
                if price is not None:
                    self._capture_wallet(moment, pair.split("/")[0], price)

    def _exits_due(self) -> dict[int, int]:
        """The seconds at which the decided exits of open trades act, by the trade's id."""
        due = {}
        for trade in LocalTrade.bt_trades_open:
            found = self._exit_of(trade)
            if found is not None:
                due[trade.id] = found[0]
        return due

    def _note_extremes(self, pair: str, second: int) -> None:
        """Tell the open trades the highest and lowest price of the rows since they were last looked at."""
        rows = self._rows[pair]
        for trade in LocalTrade.bt_trades_open_pp[pair]:
            opened = int(trade.open_date_utc.timestamp())
            since = max(self._seen_until.get(trade.id, opened + 1), rows.first)
            self._seen_until[trade.id] = second + 1
            if since < second and trade.has_open_position:
                part = slice(since - rows.first, second - rows.first)
                trade.adjust_min_max_rates(float(rows.high[part].max()), float(rows.low[part].min()))

    # --- the strategy asks ---------------------------------------------------------------------------------

    def confirm(self, pair: str, tag: EnterTag, direction: int) -> str:
        """As the strategy's ``Decider``: empty where the entry may be taken at the second at hand."""
        signal = self._rows[pair].signal(self._now)
        if signal is None or (signal.event.tag, signal.event.direction) != (tag, direction):
            return "no such entry is open"
        return self._judge.refusal(pair, tag.second, direction)

    def seconds(self, pair: str, start: int, stop: int) -> Flow:
        """As the strategy's ``Decider``: the rows of ``[start, stop)`` in this chunk and the one before."""
        flows = self._recent[pair]
        parts = [flow.part(*np.searchsorted(flow.time, (start, stop))) for flow in flows if len(flow)]
        names = ("time", *INPUT_NAMES)
        return Flow(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def exit_name(self, pair: str, trade_id: int) -> str | None:
        """As the strategy's ``Decider``: the exit that acts by now on an open trade."""
        for trade in LocalTrade.bt_trades_open_pp[pair]:
            if trade.id == trade_id:
                found = self._exit_of(trade)
                return found[1] if found is not None and found[0] <= self._now else None
        return None

    def _exit_of(self, trade: LocalTrade) -> tuple[int, str] | None:
        """The second at which the trade's decided exit acts, and its name."""
        tag = parse_tag(trade.enter_tag)
        found = None if tag is None else self.decisions[trade.pair].exits.get(tag.second)
        return None if found is None else (self._rows[trade.pair].acts_at(found.second), found.name)

    # --- fills ---------------------------------------------------------------------------------------------

    def get_valid_entry_price_and_stake(
        self, pair: str, row: Row, propose_rate: float, *args: Any, **kwargs: Any
    ) -> tuple[float, float, float, float]:
        """FreqTrade's, at a price that is worse by the slippage."""
        direction = args[1] if len(args) > 1 else kwargs["direction"]
        worse = propose_rate * (1 + self.rules.slippage * (-1 if direction == "short" else 1))
        found: tuple[float, float, float, float] = super().get_valid_entry_price_and_stake(
            pair, row, worse, *args, **kwargs
        )
        return found

    def _get_close_rate(self, row: Row, trade: LocalTrade, *args: Any) -> float:
        rate: float = super()._get_close_rate(row, trade, *args)
        return rate * (1 - self.rules.slippage * (-1 if trade.is_short else 1))

    def _get_order_filled(self, rate: float, row: Row) -> bool:
        low, high = row[LOW_IDX] * (1 - self.rules.slippage), row[HIGH_IDX] * (1 + self.rules.slippage)
        return bool(low <= rate <= high)

    def get_pair_precision(self, pair: str, current_time: dt.datetime) -> tuple[float | None, int]:  # noqa: ARG002 - FreqTrade's signature
        """The exchange's precision: no later price says what it was."""
        return self.exchange.get_precision_price(pair), self.precision_mode_price

    # --- what FreqTrade counts in candles ------------------------------------------------------------------

    def disable_database_use(self) -> None:
        """As FreqTrade's; locks end with a candle of the live bot's timeframe."""
        disable_database_use(HOST_TIMEFRAME)

    def _load_protections(self, strategy: IStrategy) -> None:
        if self.enable_protections:
            host = {**self.config, "timeframe": HOST_TIMEFRAME}
            self.protections = ProtectionManager(host, strategy.protections)


def _moment(second: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(second, dt.UTC)
