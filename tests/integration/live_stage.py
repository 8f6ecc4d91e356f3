"""A live bot on a stepped clock: FreqTrade's own worker over hours of a simulated market, and its orders.

Everything of FreqTrade runs as in ``freqtrade trade``: the worker's throttle, ``process()``, the orders of
the dry-run and its database. Only time is ours. Whoever waits moves the clock on, by which FreqTrade, too,
lives; the store fills as the clock passes the closes, and the order book stands at the last closed price.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import time_machine
from freqtrade.configuration import Configuration
from freqtrade.enums import State
from freqtrade.worker import Worker

from squeezeflow_plugin.backtest.stepper import Rules, SecondsBacktesting
from squeezeflow_plugin.backtest.window import Asked
from squeezeflow_plugin.market import NS_PER_SECOND, ClosingRecord
from squeezeflow_plugin.phases.layout import EXIT_NAMES
from squeezeflow_plugin.phases.tags import parse_tag
from squeezeflow_plugin.settings import Settings, load
from squeezeflow_plugin.simulator.exchange import bot_exchange
from squeezeflow_plugin.simulator.profiles import AssetProfile, asset_profiles
from squeezeflow_plugin.store.contract import BarStore
from squeezeflow_plugin.store.decisions import DecisionLog
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.strategy.bot import SqueezeFlowStrategy
from tests.integration.freqtrade_stage import StoreClock
from tests.integration.offline_stage import Query, markets_only
from tests.integration.seconds_stage import Stage, trades_of

LOOKBACK_HOURS = 2.25
AFTER_S = 60
"""How much further than the live run a backtest goes, so that its last orders are not cut off."""
_HALF_SECOND_NS = NS_PER_SECOND // 2


@dataclass(frozen=True, order=True)
class Order:
    """An entry or exit: the second whose decision caused it, the direction, the enter tag or exit's name."""

    second: int
    pair: str
    kind: Literal["entry", "exit"]
    direction: int
    tag: str


