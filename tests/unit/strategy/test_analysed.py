"""The analysed frame of a live bot against one that is put together anew, column by column, row by row."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from freqtrade.data.dataprovider import DataProvider
from freqtrade.enums import CandleType, RunMode, TradingMode
from freqtrade.persistence import LocalTrade, disable_database_use, enable_database_use

from squeezeflow_plugin.collector.flowpage.telling import phase_of
from squeezeflow_plugin.phases.layout import COLUMN_NAMES, VETO_NAMES
from squeezeflow_plugin.provider.candles import candle_frame
from squeezeflow_plugin.provider.dataprovider import install
from squeezeflow_plugin.provider.informative import SHOWN_INFORMATIVE, TIMEFRAMES, informative_frame
from squeezeflow_plugin.strategy.bot import SqueezeFlowStrategy
from squeezeflow_plugin.strategy.columns import SHOWN
from squeezeflow_plugin.strategy.pairs import LiveCandles, PairChoice
from tests.reference.flows import Episode, scripted_frame
from tests.unit.provider.records import Script, script
from tests.unit.strategy.test_session import PAIR, Stage

STEPS = {
    "": math.nan,
    "warming_up": 0.0,
    "quiet": 0.0,
    "short_squeeze": 1.0,
    "long_squeeze": -1.0,
    "divergence_long": 2.0,
    "divergence_short": -2.0,
    "reset_long": 3.0,
    "reset_short": -3.0,
    "entry_long": 4.0,
    "entry_short": -4.0,
}


@pytest.fixture(scope="module")
def told() -> Script:
    """An episode whose bars are often known late, so that finished candles are revised."""
    return script(scripted_frame(5, 8_700, (Episode(6_600, 1),)), seed=5, late=0.05)


@pytest.fixture(autouse=True)
def no_trades() -> Iterator[None]:
    """FreqTrade's records without a database, and empty."""
    disable_database_use("1m")
    LocalTrade.reset_trades()
    yield
    LocalTrade.reset_trades()
    enable_database_use()


def bot_of(stage: Stage) -> SqueezeFlowStrategy:
    config: dict[str, Any] = {"trading_mode": TradingMode.SPOT, "candle_type_def": CandleType.SPOT}
    config |= {"runmode": RunMode.DRY_RUN, "timeframe": "1m"}
    bot = SqueezeFlowStrategy(config)
    bot.dp = DataProvider(config, None)
    install(bot.dp, LiveCandles(stage.session, PairChoice(stage.settings, "binance")))
    bot._session = bot._decider = stage.session
    return bot


def slowly_analysed(stage: Stage) -> pd.DataFrame:
    """What FreqTrade is to be given for the newest second, nothing of it from an earlier one."""
    session, timeline = stage.session, stage.session.desk.timelines[PAIR]
    rows = timeline.rows
    first, stop = rows.first_priced or 0, rows.stop
    values = rows.values(first, stop)
    frame = candle_frame(values, first, 60)
    starts = [int(date.timestamp()) for date in frame["date"]]
    decided = [timeline.decisions_at_close([start])[:, 0] for start in starts]
    named = [dict(zip(COLUMN_NAMES, row.tolist(), strict=True)) for row in decided]
    known = [math.nan if math.isnan(row["ready"]) else 1.0 for row in named]
    for name in SHOWN:
        frame[name] = [row[name] for row in named]
    labels = ["" if math.isnan(row["ready"]) else phase_of(row) for row in named]
    frame["score_high"] = timeline.score_highs(starts)
    frame["score_least"] = np.array(known) * session.params.min_score
    frame["divergence_high"] = np.array(known) * session.params.div_threshold
    frame["divergence_low"] = -np.array(known) * session.params.div_threshold
    frame["phase_step"] = [STEPS[label] for label in labels]
    frame["phase"] = labels
    frame["veto"] = ["" if math.isnan(row["ready"]) else VETO_NAMES[int(row["veto_code"])] for row in named]
    frame.loc[frame.index[-1], "veto"] = session.reason(PAIR)
    for timeframe, seconds in TIMEFRAMES.items():
        candles = informative_frame(values, first, seconds)
        ends = [int(date.timestamp()) + seconds for date in candles["date"]]
        places = [sum(end <= min(start + 60, stop) for end in ends) - 1 for start in starts]
        for name in SHOWN_INFORMATIVE[timeframe]:
            column = candles[name].tolist()
            frame[f"{name}_{timeframe}"] = [math.nan if at < 0 else column[at] for at in places]
    frame["flow_spot"] = frame["spot_buy"] - frame["spot_sell"]
    frame["flow_perp"] = frame["perp_buy"] - frame["perp_sell"]
    frame["enter_tag"] = ""
    frame["enter_long"], frame["enter_short"] = 0, 0
    frame["exit_tag"] = ""
    frame["exit_long"], frame["exit_short"] = 0, 0
    entry = session.entry(PAIR)
    if entry is not None:
        frame.loc[frame.index[-1], "enter_long"] = 1
        frame.loc[frame.index[-1], "enter_tag"] = str(entry.tag)
    return frame


def test_the_frame_of_each_second_is_the_one_made_anew(told: Script, tmp_path: Path) -> None:
    first = told.records[0].second
    stage = Stage(told, first + 8_290, tmp_path)
    bot = bot_of(stage)
    entered, revised = 0, 0
    for second in range(first + 8_290, first + 8_315):
        stage.run_to(second)
        revised += stage.session.desk.timelines[PAIR].rows.revised_from < second - second % 60
        bot.analyze_pair(PAIR)
        found, _ = bot.dp.get_analyzed_dataframe(PAIR, "1m")
        pd.testing.assert_frame_equal(found, slowly_analysed(stage), check_exact=True)
        entered += int(found["enter_long"].iloc[-1])
    assert entered
    assert revised
