"""What FreqTrade's REST API and its messages show of the strategy: columns, plots, status, and consumers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from freqtrade.persistence import Trade

from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.phases.tags import parse_tag
from squeezeflow_plugin.provider.dataprovider import SqueezeFlowDataProvider
from squeezeflow_plugin.provider.digest import INPUTS
from squeezeflow_plugin.settings import process_environ
from squeezeflow_plugin.strategy.plots import plotted_columns
from tests.integration.rehearsal import (
    PAIR,
    USER_DATA,
    WS_TOKEN,
    Rehearsal,
    Story,
)

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(240)]


def newest_candle(answer: dict[str, Any]) -> dict[str, Any]:
    return dict(zip(answer["columns"], answer["data"][-1], strict=True))


def test_pair_candles_show_what_was_decided(rehearsal: Rehearsal, story: Story) -> None:
    rehearsal.run_to(story.event - 3)
    assert isinstance(rehearsal.bot.strategy.dp, SqueezeFlowDataProvider)
    answer = rehearsal.get("pair_candles?pair=BTC/USDT&timeframe=1m&limit=5")
    newest = newest_candle(answer)
    row = rehearsal.decisions()[-1]
    for name in set(row.columns) - {INPUTS}:
        assert newest[name] == pytest.approx(row.value(name), rel=1e-8), name
    assert newest["phase"] == "divergence_long"
    assert newest["phase_step"] == 2.0
    assert newest["score_high"] >= newest["score"]
    assert newest["veto"] == ""
    assert newest["close"] == pytest.approx(story.price(row.second))
    assert newest["flow_spot"] == pytest.approx(newest["spot_buy"] - newest["spot_sell"])
    assert {"date", "enter_long", "enter_tag", *plotted_columns()} <= set(answer["columns"])
    labels = {area["label"] for area in answer["annotations"]}
    assert "setup long" in labels
    asked = {"pair": PAIR, "timeframe": "1m", "limit": 2, "columns": ["score", "veto"]}
    assert {"date", "score", "veto"} <= set(rehearsal.get("pair_candles", asked)["columns"])


def test_a_veto_stands_in_the_newest_candle(rehearsal: Rehearsal, story: Story) -> None:
    rehearsal.clock.missing = {story.event - 3}
    rehearsal.run_to(story.event - 2)
    newest = newest_candle(rehearsal.get("pair_candles?pair=BTC/USDT&timeframe=1m&limit=5"))
    assert newest["veto"] == f"second {story.event - 3} was not closed in time"
    rehearsal.clock.missing = set()
    rehearsal.run_to(story.event - 1)
    rehearsal.bot.process()
    newest = newest_candle(rehearsal.get("pair_candles?pair=BTC/USDT&timeframe=1m&limit=5"))
    assert newest["veto"] == ""


def test_the_plot_configuration_is_freqtrades(rehearsal: Rehearsal) -> None:
    config = rehearsal.get("plot_config")
    assert set(config) == {"main_plot", "subplots"}
    drawn = [name for plot in config["subplots"].values() for name in plot] + list(config["main_plot"])
    assert (
        drawn == plotted_columns()[len(config["main_plot"]) :] + plotted_columns()[: len(config["main_plot"])]
    )
    assert len(drawn) <= 25


def test_status_and_messages_say_why(
    rehearsal: Rehearsal, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    queued = rehearsal.bot.rpc.process_msg_queue

    def overhear(queue: deque[str]) -> None:
        told.extend(queue)
        queued(queue)

    monkeypatch.setattr(rehearsal.bot.rpc, "process_msg_queue", overhear)
    rehearsal.run_to(story.event + 5)
    (status,) = rehearsal.get("status")
    tag = parse_tag(status["enter_tag"])
    assert tag is not None
    assert tag.second == story.event
    assert tag.note.startswith("div|reset")
    assert "|cov" in f"|{tag.note}"
    assert status["stop_loss_abs"] > status["open_rate"] * (1 + rehearsal.bot.strategy.stoploss), "the ATR's"
    rehearsal.run_to(story.exit.second + 5)
    entered, left = told
    assert entered.startswith(f"BTC/USDT long at {status['open_rate']:g}, score {tag.score:.2f} (")
    assert "spot z +" in entered
    assert f", {story.exit.name}: " in left
    (trade,) = Trade.get_trades()
    assert trade.exit_reason == story.exit.name


CONSUMER = '''
import json
from pathlib import Path

from freqtrade.strategy import IStrategy


class Consumer(IStrategy):
    """Writes down what the producer scored; a real one would trade on it."""

    timeframe = "1m"
    stoploss = -0.1
    minimal_roi = {"0": 10}
    process_only_new_candles = False

    def bot_loop_start(self, current_time, **kwargs):
        frame, analysed = self.dp.get_producer_df("BTC/USDT")
        if not frame.empty:
            row = frame.iloc[-1]
            said = {"date": str(row["date"]), "score": row["score"], "phase": row["phase"]}
            said |= {"rows": len(frame), "pairs": self.dp.get_producer_pairs()}
            Path("heard.json").write_text(json.dumps(said))

    def populate_indicators(self, dataframe, metadata):
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        return dataframe
'''


@pytest.fixture
def consumer(rehearsal: Rehearsal, tmp_path: Path) -> Iterator[Path]:
    """A second bot, a process of its own, that follows the rehearsed one; the file it writes."""
    folder = tmp_path / "consumer"
    (folder / "user_data" / "strategies").mkdir(parents=True)
    (folder / "user_data" / "strategies" / "consumer.py").write_text(CONSUMER)
    config = json.loads((USER_DATA / "config.json").read_text())
    config["exchange"]["pair_whitelist"] = [PAIR]
    config["exchange"]["ccxt_config"] |= {"urls": {"api": {"public": rehearsal.exchange_url}}}
    config["db_url"] = "sqlite:///consumer.sqlite"
    config["strategy"] = "Consumer"
    del config["squeezeflow"]
    config["external_message_consumer"] = {
        "enabled": True,
        "producers": [
            {"name": "default", "host": "127.0.0.1", "port": rehearsal.api_port, "ws_token": WS_TOKEN}
        ],
        "wait_timeout": 5,
        "sleep_time": 1,
    }
    (folder / "config.json").write_text(json.dumps(config))
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "freqtrade", "trade", "--config", "config.json"],
            cwd=folder,
            stdout=log,
            stderr=log,
            env=process_environ(),
        )
    try:
        yield folder / "heard.json"
    finally:
        process.terminate()
        process.wait(60)


def test_a_consumer_bot_receives_the_scores(rehearsal: Rehearsal, consumer: Path) -> None:
    clock = SystemClock()
    deadline = clock.now_ns() + 90 * NS_PER_SECOND
    while not consumer.exists():
        rehearsal.bot.process()  # each second that is decided is told
        clock.sleep_until(clock.now_ns() + NS_PER_SECOND // 2)
        assert clock.now_ns() < deadline, (consumer.parent / "log.txt").read_text()[-3000:]
    heard = json.loads(consumer.read_text())
    assert heard["pairs"] == [PAIR]
    assert heard["score"] is not None
    assert heard["phase"]
    decided = {row.value("score") for row in rehearsal.decisions()}
    assert any(heard["score"] == pytest.approx(score) for score in decided)
