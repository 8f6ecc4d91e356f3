"""FreqTrade itself on a stepped clock, with a story: one event that is entered, and an exit some time after.

The clock stands minutes behind the real one, because FreqTrade refuses candles that are older than seven.
"""

from __future__ import annotations

import base64
import gc
import json
import shutil
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
from squeezeflow_plugin.settings import Settings, load
from squeezeflow_plugin.store.decisions import DecisionLog, LoggedDecision
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.strategy.bot import SqueezeFlowStrategy
from tests.free_ports import free_port
from tests.integration.freqtrade_stage import StoreClock, exchange
from tests.reference.flows import Episode, scripted_frame
from tests.unit.provider.records import INSTRUMENTS, Script, script

PAIR = "BTC/USDT"
USER_DATA = Path(__file__).resolve().parents[2] / "user_data"
RUN_S = 110
LOGIN = ("tester", "only-on-loopback")
WS_TOKEN = "told-to-consumers-only"  # noqa: S105 - of a bot that lives for a test


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
    exchange_url: str

    def run_to(self, second: int) -> None:
        """Drive the bot until the second is decided."""
        while self.clock.last_ended < second:
            self.bot.process()

    def decisions(self) -> list[LoggedDecision]:
        log = DecisionLog(self.settings.decisions_path, readonly=True)
        rows = list(log.read(0, 2**40))
        log.close()
        return rows

    def start_again(self) -> FreqtradeBot:
        """The bot as the next process would have it: only its database and the store are left."""
        self.bot.strategy.ft_bot_cleanup()
        self.bot.rpc.cleanup()
        config = self.bot.config
        config["api_server"]["listen_port"] = self.api_port = free_port()
        again = FreqtradeBot(config)
        again.state = self.bot.state
        return again

    def get(self, path: str, body: Any = None) -> Any:
        """FreqTrade's REST API; a POST where there is a body."""
        credentials = base64.b64encode(":".join(LOGIN).encode()).decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.api_port}/api/v1/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Basic {credentials}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


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
            "ws_token": WS_TOKEN,
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
        port = free_port()
        config = _config(tmp_path, url, port)
        settings = load(config["squeezeflow"], {})
        bot = FreqtradeBot(config)
        bot.state = bot.state.__class__.RUNNING
        made = Rehearsal(bot, clock, store, settings, asked, port, url)
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