class MarketClock(StoreClock):
    """A ``StoreClock`` by which the whole process lives: who moves it moves ``datetime.now``."""

    def __init__(
        self, now_ns: int, store: BarStore, records: Sequence[ClosingRecord], wall: time_machine.Traveller
    ) -> None:
        super().__init__(now_ns, store, records)
        self._wall = wall

    def sleep_until(self, when_ns: int) -> None:
        super().sleep_until(when_ns)
        self._wall.move_to(dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=when_ns // 1000))


class SteppedWorker(Worker):  # type: ignore[misc]  # FreqTrade ships no types
    """FreqTrade's worker, which sleeps by the market's clock."""

    def __init__(self, config: dict[str, Any], clock: MarketClock) -> None:
        self.clock = clock
        super().__init__({}, config)

    def _sleep(self, sleep_duration: float) -> None:
        self.clock.sleep_until(self.clock.now_ns() + round(sleep_duration * NS_PER_SECOND))

    def run_until(self, second: int) -> int:
        """Work until the second is decided; returns how often ``process()`` ran."""
        state: State | None = None
        rounds = 0
        while self.clock.last_ended < second:
            state = self._worker(old_state=state)
            rounds += 1
        return rounds


class Book:
    """The order book of each market: a tick around the close of the last second that has ended."""

    def __init__(self, store: BarStore, profiles: Sequence[AssetProfile], span: tuple[int, int]) -> None:
        self.clock: MarketClock | None = None
        self._first = span[0]
        self._markets = {profile.market: profile for item in profiles for profile in item.markets}
        self._closes: dict[str, list[float]] = {}
        for market in self._markets:
            bars = store.bars(*span, [market])
            traded = ~np.isnan(bars.close)  # a bar of forced orders only has no price
            closes = dict(zip(bars.second[traded].tolist(), bars.close[traded].tolist(), strict=True))
            last = next(iter(closes.values()))
            self._closes[market] = [last := closes.get(second, last) for second in range(*span)]

    def answers(self) -> Mapping[str, Any]:
        """The endpoints that a dry-run asks for its prices, its clock and its funding."""
        return {
            "/api/v3/depth": lambda query: self._depth("BINANCE", query),
            "/fapi/v1/depth": lambda query: self._depth("BINANCE_FUTURES", query),
            "/api/v3/time": lambda _: self._time(),
            "/fapi/v1/time": lambda _: self._time(),
            "/fapi/v1/fundingRate": lambda _: [],
            "/fapi/v1/markPriceKlines": lambda _: [],
        }

    def _time(self) -> object:
        return {"serverTime": 0 if self.clock is None else self.clock.now_ns() // 1_000_000}

    def _depth(self, venue: str, query: Query) -> object:
        assert self.clock is not None
        market = f"{venue}:{query['symbol'].lower()}"
        places = self._markets[market].price_decimals
        price = self._closes[market][self.clock.last_ended - self._first]
        return {
            "lastUpdateId": 1,
            "E": 0,
            "T": 0,
            "bids": [[f"{price - level / 10**places:.{places}f}", "100000"] for level in range(1, 6)],
            "asks": [[f"{price + level / 10**places:.{places}f}", "100000"] for level in range(1, 6)],
        }


@dataclass(frozen=True)
class Equality:
    """Live orders beside a backtest's: those that both have, and those that only one of them has."""

    same: tuple[Order, ...]
    only_live: tuple[Order, ...]
    only_backtest: tuple[Order, ...]

    @classmethod
    def of(cls, live: Iterable[Order], backtest: Iterable[Order]) -> Equality:
        lived, tested = frozenset(live), frozenset(backtest)
        return cls(*(tuple(sorted(part)) for part in (lived & tested, lived - tested, tested - lived)))

    def count(self, kind: Literal["entry", "exit"]) -> int:
        """How many of the orders that are the same are entries, or exits."""
        return sum(order.kind == kind for order in self.same)


@dataclass(frozen=True)
class Lived:
    """A finished live run: its orders in order of time, and what it left behind."""

    orders: tuple[Order, ...]
    rounds: int
    settings: Settings


def live_run(stage: Stage, folder: Path, start: int, stop: int, params: Mapping[str, float]) -> Lived:
    """Live through the seconds ``[start, stop)`` of the stage's store, with a store of the bot's own."""
    config = stage.config()
    assets = tuple(pair.partition("/")[0] for pair in config["exchange"]["pair_whitelist"])
    settings = load({"data_dir": str(folder / "live"), "params": dict(params)}, {})
    settings.data_dir.mkdir()
    live = EmbeddedBarStore(settings.store_path)
    live.put_instruments(stage.store.instruments())
    live.append(stage.store.records(0, start))
    book = Book(stage.store, asset_profiles(assets), (start - 600, stop + AFTER_S))
    now_ns = start * NS_PER_SECOND + _HALF_SECOND_NS
    records = list(stage.store.records(start, stop + AFTER_S))
    with (
        time_machine.travel(now_ns / NS_PER_SECOND, tick=False) as wall,
        markets_only(assets, book.answers()) as port,
        pytest.MonkeyPatch.context() as patch,
        contextlib.closing(live),
    ):
        clock = book.clock = MarketClock(now_ns, live, records, wall)
        patch.setattr(SqueezeFlowStrategy, "make_clock", lambda _: clock)
        worker = SteppedWorker(live_configuration(stage, folder, port, params), clock)
        try:
            rounds = worker.run_until(stop - 1)
        finally:
            worker.freqtrade.cleanup()
    return Lived(logged_orders(settings, stop), rounds, settings)


def live_configuration(stage: Stage, folder: Path, port: int, params: Mapping[str, float]) -> dict[str, Any]:
    """The stage's configuration for ``freqtrade trade``, with a data folder and a database of its own."""
    exchange = bot_exchange(port)
    futures = stage.config()["trading_mode"] == "futures"
    exchange["ccxt_config"]["options"]["fetchMarkets"]["types"] = ["linear" if futures else "spot"]
    overlay = {
        "db_url": f"sqlite:///{folder / 'trades.sqlite'}",
        "exchange": exchange,
        "squeezeflow": {
            "data_dir": str(folder / "live"),
            "lookback_hours": LOOKBACK_HOURS,
            "params": dict(params),
        },
    }
    path = folder / "live.json"
    path.write_text(json.dumps(overlay))
    files = [*map(str, stage.options.config), str(path)]
    args = {"config": files, "user_data_dir": str(stage.userdir), "strategy": "SqueezeFlow"}
    config: dict[str, Any] = Configuration(args, None).get_config()
    logging.getLogger("freqtrade").setLevel(logging.WARNING)
    return config


def logged_orders(settings: Settings, stop: int) -> tuple[Order, ...]:
    log = DecisionLog(settings.decisions_path, readonly=True)
    with contextlib.closing(log):
        return tuple(sorted(_orders_of_log(log, stop)))


def _orders_of_log(log: DecisionLog, stop: int) -> Iterator[Order]:
    for event in log.events():
        kind, _, what = event.kind.partition("_")
        if what == "order" and event.second < stop:
            side: Literal["entry", "exit"] = "entry" if kind == "entry" else "exit"
            yield Order(event.second, event.pair, side, event.direction, event.tag)


def backtest_run(stage: Stage, start: int, stop: int) -> SecondsBacktesting:
    """The same seconds by ``run_backtest.py``'s stepper, and a little beyond them."""
    return stage.run(Asked(start, stop + AFTER_S), Rules(noise=False))


def backtest_orders(run: SecondsBacktesting, stop: int) -> tuple[Order, ...]:
    """The orders of a backtest by the second whose decision caused them, up to the second ``stop``.

    What was decided acts ``1 + delay`` seconds later. A stop of FreqTrade's acts in the second that reached
    it: live, that second's close is what the bot looked at.
    """
    lag_s = 1 + run.rules.delay_s
    found = []
    for trade in trades_of(run):
        pair, is_short, opened_ms, closed_ms = trade[:4]
        direction, tag, reason = -1 if is_short else 1, trade[-2], trade[-1]
        assert parse_tag(tag) is not None
        found.append(Order(opened_ms // 1000 - lag_s, pair, "entry", direction, tag))
        closed = closed_ms // 1000 - (lag_s if reason in EXIT_NAMES else 0)
        found.append(Order(closed, pair, "exit", direction, reason))
    return tuple(sorted(order for order in found if order.second < stop))
