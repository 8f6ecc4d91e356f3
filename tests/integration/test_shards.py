"""An aggr-server file runs against the simulator; two shards and one reader equal that one collector."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from squeezeflow_plugin.bars.flow import AssetMarkets, asset_markets, reference_market
from squeezeflow_plugin.market import BAR_FIELDS, MarketKind
from squeezeflow_plugin.provider.closings import closed_seconds, complete_until
from squeezeflow_plugin.provider.final import final_rows
from squeezeflow_plugin.provider.rows import AssetRows
from squeezeflow_plugin.settings import process_environ
from squeezeflow_plugin.store.embedded import EmbeddedBarStore

SHARDS = ("main-1of2", "main-2of2")
PAIRS = ["BINANCE:btcusdt", "BINANCE:solusdt", "BINANCE_FUTURES:btcusdt", "BINANCE_FUTURES:solusdt"]
AGGR_CONFIG = {
    "pairs": [*PAIRS, "POLONIEX:BTC_USDT"],
    "id": "one",
    "port": 0,
    "api": True,
    "collect": True,
    "storage": ["files"],
    "influxTimeframe": 10_000,
    "reconnectionThreshold": "7200000 / Math.log(Math.exp(1) + connection.avg)",
    "fancy": 1,
}


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts ``squeezeflow`` commands, with a file for what they say, and leaves none behind."""
    processes = []

    def start(said: Path, *arguments: str, **environ: str) -> subprocess.Popen[bytes]:
        command = (sys.executable, "-m", "squeezeflow_plugin.cli", *arguments)
        with said.open("wb") as out:
            processes.append(
                subprocess.Popen(command, env={**process_environ(), **environ}, stdout=out, stderr=out)
            )
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()


def wait_for(what: Callable[[], Any], *processes: subprocess.Popen[bytes], seconds: float = 120.0) -> Any:
    """What ``what`` gives once it is true; fails where a process ends or the time is up."""
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, "it did not happen in time"
        assert all(process.poll() is None for process in processes), "a process ended"
        time.sleep(0.05)
    return value


def rows_of(store: EmbeddedBarStore, markets: AssetMarkets, start: int, stop: int) -> np.ndarray:
    return np.concatenate([piece.values for piece in final_rows(store, markets, start, stop)], axis=1)


@pytest.mark.slow
def test_two_shards_and_one_reader_equal_one_collector_that_an_aggr_file_set_up(
    tmp_path: Path, started: Callable[..., subprocess.Popen[bytes]]
) -> None:
    state_file, config = tmp_path / "state.json", tmp_path / "config.json"
    config.write_text(json.dumps(AGGR_CONFIG))
    common = {"SQUEEZEFLOW_ASSETS": "BTC,SOL", "SQUEEZEFLOW_DATA_DIR": str(tmp_path / "unused")}
    simulator = started(
        tmp_path / "s.log", "simulate", "--seed", "3", "--state-file", str(state_file), **common
    )
    wait_for(state_file.exists, simulator)
    common |= {
        "SQUEEZEFLOW_ENDPOINTS": json.dumps(json.loads(state_file.read_bytes())["endpoints"]),
        "SQUEEZEFLOW_HEALTH_PORT": "0",
        "SQUEEZEFLOW_INTEREST_INTERVAL_S": "2",
    }
    whole = {**common, "SQUEEZEFLOW_DATA_DIR": str(tmp_path / "whole")}
    split = {**common, "SQUEEZEFLOW_DATA_DIR": str(tmp_path / "split"), "SQUEEZEFLOW_API_PORT": "0"}
    collectors = [started(tmp_path / "0.log", "collect", "--config", str(config), **whole)]
    collectors += [
        started(tmp_path / f"{part}.log", "collect", "--shard", f"{part}/2", **split) for part in (1, 2)
    ]
    one = EmbeddedBarStore(tmp_path / "whole" / "store.sqlite", readonly=True)
    many = EmbeddedBarStore(tmp_path / "split" / "store.sqlite", readonly=True)
    begin = max(
        wait_for(partial(store.last_second, name), simulator, *collectors)
        for store, name in ((one, "main"), (many, SHARDS[0]), (many, SHARDS[1]))
    )
    wait_for(lambda: (complete_until(one, ["main"]) or 0) >= begin + 14, simulator, *collectors)
    wait_for(lambda: (complete_until(many, SHARDS) or 0) >= begin + 14, simulator, *collectors)
    for process in (*collectors, simulator):
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    start, stop = begin + 2, begin + 10  # a late trade may still be under way in the last seconds

    assert many.collectors() == SHARDS
    by_shard = [
        {m for r in many.records(start, stop, [name]) for m in r.covered + r.uncovered} for name in SHARDS
    ]
    assert all(by_shard)
    assert not by_shard[0] & by_shard[1]
    ours, theirs = one.bars(start, stop), many.bars(start, stop)
    assert set(PAIRS) <= by_shard[0] | by_shard[1]
    assert len(ours) > 0
    chosen = np.isin([theirs.names[i] for i in theirs.market], PAIRS)
    for name in (*BAR_FIELDS, "second"):
        assert getattr(ours, name).tolist() == getattr(theirs, name)[chosen].tolist(), name
    instruments = [i for i in many.instruments() if i.market in PAIRS]
    reference = reference_market(instruments, "binance", "BTC", "USDT", MarketKind.SPOT)
    markets = asset_markets(instruments, reference, ["USDT"])
    assert markets.all == ("BINANCE:btcusdt", "BINANCE_FUTURES:btcusdt")
    final = rows_of(many, markets, start, stop)
    assert final.tobytes() == rows_of(one, markets, start, stop).tobytes()

    live = AssetRows(markets, begin - 5, hold=60, horizon_s=600)
    for closed in closed_seconds(many, begin - 5, stop + 4):
        live.apply(closed.records)
    assert live.values(start, stop)[0].tolist() == final[0].tolist()
    for store in (one, many):
        known = {t.market: t for _, t in store.tickers(start - 20, stop)}
        assert set(known) >= {"BINANCE_FUTURES:btcusdt", "BINANCE_FUTURES:solusdt"}
        assert all(t.interest_usd > 0 and t.funding_rate > 0 for t in known.values())
        store.close()

    said = (tmp_path / "0.log").read_text()
    for note in (
        "POLONIEX:BTC_USDT is left out, POLONIEX is no exchange that can be collected",
        "influxTimeframe changes nothing: bars of one second are collected, always",
        "reconnectionThreshold changes nothing:",
        "fancy is no key of aggr-server that is known",
        "id changes nothing: the bot knows the collector by SQUEEZEFLOW_COLLECTOR",
    ):
        assert note in said
