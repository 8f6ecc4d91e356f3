"""FreqTrade itself, in dry-run: ``FreqtradeBot.process`` driven second by second on our store.

The clock is stepped, so two minutes of decisions take seconds; it stands minutes behind the real one,
because FreqTrade refuses candles that are older than seven.
"""

from __future__ import annotations

import base64
import gc
import json
import logging
import shutil
import socket
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from freqtrade.configuration import Configuration
from freqtrade.freqtradebot import FreqtradeBot
from freqtrade.persistence import Trade

from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.exits import Baseline, Exit, first_exit
from squeezeflow_plugin.provider.dataprovider import SqueezeFlowDataProvider
from squeezeflow_plugin.provider.digest import INPUTS
from squeezeflow_plugin.provider.replay import run_parity
from squeezeflow_plugin.settings import Settings, load
from squeezeflow_plugin.store.decisions import DecisionLog, LoggedDecision
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.strategy.bot import SqueezeFlowStrategy
from tests.integration.freqtrade_stage import StoreClock, exchange
from tests.reference.flows import Episode, scripted_frame
from tests.unit.provider.records import INSTRUMENTS, Script, script

PAIR = "BTC/USDT"
USER_DATA = Path(__file__).resolve().parents[2] / "user_data"
RUN_S = 110
LOGIN = ("tester", "only-on-loopback")

# FreqTrade and its dependencies warn about each other; only what they log as an error counts here.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(240)]


@dataclass(frozen=True)
class Story:
    """Flow with one long entry event, after which spot sells and perps buy: the trade must leave."""

    told: Script
    flow: Flow
    event: int
    exit: Exit

    def price(self, second: int) -> float:
        return float(self.flow.close[second - int(self.flow.time[0])])


def _flow(frame: pd.DataFrame) -> Flow:
    return Flow.from_columns({name: frame[name].to_numpy() for name in frame.columns})


def _first_event(frame: pd.DataFrame) -> int:
    return int(np.flatnonzero(Engine().run(_flow(frame)).event > 0)[0])


@pytest.fixture(scope="module")
def story() -> Story:
    rows = 8_700
    place = _first_event(scripted_frame(5, rows, (Episode(6_600, 1),)))
    frame = scripted_frame(5, rows, (Episode(6_600, 1),), start=int(time.time()) - place - 60)
    assert _first_event(frame) == place
    turn = slice(place + 8, place + 100)
    frame.loc[frame.index[turn], "spot_sell"] += 25_000.0
    frame.loc[frame.index[turn], "perp_buy"] += 80_000.0
    told = script(frame.iloc[: place + RUN_S].reset_index(drop=True), seed=5)
    # What the store will add up to: the spot volume is spread over two markets.
    flow = _flow(told.frame)
    decided = Engine().run(flow)
    assert decided.event[place] == 1
    found = first_exit(flow, decided, Baseline.of(decided.at(place)))
    assert found is not None
    return Story(told, flow, int(flow.time[place]), found)


