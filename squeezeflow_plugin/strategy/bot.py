"""The FreqTrade strategy: FreqTrade's callbacks, answered from a ``Session`` or, in analysis, ``Offline``.

FreqTrade trades no timeframe under a minute, so the host timeframe is 1m and the second lives inside it:
``bot_loop_start`` blocks until the next second has closed and decides it, and the candle's frame is a view
of that. In analysis (backtesting, hyperopt, lookahead and recursive analysis, plots, the webserver) the
constructor brings the data, nothing of FreqTrade's is swapped, and the seconds are decided from the frame.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from freqtrade.constants import Config
from freqtrade.enums import RunMode, TradingMode
from freqtrade.exceptions import OperationalException
from freqtrade.exchange import timeframe_to_seconds
from freqtrade.persistence import Order, Trade

from squeezeflow_plugin import __version__
from squeezeflow_plugin.clock import Clock, SystemClock
from squeezeflow_plugin.errors import SqueezeFlowError, UnknownInstrumentError
from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.phases.engine import fingerprint
from squeezeflow_plugin.phases.layout import COLUMN_NAMES
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.phases.ranges import longest
from squeezeflow_plugin.phases.sizing import leverage_for, stake_for
from squeezeflow_plugin.phases.tags import EnterTag, parse_tag
from squeezeflow_plugin.provider import dataprovider
from squeezeflow_plugin.provider.fastpath import open_fast_path
from squeezeflow_plugin.provider.judging import StoredJudge
from squeezeflow_plugin.settings import Settings, load
from squeezeflow_plugin.store.decisions import DecisionLog
from squeezeflow_plugin.store.registry import open_store
from squeezeflow_plugin.strategy.columns import (
    LOGGED,
    decision_columns,
    flow_columns,
    signal_columns,
    starts_of,
    with_columns,
    with_flow,
)
from squeezeflow_plugin.strategy.informed import InformedStrategy, ShownOf, informative_columns
from squeezeflow_plugin.strategy.loader import bring_data, needs_data
from squeezeflow_plugin.strategy.loss import NOISE_EVENTS
from squeezeflow_plugin.strategy.messages import entered, left
from squeezeflow_plugin.strategy.offline import Offline, startup_candles
from squeezeflow_plugin.strategy.opening import wait_for_store
from squeezeflow_plugin.strategy.pairs import LiveCandles, PairChoice
from squeezeflow_plugin.strategy.plots import PlottedStrategy
from squeezeflow_plugin.strategy.prompt import PromptStrategy
from squeezeflow_plugin.strategy.protections import PROTECTIONS
from squeezeflow_plugin.strategy.quiet import QuietStrategy
from squeezeflow_plugin.strategy.records import (
    epoch_second,
    fill_of,
    is_taken,
    name_event,
    open_trade,
    open_trades,
    was_traded,
)
from squeezeflow_plugin.strategy.search import SearchedStrategy
from squeezeflow_plugin.strategy.session import Session
from squeezeflow_plugin.strategy.trades import Decider, Fill, OpenTrade
from squeezeflow_plugin.strategy.vetoes import RefusalLog

log = logging.getLogger(__name__)


class SqueezeFlowStrategy(QuietStrategy, PromptStrategy, SearchedStrategy, InformedStrategy, PlottedStrategy):
    """Trades the score of one-second spot and perpetual flow; ``user_data/strategies`` subclasses it."""

    INTERFACE_VERSION = 3
    timeframe = "1m"
    process_only_new_candles = False
    startup_candle_count = 120
    stoploss = -0.08
    minimal_roi: ClassVar = {"0": 100.0}
    use_exit_signal = True
    exit_profit_only = False
    ignore_roi_if_entry_signal = False
    order_types: ClassVar = {
        "entry": "market",
        "exit": "market",
        "stoploss": "market",
        "stoploss_on_exchange": False,
    }
    order_time_in_force: ClassVar = {"entry": "GTC", "exit": "GTC"}

    @property
    def protections(self) -> list[dict[str, Any]]:
        """Those that are always on and those that the parameter file asks for."""
        return [*(dict(each) for each in PROTECTIONS), *super().protections]

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.can_short = config.get("trading_mode", TradingMode.SPOT) == TradingMode.FUTURES
        self._session: Session | None = None
        self._pairs: PairChoice | None = None
        self._decider: Decider | None = None
        self._offline: Offline | None = None
        self._refusals = RefusalLog()
        self._searching = config.get("runmode") == RunMode.HYPEROPT
        timeframe = config.get("timeframe") or self.timeframe
        if needs_data(config, timeframe):
            self._go_offline(config, timeframe)

    def _go_offline(self, config: Config, timeframe: str) -> None:
        """Bring the data of an analysis command; what is missing becomes FreqTrade's own kind of error."""
        try:
            settings = self.tuned(load(config.get("squeezeflow")))
            params = Params.from_mapping(settings.method)
            remembered = longest(params) if self._searching else params
            self.startup_candle_count = startup_candles(remembered, timeframe)
            data = bring_data(config, settings, timeframe, self.startup_candle_count)
        except SqueezeFlowError as error:
            raise OperationalException(f"SqueezeFlow: {error}") from error
        markets = {pair: part.markets for pair, part in data.manifest.pairs.items()}
        judge = StoredJudge(settings, markets)
        self._offline, self._settings = Offline(data, params, judge=judge), settings
        if self._searching:
            self._offline.record()

    def version(self) -> str:
        return __version__

    def make_clock(self) -> Clock:
        """The clock the bot lives by; a rehearsal overrides it."""
        return SystemClock()

    def decide_by(self, decider: Decider, settings: Settings) -> None:
        """Take entries and exits from ``decider``: a backtest says so before it starts the strategy."""
        self._decider, self._settings = decider, settings

    def bot_start(self, **_kwargs: Any) -> None:
        """Open the store, read the timelines and put our candles under FreqTrade; in dry-run and live only.

        Raises a SqueezeFlowError, which stops the bot's start, where anything is missing.
        """
        if self.dp.runmode not in dataprovider.LIVE_MODES:
            if self._decider is None and self._offline is None:
                log.info("run mode %s: seconds are scored in dry-run and live only", self.dp.runmode.value)
            return
        dataprovider.check_version()
        settings = self.tuned(load(self.config.get("squeezeflow")))
        logging.getLogger("squeezeflow_plugin").setLevel(settings.log_level)
        clock = self.make_clock()
        store = open_store(settings)
        wait_for_store(store, settings, clock)
        pairs = PairChoice(settings, self.config["exchange"]["name"])
        trades = open_trades()
        markets = pairs.choose(store.instruments(), self.dp.current_whitelist(), [t.pair for t in trades])
        if not markets:
            asked = ", ".join(self.dp.current_whitelist()) or "an empty whitelist"
            raise UnknownInstrumentError(f"the store has no market of {asked}; the bot does not start")
        engine = fingerprint(Params.from_mapping(settings.method))
        decisions = DecisionLog(settings.decisions_path, LOGGED, engine, keep_s=settings.decision_keep_s)
        fast_path = open_fast_path(settings, LOGGED, engine)
        session = Session(store, decisions, settings, markets, clock, fast_path)
        session.start(trades)
        dataprovider.install(self.dp, LiveCandles(session, pairs))
        self._session, self._decider, self._settings, self._pairs = session, session, settings, pairs

    def ft_bot_cleanup(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = self._decider = None
        super().ft_bot_cleanup()

    def bot_loop_start(self, current_time: datetime, **_kwargs: Any) -> None:  # noqa: ARG002 - FreqTrade's signature
        """Block until the next second has closed, decide it and every one that is pending."""
        if self._session is None or self._pairs is None:
            return
        self.analyze_waiting(self._session.is_idle)
        trades = open_trades()
        held, whitelist = [trade.pair for trade in trades], self.dp.current_whitelist()
        if self._pairs.is_new(whitelist, held):
            self._session.score(self._pairs.choose(self._session.instruments(), whitelist, held), trades)
        self._session.advance(trades)

    def ordering(self) -> Collection[str]:
        """The pairs whose entry is open or whose trade must be left."""
        return () if self._session is None else self._session.ordering

    def populate_indicators(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
        """Scores and phases beside the candles: as last decided within each, the forming one as of now.

        Informative columns are those of the newest candle of theirs that was complete by then.
        """
        session, pair = self._session, metadata["pair"]
        starts = starts_of(dataframe)
        candle_s = timeframe_to_seconds(self.timeframe)
        decided = np.full((len(COLUMN_NAMES), len(dataframe)), np.nan)
        highs, params = np.full(len(dataframe), np.nan), Params()
        known, added = starts + candle_s, signal_columns(len(starts))
        shown_of: ShownOf | None = None
        if self._offline is not None:
            scored = self._offline.score(pair, starts.tolist(), candle_s)
            added = {"armed": 0 if scored is None else scored.armed}
            if scored is not None:
                decided, highs, params = scored.at_close, scored.score_high, self._offline.params
                shown_of = partial(self._offline.informative, pair)
                dataframe = with_flow(dataframe, self._offline.candles(pair, candle_s))
        elif session is not None and pair in session.pairs:
            timeline, params = session.desk.timelines[pair], session.params
            decided, highs = (
                timeline.decisions_at_close(starts.tolist()),
                timeline.score_highs(starts.tolist()),
            )
            shown_of = timeline.informative
            known = np.minimum(known, timeline.next_second)
        columns = decision_columns(decided, highs, params) | informative_columns(shown_of, known)
        if session is not None and len(dataframe):
            columns["veto"][-1] = session.reason(pair)
        return with_columns(dataframe, columns | flow_columns(dataframe) | added)

    def populate_entry_trend(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
        """The entry that is open now, on the forming candle: the only row FreqTrade looks at."""
        if self._offline is not None:
            return self._armed(self._epoch(dataframe, metadata["pair"]) if self._searching else dataframe)
        if "enter_long" not in dataframe.columns:  # a subclass made its own frame
            dataframe = dataframe.assign(enter_long=0, enter_short=0)
        pair = metadata["pair"]
        entry = self._session.entry(pair) if self._session is not None else None
        if entry is None or (entry.direction < 0 and not self.can_short) or is_taken(pair, entry):
            return dataframe
        last = dataframe.index[-1]
        dataframe.loc[last, "enter_long" if entry.direction > 0 else "enter_short"] = 1
        dataframe.loc[last, "enter_tag"] = str(entry.tag)
        return dataframe

    def seconds(self, pair: str, start: int, stop: int) -> Flow:
        """The pair's rows of ``[start, stop)`` that are known: those held live, in analysis the frame's.

        For strategies built on this one. Raises KeyError for a pair that is not scored, or not yet.
        """
        if self._offline is not None:
            return self._offline.flow(pair, start, stop)
        if self._decider is None:
            raise KeyError(pair)
        return self._decider.seconds(pair, start, stop)

    def populate_exit_trend(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:  # noqa: ARG002 - FreqTrade's signature
        """No exit is a candle's: ``custom_exit`` judges each trade by its own baseline."""
        made = {"exit_long", "exit_short"} <= set(dataframe.columns)
        return dataframe if made else dataframe.assign(exit_long=0, exit_short=0)

    def confirm_trade_entry(
        self,
        pair: str,
        order_type: str,  # noqa: ARG002 - FreqTrade's signature, as the following ones
        amount: float,  # noqa: ARG002
        rate: float,  # noqa: ARG002
        time_in_force: str,  # noqa: ARG002
        current_time: datetime,
        entry_tag: str | None,
        side: str,
        **_kwargs: Any,
    ) -> bool:
        """True only for an entry that is open now and was decided, logged and never traded before."""
        if self._offline is not None:
            return self._is_offered(pair, current_time, side)
        try:
            reason = self._refusal(pair, entry_tag, side)
        except Exception:  # any at all: FreqTrade takes whatever escapes from here for a yes
            log.exception("%s: the entry %s could not be checked, it is refused", pair, entry_tag)
            return False
        self._refusals.note(pair, str(entry_tag), reason)
        return not reason

    def custom_exit(
        self,
        pair: str,
        trade: Trade,
        current_time: datetime,
        current_rate: float,  # noqa: ARG002 - FreqTrade's signature, as the following one
        current_profit: float,  # noqa: ARG002
        **_kwargs: Any,
    ) -> str | None:
        """The name of the exit that was decided for the trade, None as long as none was."""
        if self._offline is not None:
            tag = parse_tag(trade.enter_tag)
            return self._offline.exit_name(pair, tag.second, epoch_second(current_time)) if tag else None
        return None if self._decider is None else self._decider.exit_name(pair, trade.id)

    def is_quiet(self, trade: Trade, current_time: datetime) -> bool:
        """In analysis: whether no exit of the method's is due at that second."""
        asked = self._offline is not None
        return asked and self.custom_exit(trade.pair, trade, current_time, 0.0, 0.0) is None

    def custom_stake_amount(
        self,
        pair: str,
        current_time: datetime,
        current_rate: float,  # noqa: ARG002 - FreqTrade's signature, as the following ones
        proposed_stake: float,
        min_stake: float | None,
        max_stake: float,
        leverage: float,  # noqa: ARG002
        entry_tag: str | None,
        side: str,  # noqa: ARG002
        **_kwargs: Any,
    ) -> float:
        """The configured stake times the factor of the score's tier."""
        tag = self._tag(pair, current_time, entry_tag)
        return proposed_stake if tag is None else stake_for(tag.score, proposed_stake, min_stake, max_stake)

    def leverage(
        self,
        pair: str,
        current_time: datetime,
        current_rate: float,  # noqa: ARG002 - FreqTrade's signature, as the following ones
        proposed_leverage: float,
        max_leverage: float,
        entry_tag: str | None,
        side: str,  # noqa: ARG002
        **_kwargs: Any,
    ) -> float:
        """The leverage of the score's tier, under the exchange's limit and ours."""
        tag = self._tag(pair, current_time, entry_tag)
        if tag is None or self._settings is None:
            return proposed_leverage
        return leverage_for(tag.score, max_leverage, self._settings.max_leverage)

    def order_filled(
        self, pair: str, trade: Trade, order: Order, current_time: datetime, **_kwargs: Any
    ) -> None:
        """Log the order and its fill beside the decisions; in analysis the trade learns its event here."""
        is_entry = order.ft_order_side == trade.entry_side
        if self._offline is not None and is_entry:
            name_event(trade, self._offline.offer(pair, epoch_second(current_time)))
        if self._session is None or not order.filled:
            return
        fill = fill_of(trade, order, current_time)
        tag = trade.enter_tag if is_entry else trade.exit_reason
        known = open_trade(trade, pair)
        self._session.filled(known, tag or "", fill)
        self.dp.send_msg(self._told(known, tag or "", fill, trade.leverage), always_send=True)

    def _told(self, trade: OpenTrade, tag: str, fill: Fill, leverage: float) -> str:
        """One line for Telegram and webhooks: why the trade was entered, or left."""
        if not fill.is_entry:
            return left(trade, tag, fill)
        event = None if self._session is None else self._session.event(trade.pair)
        return entered(trade, event, fill, leverage)

    def _epoch(self, dataframe: pd.DataFrame, pair: str) -> pd.DataFrame:
        """The frame with what an epoch of hyperopt decides, and the entry events that it finds on noise."""
        assert self._offline is not None  # noqa: S101 - the caller asked
        starts = starts_of(dataframe).tolist()
        params = self.searched_params(self._offline.params)
        armed, noise = self._offline.rescore(pair, starts, timeframe_to_seconds(self.timeframe), params)
        return dataframe.assign(armed=armed, **{NOISE_EVENTS: noise})

    def _armed(self, dataframe: pd.DataFrame) -> pd.DataFrame:
        """The side on which each following candle's seconds are asked about in ``confirm_trade_entry``."""
        armed = dataframe["armed"]
        return dataframe.assign(
            enter_long=(armed > 0).astype(int), enter_short=((armed < 0) & self.can_short).astype(int)
        )

    def _is_offered(self, pair: str, current_time: datetime, side: str) -> bool:
        assert self._offline is not None  # noqa: S101 - the caller asked
        offer = self._offline.offer(pair, epoch_second(current_time))
        if offer is None or offer.direction != (-1 if side == "short" else 1) or was_traded(pair, offer.tag):
            return False
        reason = self._offline.refusal(pair, offer)
        reason = reason or self.filter_reason(pair, str(offer.tag), offer.direction)
        self._refusals.note(pair, str(offer.tag), reason)
        return not reason

    def _tag(self, pair: str, current_time: datetime, entry_tag: str | None) -> EnterTag | None:
        """What is entered: FreqTrade's tag says it, or in analysis the second."""
        if self._offline is None:
            return parse_tag(entry_tag)
        offer = self._offline.offer(pair, epoch_second(current_time))
        return None if offer is None else offer.tag

    def _refusal(self, pair: str, entry_tag: str | None, side: str) -> str:
        tag = parse_tag(entry_tag)
        if self._decider is None:
            return "no second is decided in this run mode"
        if tag is None:
            # FreqTrade asks for an entry by hand only where its configuration allows them.
            by_hand = bool(self.config.get("force_entry_enable"))
            return "" if by_hand else "it is no entry of this strategy's"
        if was_traded(pair, tag):
            return "the event was traded before"
        direction = -1 if side == "short" else 1
        return self._decider.confirm(pair, tag, direction) or self.filter_reason(pair, entry_tag, direction)