@dataclass
class Rehearsal:
    """A bot on its stage, before its first iteration."""

    bot: FreqtradeBot
    clock: StoreClock
    store: EmbeddedBarStore
    settings: Settings
    asked: list[str]
    api_port: int

    def run_to(self, second: int) -> None:
        """Drive the bot until the second is decided."""
        while self.clock.last_ended < second:
            self.bot.process()

    def decisions(self) -> list[LoggedDecision]:
        log = DecisionLog(self.settings.decisions_path, readonly=True)
        rows = list(log.read(0, 2**40))
        log.close()
        return rows

    def get(self, path: str) -> Any:
        credentials = base64.b64encode(":".join(LOGIN).encode()).decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.api_port}/api/v1/{path}",
            headers={"Authorization": f"Basic {credentials}"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _config(tmp_path: Path, url: str, port: int) -> dict[str, Any]:
    userdir = tmp_path / "user_data"
    shutil.copytree(USER_DATA / "strategies", userdir / "strategies", ignore=shutil.ignore_patterns("__*"))
    overlay = {
        "db_url": f"sqlite:///{tmp_path / 'trades.sqlite'}",
        "exchange": {
            "pair_whitelist": [PAIR],
            "ccxt_config": {"urls": {"api": {"public": url}}, "enableRateLimit": False},
        },
        "api_server": {
            "enabled": True,
            "listen_port": port,
            "username": LOGIN[0],
            "password": LOGIN[1],
            "jwt_secret_key": "0" * 32,
        },
        "squeezeflow": {
            "data_dir": str(tmp_path / "squeezeflow"),
            "lookback_hours": 2.25,
            "quotes": ["USDT", "USDC"],
        },
    }
    (tmp_path / "overlay.json").write_text(json.dumps(overlay))
    files = [str(USER_DATA / "config.json"), str(tmp_path / "overlay.json")]
    args = {"config": files, "user_data_dir": str(userdir), "strategy": "SqueezeFlow"}
    config: dict[str, Any] = Configuration(args, None).get_config()
    return config


@pytest.fixture
def rehearsal(tmp_path: Path, story: Story, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rehearsal]:
    settings = load({"data_dir": str(tmp_path / "squeezeflow")}, {})
    store = EmbeddedBarStore(settings.store_path)
    store.put_instruments(INSTRUMENTS)
    start = story.event - 6
    store.append(record for record in story.told.records if record.second < start)
    clock = StoreClock(start * NS_PER_SECOND + 500_000_000, store, story.told.since(start))
    monkeypatch.setattr(SqueezeFlowStrategy, "make_clock", lambda _self: clock)
    with exchange(lambda: story.price(clock.last_ended)) as (url, asked):
        port = _free_port()
        config = _config(tmp_path, url, port)
        settings = load(config["squeezeflow"], {})
        bot = FreqtradeBot(config)
        bot.state = bot.state.__class__.RUNNING
        made = Rehearsal(bot, clock, store, settings, asked, port)
        try:
            yield made
        finally:
            bot.cleanup()
            store.close()
            # FreqTrade leaves loops and sockets to the collector; they are to be found here, where warnings
            # are not errors, and not in some later test.
            del bot, made.bot
            Trade.session.remove()
            gc.collect()


def test_a_trade_is_entered_and_left_at_the_decision_seconds(
    rehearsal: Rehearsal, story: Story, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        rehearsal.run_to(story.exit.second + 20)
    trades = list(Trade.get_trades())
    assert len(trades) == 1, "one entry per event, also after its exit"
    trade = trades[0]
    assert (trade.pair, trade.is_open, trade.is_short) == (PAIR, False, False)
    assert trade.enter_tag is not None
    assert trade.enter_tag.startswith("sf:")
    assert trade.enter_tag.endswith(f"|e={story.event}")
    assert trade.exit_reason == story.exit.name
    assert trade.open_rate == pytest.approx(story.price(story.event) + 0.01)

    log = DecisionLog(rehearsal.settings.decisions_path, readonly=True)
    events = {event.kind: event for event in log.events()}
    assert set(events) == {"entry_order", "entry_fill", "exit_order", "exit_fill"}
    assert {event.decision_second for event in events.values()} == {story.event}
    assert events["entry_fill"].second == story.event
    assert (events["exit_fill"].second, events["exit_fill"].tag) == (story.exit.second, story.exit.name)

    rows = rehearsal.decisions()
    assert [row.second for row in rows] == list(range(rows[0].second, rows[-1].second + 1))
    assert all(400 <= row.latency_ms <= 450 for row in rows)
    parity = run_parity(rehearsal.settings, "binance", rows[0].second, rows[-1].second + 1)
    assert (parity.seconds, parity.exits, parity.differences) == (len(rows), 1, ())

    assert "klines" not in rehearsal.asked
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_the_rest_api_shows_the_phase_columns(rehearsal: Rehearsal, story: Story) -> None:
    rehearsal.run_to(story.event - 3)
    assert isinstance(rehearsal.bot.strategy.dp, SqueezeFlowDataProvider)
    answer = rehearsal.get("pair_candles?pair=BTC/USDT&timeframe=1m&limit=5")
    newest = dict(zip(answer["columns"], answer["data"][-1], strict=True))
    row = rehearsal.decisions()[-1]
    for name in set(row.columns) - {INPUTS}:
        assert newest[name] == pytest.approx(row.value(name), rel=1e-8), name
    assert newest["phase"] == "divergence_long"
    assert newest["veto"] == ""
    assert newest["close"] == pytest.approx(story.price(row.second))
    assert newest["spot_buy"] > 0 < newest["perp_sell"]
    assert {"date", "enter_long", "enter_tag"} <= set(answer["columns"])


def test_a_bot_that_starts_again_takes_up_its_trade(
    rehearsal: Rehearsal, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    rehearsal.run_to(story.event + 20)
    assert [trade.is_open for trade in Trade.get_trades()] == [True]
    config = rehearsal.bot.config
    rehearsal.bot.strategy.ft_bot_cleanup()
    rehearsal.bot.rpc.cleanup()
    config["api_server"]["listen_port"] = _free_port()
    again = FreqtradeBot(config)
    again.state = rehearsal.bot.state
    try:
        while rehearsal.clock.last_ended < story.exit.second + 5:
            again.process()
        trades = list(Trade.get_trades())
        assert [(trade.is_open, trade.exit_reason) for trade in trades] == [(False, story.exit.name)]
    finally:
        again.cleanup()
    log = DecisionLog(rehearsal.settings.decisions_path, readonly=True)
    left = [event for event in log.events() if event.kind == "exit_order"]
    assert [event.second for event in left] == [story.exit.second]


def test_without_closed_seconds_nothing_is_entered(
    rehearsal: Rehearsal, story: Story, caplog: pytest.LogCaptureFixture
) -> None:
    rehearsal.clock.missing = {story.event}
    rehearsal.run_to(story.event + 3)
    assert list(Trade.get_trades()) == []
    assert "was not closed in time" in caplog.text
    rehearsal.clock.missing = set()
    rehearsal.clock.advance(60 * NS_PER_SECOND)
    rehearsal.clock.deliver()
    rehearsal.run_to(story.event + 90)
    assert list(Trade.get_trades()) == [], "an event of a past second never fires"
    seconds = [row.second for row in rehearsal.decisions()]
    assert seconds == list(range(seconds[0], seconds[-1] + 1)), "pending seconds are decided, each once"
